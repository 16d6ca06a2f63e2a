"""The text of docs/frameworks.md."""

from collections.abc import Iterator

from tests.frameworks.table import FEATURES, FRAMEWORKS, NO, Shown, shown

EXPLAINED = {
    "schedule": "the optimizer uses the value of the schedule at every update",
    "resume": "a run that was interrupted goes on with the LRs of a run that was not",
    "two owners": "another writer of the LR is noticed: an error or a warning that names both",
    "range test": "a range test of the training, with exact give-back",
    "tune in place": "tuning at the start of the run that follows it, which is otherwise the run that it would have been",
    "accumulation": "updates are counted, not micro-batches",
    "skipped updates": "an update that the gradient scaler skips does not advance the schedule",
    "many processes": "updates are counted, not processes, and all processes use the same LRs",
    "LR in its logs": "the trainer's own logs show the LR that was used",
    "config text": "a schedule from the text of a configuration",
    "control": "controllers and people change the LR while training, and a run with them resumes exactly",
    "record": "what was really used, and why, is written to a file whose schedule repeats the run",
    "compare": "`lr.compare` trains a recipe of the framework with several schedules, paired by seed",
}


def text() -> Iterator[str]:
    """The lines of the page."""
    tests = _by_cell()
    notes = [reason for cell in _cells() if (reason := NO.get(cell)) is not None]
    numbers = {reason: number for number, reason in enumerate(dict.fromkeys(notes), start=1)}
    yield from ["# What works where", ""]
    yield "Each “yes” is shown by a test with the real framework, and links to its name; each “no” has its reason below."
    yield from ["", f"| | {' | '.join(FRAMEWORKS.values())} |", "|---|" + "---|" * len(FRAMEWORKS)]
    for feature in FEATURES:
        cells = (_cell((framework, feature), tests, numbers) for framework in FRAMEWORKS)
        yield f"| [{feature}](#what-the-rows-mean) | {' | '.join(cells)} |"
    yield from ["", "## What the rows mean", "", "| | |", "|---|---|"]
    yield from (f"| {feature} | {EXPLAINED[feature]} |" for feature in FEATURES)
    if numbers:
        yield from ["", "## Why not", ""]
        yield from (f'{number}. <span id="note-{number}"></span>{reason}' for reason, number in numbers.items())
    yield from ["", "## The tests", "", "Run one with `.venv/bin/python -m pytest FILE -k NAME`."]
    for framework, title in FRAMEWORKS.items():
        rows = [row for feature in FEATURES for row in _rows((framework, feature), tests)]
        if rows:
            yield from ["", f"### {title}", "", "| | test |", "|---|---|", *rows]


def _cells() -> list[tuple[str, str]]:
    return [(framework, feature) for feature in FEATURES for framework in FRAMEWORKS]


def _by_cell() -> dict[tuple[str, str], list[Shown]]:
    tests: dict[tuple[str, str], list[Shown]] = {}
    for test in shown():
        tests.setdefault(test.cell, []).append(test)
    return tests


def _anchor(cell: tuple[str, str]) -> str:
    return "-".join(cell).replace(" ", "-").lower()


def _cell(cell: tuple[str, str], tests: dict[tuple[str, str], list[Shown]], numbers: dict[str, int]) -> str:
    if cell in tests:
        return f"[yes](#{_anchor(cell)})"
    number = numbers.get(NO.get(cell, ""))
    return f"no [{number}](#note-{number})" if number else "not shown yet"


def _rows(cell: tuple[str, str], tests: dict[tuple[str, str], list[Shown]]) -> Iterator[str]:
    for place, test in enumerate(tests.get(cell, [])):
        name = cell[1] if place else f'<span id="{_anchor(cell)}"></span>{cell[1]}'
        yield f"| {name if not place else ''} | `tests/{test.path}`<br>`{test.test}` |"
