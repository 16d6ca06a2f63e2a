"""Parts of the page that each experiment has: its table, ours beside the paper's."""

from collections.abc import Iterable

from benchmarks.papers.experiment import Entry
from benchmarks.papers.report.results import Measured, Results, entries
from learnrate.study import Outcome

NOT_RUN = "not run"


def table(head: Iterable[str], rows: Iterable[Iterable[object]], numbers: bool = True) -> list[str]:
    """A table with an empty line after it; all columns but the first are numbers, or all are text."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|---" + ("|---:" if numbers else "|---") * (len(head) - 1) + "|"]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def accuracy(arm: Outcome | None) -> str:
    """Mean and deviation of an arm, with the number of seeds."""
    if arm is None:
        return ""
    number = len(arm.trainings)
    if number == 1:
        return f"**{arm.mean:.2f}** (1 seed)"
    return f"**{arm.mean:.2f}** ± {arm.std:.2f} ({number} seeds)"


def beside(results: Results, name: str) -> list[str]:
    """The table of an experiment: the paper's figure, and ours at each scale."""
    measured = results.of(name)
    names = list(dict.fromkeys(arm for result in measured for arm in entries(result)))
    rows = []
    for row in names:
        entry = next(entries(result)[row] for result in measured if row in entries(result))
        rows.append([row, *_paper(entry), *(accuracy(result.arm(row)) for result in measured)])
    return table(("", "updates", "paper", *(_head(result) for result in measured)), rows)


def _paper(entry: Entry) -> tuple[str, str]:
    figure = entry.row.paper_accuracy
    return f"{entry.row.paper_updates:,}", "" if figure is None else f"{figure:.1f}"


def _head(measured: Measured) -> str:
    return f"here, {measured.title}"


def assumed(measured: Measured) -> list[str]:
    """What the paper leaves open, and what differs from it."""
    by_text: dict[str, list[str]] = {}
    for name, entry in entries(measured).items():
        if entry.row.assumed:
            by_text.setdefault(entry.row.assumed, []).append(name)
    return [f"{'; '.join(names)}: {text}." for text, names in by_text.items()]


def ended_early(measured: Measured) -> list[str]:
    """Trainings that did not end as planned."""
    notes = [
        f"{arm.name}: {sum(training.updates < arm.updates for training in arm.trainings)} of {len(arm.trainings)} diverged"
        for arm in measured.comparison
        if any(training.updates < arm.updates for training in arm.trainings)
    ]
    failed = [f"{arm.name}: {len(arm.failures)} failed" for arm in measured.comparison if arm.failures]
    return [*notes, *failed]
