"""The page docs/families.md, from the records of families.py: none of its numbers is written by hand."""

import json
from collections import Counter
from typing import Any

from benchmarks.choice.about import about
from benchmarks.families import RESULTS


def text() -> list[str]:
    """The lines of the page."""
    records = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    seeds = len(next(iter(records[0]["arms"].values()))["trainings"])
    return [
        "# A worked example: four families of schedules",
        "",
        "Which family of schedules is best, if each has its own best LR? The example takes some minutes on two cores:",
        "",
        "```",
        "make bench-families",
        "```",
        "",
        "It is one call of `lr.compare` for each task, with a study that continues after an interruption:",
        "",
        '<!-- skip: next "it trains for minutes" -->',
        "```python",
        "families = {",
        '    "one-cycle": "one_cycle",',
        '    "warm-up and cosine": "warmup_cosine",',
        '    "warm-up, stable, decay": "wsd",',
        '    "triangular2": "triangular2",',
        "}",
        'comparison = lr.compare(families, recipe, seeds=5, tune_each=True, study="digits.sqlite")',
        "```",
        "",
        f"`lr.tune` chooses the LR of each family on validation data. Then each is trained with {seeds} seeds, the same for",
        "all four. The scores are on test data: mean ± sample standard deviation over the seeds.",
        "",
        *(line for record in records for line in _task(record)),
        *_together(records),
    ]


def _task(record: dict[str, Any]) -> list[str]:
    """The section of a task."""
    task = about(record["task"])
    arms = sorted(record["arms"].items(), key=lambda arm: -arm[1]["mean"])
    lines = [
        f"## {task.about}",
        "",
        f"| | {record['metric']} | LR (peak) | tuning, updates | training, updates |",
        "|---|---|---|---|---|",
    ]
    for name, arm in arms:
        trained = {training["updates"] for training in arm["trainings"]}
        lines.append(
            f"| {name} | {arm['mean']:.2f} ± {arm['std']:.2f} | {arm['chosen']['max_lr']:.2g} | "
            f"{arm['chosen']['updates']} | {', '.join(map(str, sorted(trained)))} |"
        )
    return [*lines, "", *_claims(record), ""]


def _claims(record: dict[str, Any]) -> list[str]:
    """What is sure."""
    sure = [difference for difference in record["differences"] if difference["sure"]]
    if not sure:
        widest = max(record["differences"], key=lambda difference: abs(difference["mean"]))
        low, high = widest["interval"]
        return [
            f"No difference is sure, with all {len(record['differences'])} pairs accounted for. The largest is that of "
            f"{widest['first']} and {widest['second']}: {widest['mean']:+.2f}, with a 95 % interval, of this pair alone, "
            f"of {low:+.2f} to {high:+.2f}."
        ]
    return [
        f"Sure: {difference['first']} - {difference['second']} is {difference['mean']:+.2f}, 95 % interval "
        f"{difference['interval'][0]:+.2f} to {difference['interval'][1]:+.2f}."
        for difference in sure
    ]


def _together(records: list[dict[str, Any]]) -> list[str]:
    """What the tasks have in common."""
    pairs = sum(len(record["differences"]) for record in records)
    sure = sum(difference["sure"] for record in records for difference in record["differences"])
    return [
        "## What it shows",
        "",
        f"Of {pairs} differences between two families on {len(records)} tasks, {sure} are sure with this number of seeds.",
        "With a single seed, the family with the best score would have depended on the seed. Seeds with which each",
        "family is the best one (equal scores count for each):",
        "",
        *(f"- {about(record['task']).about}. {best_by_seed(record)}" for record in records),
        "",
        "`until_sure=True` adds seeds until one family is surely the best, or until the budget is spent.",
    ]


def best_by_seed(record: dict[str, Any]) -> str:
    """With how many seeds each family has the best score; equal scores count for each of them."""
    by_seed: dict[int, dict[str, float]] = {}
    for name, arm in record["arms"].items():
        for training in arm["trainings"]:
            by_seed.setdefault(training["seed"], {})[name] = training["score"]
    counts = Counter(name for scores in by_seed.values() for name in scores if scores[name] == max(scores.values()))
    return "; ".join(f"{name}: {count} of {len(by_seed)}" for name, count in counts.most_common())
