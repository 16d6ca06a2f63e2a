"""The section of docs/benchmarks.md on adding seeds until a difference is sure, from the record of until_sure.py."""

from collections.abc import Iterable
from typing import Any


def section(record: dict[str, Any]) -> list[str]:
    """Its lines."""
    claims, outside = record["false claims"], record["outside"]
    level = f"{100 * record['level']:g} %"
    return [
        "## Adding seeds until a difference is sure",
        "",
        f"Simulated by `python benchmarks/until_sure.py`: {claims[0]['studies']:,} studies of each kind, which check after",
        f"every seed and stop as soon as one pair of arms is sure to differ, or after {record['most seeds']} seeds. The",
        "rule is explained in [statistics.md](statistics.md).",
        "The record: [benchmarks/results/until_sure.json](../benchmarks/results/until_sure.json).",
        "",
        "### False claims",
        "",
        "Share of the studies in which a difference is claimed although there is none. The rule promises at most 5 %, for",
        "all pairs of arms together. The other columns: the rule without its least number of seeds; a wrong rule, which",
        f"stops as soon as a usual {level} interval excludes 0; and the usual {level} interval of exactly 3 seeds, without",
        "an adjustment for the number of pairs.",
        "",
        *_table(_CLAIMS, [_claims(row) for row in claims]),
        "Where a share of the trainings diverges, only the signs of the differences count from then on:",
        "",
        *_table(
            ("trainings that diverge", "the rule"),
            [(f"{100 * row['share']:g} %", _share(row["claims"], row["studies"])) for row in record["diverging"]],
        ),
        "### Where it does not hold",
        "",
        "Noise that is skewed, and larger in one arm than in the other, makes the differences skewed: their mean is 0, but",
        "most of them have the same sign. A few differences do not show this to any method.",
        "",
        *_table(_CLAIMS, [_claims(row) for row in outside]),
        "### Seeds that it takes",
        "",
        "By the size of the difference of two arms, in standard deviations of the paired differences, with normal noise.",
        "t-test, 80 %: the fixed number of seeds with which 80 % of the studies show the difference. The rule has no fixed",
        "number: 80 % is the number of seeds after which 80 % of the studies are sure, and the mean is over studies of at",
        "most 300 seeds. With four arms the six pairs share the error rate.",
        "",
        *_table(
            (
                "difference",
                "t-test, 80 %",
                "two arms: mean",
                "without the limit",
                "80 %",
                "sure by 30",
                "four arms: mean",
                "without the limit",
                "80 %",
                "sure by 30",
            ),
            [_power(row) for row in record["power"]],
        ),
        "### The variance of the prior",
        "",
        f"It is {record['variance']:g}. The table has the geometric mean of the expected number of seeds over effects from",
        "0.3 to 5; this variance is among the best in each column:",
        "",
        *_priors(record["priors"]),
    ]


_CLAIMS = ("noise", "arms", "the rule", "without the limit", "wrong: usual interval, each seed", "usual interval, 3 seeds")


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"


def _claims(row: dict[str, Any]) -> list[object]:
    counts = [row[name] for name in ("claims", "without the limit", "naive", "t interval, 3 seeds")]
    return [row["noise"], row["arms"], *(_share(count, row["studies"]) for count in counts)]


def _power(row: dict[str, Any]) -> list[object]:
    cells: list[object] = [f"{row['effect']:g}", row["t-test, 80 %"]]
    for arms in ("2 arms", "4 arms"):
        seeds = row[arms]
        cells += [
            f"{seeds['mean']:.1f}",
            f"{seeds['without the limit']:.1f}",
            seeds["80 %"],
            f"{100 * seeds['sure by 30']:.0f} %",
        ]
    return cells


def _priors(rows: list[dict[str, Any]]) -> list[str]:
    columns = [name for name in rows[0] if name != "variance"]
    head = ["variance", *(f"{name.replace(', ', ', at most ')}" for name in columns)]
    return _table(head, [[f"{row['variance']:g}", *(f"{row[name]:.1f}" for name in columns)] for row in rows])
