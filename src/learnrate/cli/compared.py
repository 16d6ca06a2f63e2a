"""What `learnrate compare` and `learnrate report` print."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from learnrate import records
from learnrate.cli.report import print_section
from learnrate.errors import ArgumentError
from learnrate.study import Comparison, MedianTime
from learnrate.study.report import summary
from learnrate.study.report.ranking import ranked

MOST_SENTENCES = 10
"""Sentences of differences that are printed; the report has all of them."""

MOST_NOTES = 20
"""Notes that are printed."""

WIDE, NUMBERS_WIDE, NUMBERS, SHORTEST = 124, 100, 66, 12
"""Characters: of a terminal in which everything fits into one table; of the columns of numbers in that table, and in the
ranking alone; and of a name, at least."""


def print_compared(console: Console, comparison: Comparison, target: float | str | None) -> None:
    """The answer, the ranking, the differences, the times to a target, the notes."""
    console.print(f"\n[bold]{escape(summary.answer(comparison))}[/bold]\n")
    times, goal, reason = _times(comparison, target)
    for number, table in enumerate(_tables(console, comparison, times, goal) if comparison.ranking() else ()):
        if number:
            console.print()
        console.print(table)
    sentences = summary.sentences(comparison)
    if sentences:
        print_section(console, "Differences", _limited(sentences, MOST_SENTENCES, "pairs"))
    if goal is not None and times:
        lines = [f"{name}: {time}" for name, time in times.items()]
        lines += [reason] if reason else summary.speedups(comparison, goal)
        print_section(console, f"Updates to a {comparison.score_title} of {goal:.4g}", tuple(lines))
    elif reason:
        print_section(console, "Target", (reason,))
    notes = summary.notes(comparison)
    if notes:
        print_section(console, "Notes", _limited(notes, MOST_NOTES, "notes"))
    print_section(console, "In all", tuple(f"{name}: {value}" for name, value in summary.facts(comparison)))


def _limited(lines: list[str], most: int, what: str) -> tuple[str, ...]:
    more = len(lines) - most
    return (*lines[:most], *([f"and {more} more {what}, which the report has"] if more > 0 else []))


def _times(comparison: Comparison, target: float | str | None) -> tuple[dict[str, MedianTime], float | None, str]:
    """The times to the target, the target as a number, and why there are none."""
    if target is None:
        return {}, None, ""
    goal = None
    try:
        goal = comparison.target(target)
        return summary.medians(comparison, goal), goal, ""
    except ArgumentError as error:  # after the trainings, which an error would lose
        return {}, goal, str(error)


def _tables(console: Console, comparison: Comparison, times: dict[str, MedianTime], goal: float | None) -> Iterator[Table]:
    """The ranking with times and costs; these in a table of their own if the terminal is narrow."""
    names, rows = {}, ranked(comparison)
    wide = console.width >= WIDE
    for row in rows:
        names[row.arm.name] = _name(row.arm.name, console.width - (NUMBERS_WIDE if wide else NUMBERS))
    compared: dict[str, list[str]] = {comparison.score_title: []}
    if len(rows) > 1:
        compared |= {"difference": [], "95 % interval": [], "probability": []}
    spent: dict[str, list[str]] = {**({f"updates to {goal:.4g}": []} if times else {}), "updates": [], "seconds": []}
    for row in rows:
        cells = [f"{summary.score(row.arm.mean)} {summary.spread(comparison, row.arm.name)}".strip()]
        cells += [summary.difference(row), summary.interval(row), summary.probability(row)] if len(rows) > 1 else []
        for column, cell in zip(compared.values(), cells, strict=True):
            column.append(cell)
        costs = [summary.median(times[row.arm.name])] if times else []
        for column, cell in zip(spent.values(), [*costs, *summary.cost(row.arm.cost)], strict=True):
            column.append(cell)
    for columns in [compared | spent] if wide else [compared, spent]:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("  schedule")
        for heading in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for name, cells_of in zip(names.values(), zip(*columns.values(), strict=True), strict=True):
            table.add_row(f"  {escape(name)}", *cells_of)
        yield table


def _name(name: str, width: int) -> str:
    longest = max(width, SHORTEST)
    return name if len(name) <= longest else f"{name[: longest - 3]}..."


def comparison_json(comparison: Comparison, target: float | str | None) -> dict[str, Any]:
    """The comparison as --json prints it; the study holds every loss."""
    times, goal, reason = _times(comparison, target)
    arms = {
        arm.name: {
            "schedule": arm.schedule,
            "updates": arm.updates,
            "seeds": [training.seed for training in arm.trainings],
            "scores": [records.encode_float(score) for score in arm.scores],
            "mean": records.encode_float(arm.mean) if arm.trainings else None,
            "std": records.encode_float(arm.std) if len(arm.trainings) > 1 else None,
            "max_lr": None if arm.chosen is None else arm.chosen.max_lr,
            "cost": asdict(arm.cost),
            "failures": {str(seed): failure.error for seed, failure in arm.failures.items()},
            **({"to_target": _time_json(times[arm.name])} if arm.name in times else {}),
        }
        for arm in comparison
    }
    return {
        "answer": summary.answer(comparison),
        "best": comparison.best(),
        "ranking": [arm.name for arm in comparison.ranking()],
        "metric": comparison.metric,
        "higher_is_better": comparison.higher_is_better,
        "updates": comparison.updates,
        "arms": arms,
        "differences": [difference.as_record() for difference in comparison.differences()],
        "target": goal,
        "target_note": reason,
        "cost": asdict(comparison.cost),
        "notes": summary.notes(comparison),
    }


def _time_json(time: MedianTime) -> dict[str, Any]:
    return {
        "runs": time.runs,
        "reached": time.reached,
        "median": records.encode_float(time.median),
        "interval": [records.encode_float(end) for end in time.interval],
        "coverage": time.coverage,
    }
