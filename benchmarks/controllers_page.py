"""The section of docs/benchmarks.md on controllers, from the record of benchmarks/controllers.py."""

from collections.abc import Iterable
from typing import Any


def section(record: dict[str, Any]) -> list[str]:
    """Its lines."""
    return [
        "## Controllers",
        "",
        f"Simulated by `python benchmarks/controllers.py`, for losses of {record['updates']:,} updates,",
        f"`plateau(patience={record['patience']})` and torch's `ReduceLROnPlateau`. What each controller does is described",
        "in [reacting.md](reacting.md).",
        "The record: [benchmarks/results/controllers.json](../benchmarks/results/controllers.json).",
        "",
        *_falls(record),
        *_plateaus(record),
        *_others(record),
        *_trainings(record),
        *_armijo(record),
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _falls(record: dict[str, Any]) -> list[str]:
    evaluations = record["evaluations"]
    rows = [
        (
            f"{row['seen'][0]:g} to {row['seen'][1]:g}",
            row["falls"],
            f"{row['noise']['median']:.3g} (at most {row['noise']['max']:.2g})",
            row["plateau"],
            row["torch"],
            row["torch, patience 10"],
        )
        for row in record["falls"]
    ]
    head = ("standard errors", "falls", "noise, in falls", "plateau", "torch, same patience", "torch, its defaults")
    return [
        "### Falls that are interrupted",
        "",
        "Linear, exponential, 1 / n, power laws with exponents from 0.25 to 1.5, logarithms, a steep fall with a linear one",
        "after it; with noise that is normal, correlated, skewed, or has heavy tails, and is constant or shrinks with the",
        "loss. The first column is the least number of its standard errors by which the fall is seen during the run: from 5",
        "on it is worth waiting for, as `plateau` defines it. The last three are numbers of falls during which the LR is",
        "lowered.",
        "",
        *_table(head, rows),
        f"Of {evaluations['falls']:,} falls of a metric over 300 evaluations, with a patience of 10 for both, `plateau`",
        f"interrupts {evaluations['plateau']} and torch {evaluations['torch']}.",
        "",
    ]


def _delay(delay: dict[str, Any]) -> str:
    values = [delay[name] for name in ("median", "of 10, 9", "of 100, 99")]
    text = ", ".join("later" if value is None else f"{value:.1f}" for value in values)
    return text + (f"; {delay['early']} of {delay['series']} earlier" if delay["early"] else "")


def _plateaus(record: dict[str, Any]) -> list[str]:
    start, after = record["plateaus"]["from the start"], record["plateaus"]["after a fall"]
    evaluations = record["evaluations"]
    rows = [(f"noise, {kind}", _delay(row["plateau"]), _delay(row["torch"])) for kind, row in start.items()]
    rows.append(("noise, 300 evaluations", _delay(evaluations["delay"]), _delay(evaluations["delay of torch"])))
    rows += [
        (
            f"after a fall in {row['fall']} patiences, by {row['height']} standard deviations of the noise",
            _delay(row["plateau"]),
            _delay(row["torch"]),
        )
        for row in after
    ]
    return [
        "### Delay on a plateau",
        "",
        'In patiences after the start of the plateau: median, 9 of 10, and 99 of 100 runs. "Later" is after the end of the',
        "series: 10 patiences for noise, twice the length of the fall after a fall.",
        "",
        *_table(("", "plateau", "torch, same patience"), rows),
    ]


def _others(record: dict[str, Any]) -> list[str]:
    rows = [(f"`{name}`", row["series"], row["noise"], row["falls"]) for name, row in record["others"].items()]
    oscillations = [
        (
            row["form"],
            row["period"],
            f"{row['size']:g}",
            "not seen" if row["median"] is None else f"{row['median']:,.0f}",
            "not seen" if row["of 10, 9"] is None else f"{row['of 10, 9']:,.0f}",
        )
        for row in record["oscillations"]
    ]
    return [
        "### The other controllers",
        "",
        "How many act during noise without a trend, and during falls that are worth waiting for. `slow` tries a higher LR",
        "there on purpose, and takes it back if nothing is gained.",
        "",
        *_table(("", "series of each", "act on noise", "act on falls"), rows),
        "After how many updates `oscillation()` acts, by the amplitude in standard deviations of the noise:",
        "",
        *_table(("", "period", "amplitude", "median", "9 of 10"), oscillations),
    ]


def _trainings(record: dict[str, Any]) -> list[str]:
    rows = [
        (
            row["lr"],
            row["controllers"],
            f"{row['excess']:.2g} ({row['worst']:.2g})",
            f"{row['actions']:g} ({row['most actions']})",
            row["most in the second half"],
            f"{row['factor']:.2g}",
        )
        for row in record["trainings"]
    ]
    return [
        "### Alone and together, in a training",
        "",
        f"SGD on noisy quadratics of 10 directions, {record['updates']:,} updates, 20 runs of each. An LR above 2 diverges.",
        "The loss at the end, above its lowest value: median and worst run. Actions: median and most of a run. Here",
        "`gradient_size` may double the LR.",
        "",
        *_table(("LR", "controllers", "loss", "actions", "most in the second half", "factor at the end"), rows),
    ]


def _armijo(record: dict[str, Any]) -> list[str]:
    rows = [(row["noise"], row["lr"], row["after"], f"{row['share']:.2f}") for row in record["armijo"]]
    return [
        "### Why there is no check of Armijo's kind",
        "",
        "The fall of the loss between averages of 50 updates, as a share of the sum of LR * |gradient|^2, which costs no",
        "second backward pass. Armijo's rule lowers the LR where the share is below a constant such as 0.5. Without noise",
        "that tells whether the LR is too high. With noise the share becomes 0 at any LR, also at one that is 200 times",
        "below the highest, because most of the gradient of a batch is noise: it tells how long the training has gone on.",
        "",
        *_table(("noise", "LR", "after updates", "share"), rows),
    ]
