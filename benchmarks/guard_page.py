"""The page docs/guard-results.md, from the records of the guard's benchmarks: none of its numbers is written by hand."""

import json
from collections.abc import Sequence
from statistics import mean, stdev

from benchmarks.choice.about import about
from benchmarks.guard import AT, CLEAN_SEEDS, CYCLE, FAULTS, PATH, SEEDS, TASKS, UPDATES, Run, recorded
from benchmarks.measure import RESULTS

COMPLETE = len(CLEAN_SEEDS) + len(SEEDS) * (1 + 2 * len(FAULTS))
"""Training runs of a task."""


def text() -> list[str]:
    """The lines of the page."""
    return ["# What a guard saves, and what it costs", "", *saved(), *false_alarms(), *costs()]


def tasks_on_record(runs: Sequence[Run]) -> list[str]:
    """Tasks all of whose training runs are there."""
    return [name for name in TASKS if sum(run.task == name for run in runs) >= COMPLETE]


def noise(runs: Sequence[Run], task: str) -> tuple[float, float]:
    """Mean of the runs without faults, and how far the mean of three others may be from it: two standard errors."""
    points = [run.test for run in runs if (run.task, run.fault, run.guarded) == (task, "none", False)]
    return mean(points), 2 * stdev(points) * (1 / len(SEEDS) + 1 / len(points)) ** 0.5


def points_of(runs: Sequence[Run], task: str, fault: str, guarded: bool) -> list[float]:
    """The points of the training runs of a kind."""
    return [run.test for run in runs if (run.task, run.fault, run.guarded) == (task, fault, guarded)]


def saved() -> list[str]:
    """The section on injected faults."""
    runs = list(recorded().values())
    names = tasks_on_record(runs)
    headers = [entry["header"] for entry in map(json.loads, PATH.read_text().splitlines()) if "header" in entry]
    within, without = (sum(_within(runs, name, fault, by) for name in names for fault in FAULTS) for by in (True, False))
    lines = [
        "## Injected faults",
        "",
        f"{len(names)} trainings of [the benchmark of choices](choice.md), at their best LR there, over {UPDATES:,} updates",
        f"in two cycles of {CYCLE}; a fault in the data is at update {AT}. Points on test data (100 is perfect): mean over",
        f"{len(SEEDS)} seeds, and in brackets what is lost. Without a fault: mean over {len(CLEAN_SEEDS)} seeds, and the",
        f"noise, two standard errors of the difference to a mean over {len(SEEDS)}. The guard has its defaults. Bold:",
        f"within the noise of the run without a fault, or above: {within} of {len(names) * len(FAULTS)} with the guard,",
        f"{without} without it. The constants of the guard were chosen while these trainings were looked at.",
        "",
        "| | no fault | no fault, guard | fault | without guard | with guard | left out, rollbacks |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        clean, width = noise(runs, name)
        first = [about(name).about, f"{clean:.2f} ± {width:.2f}", _cell(points_of(runs, name, "none", True), clean, width)]
        for fault in FAULTS:
            guarded = [run for run in runs if (run.task, run.fault, run.guarded) == (name, fault, True)]
            did = f"{mean(run.skips for run in guarded):.1f}, {mean(run.rollbacks for run in guarded):.1f}"
            cells = [*first, fault]
            cells += [_cell(points_of(runs, name, fault, with_guard), clean, width) for with_guard in (False, True)]
            lines.append("| " + " | ".join([*cells, did]) + " |")
            first = ["", "", ""]
    return [
        *lines,
        "",
        f"Made by `python -m benchmarks.guard`, which needs data sets; guard: `{headers[-1]['guard']}`.",
        "The record, with what the guard reported in each run:",
        "[benchmarks/results/guard.jsonl](../benchmarks/results/guard.jsonl).",
        "",
    ]


def _within(runs: Sequence[Run], name: str, fault: str, guarded: bool) -> bool:
    clean, width = noise(runs, name)
    return mean(points_of(runs, name, fault, guarded)) >= clean - width


def _cell(points: Sequence[float], clean: float, width: float) -> str:
    figure = f"{mean(points):.2f} ({clean - mean(points):.2f})"
    return f"**{figure}**" if mean(points) >= clean - width else figure


def false_alarms() -> list[str]:
    """The section on simulated healthy runs."""
    record = json.loads((RESULTS / "guard_alarms.json").read_text())
    rows = record["rows"]
    runs = record["runs"]
    lines = [
        "## False alarms",
        "",
        f"{runs:,} simulated healthy runs of {record['updates']:,} updates for each combination of a course of the loss and",
        "its noise, whose size is 0.3, 3 or 20 % of the loss: runs in which a batch was left out without need, and runs",
        "that were rolled back.",
        "",
    ]
    noises = list(dict.fromkeys(row["noise"] for row in rows))
    lines += ["| | " + " | ".join(noises) + " |", "|---" * (len(noises) + 1) + "|"]
    for course in dict.fromkeys(row["course"] for row in rows):
        cells = {row["noise"]: row for row in rows if row["course"] == course}
        figures = (f"{cells[noise]['runs with a skip']}, {cells[noise]['runs with a rollback']}" for noise in noises)
        lines.append(f"| {course} | " + " | ".join(figures) + " |")
    skips, updates = sum(row["skips"] for row in rows), len(rows) * runs * record["updates"]
    rollbacks = sum(row["runs with a rollback"] for row in rows)
    return [
        *lines,
        "",
        f"In all, one batch in {updates // max(1, skips):,} was left out, most of them with the heaviest tails;",
        f"{rollbacks} of {len(rows) * runs:,} runs were rolled back. Made by `python -m benchmarks.guard_alarms`.",
        "",
    ]


def costs() -> list[str]:
    """The section on what snapshots and the guard cost."""
    record = json.loads((RESULTS / "control.json").read_text())
    share, ms = record["share"], record["snapshot_ms"]

    def span(figures: dict[str, float], digits: str) -> str:
        return f"{figures['median']:{digits}} ({figures['min']:{digits}} to {figures['max']:{digits}})"

    return [
        "## What it costs",
        "",
        "10 million parameters and Adam: 114 MiB a snapshot. Processor time in one thread on",
        f"{record['hardware']['processor']}, median and range of {record['rounds']} rounds.",
        "",
        "| | |",
        "|---|---|",
        f"| a snapshot in memory | {span(ms['memory'], '.1f')} ms |",
        f"| a bare copy of the same bytes | {span(ms['copy'], '.1f')} ms |",
        f"| a snapshot on disk | {span(ms['disk'], '.1f')} ms |",
        f"| `observe` and the guard at each update | {span(record['update_us'], '.1f')} µs |",
        f"| both, of updates of 5 ms with a snapshot every {record['every']} | {span(share, '.2%')} |",
        "",
        f"The target is {record['target']:.0%}: {'reached' if share['median'] <= record['target'] else 'missed'}.",
        "Made by `python -m benchmarks.control`.",
        "",
    ]
