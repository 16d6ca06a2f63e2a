"""Figure 3 of the CLR paper: what the page says of the range tests by accuracy."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.papers import records
from benchmarks.papers.range_tests import RANGE_TESTS
from benchmarks.papers.report.tables import table

NAME = "clr-figure-3"


@dataclass(frozen=True)
class Tested:
    """Range tests at one scale.

    Attributes:
        scale: Factor on their length.
        tests: One for each seed: LRs, accuracies, and the bounds that the rule read off.
    """

    scale: float
    tests: tuple[dict[str, Any], ...]


def range_tests(name: str = NAME, folder: Path = records.RESULTS) -> list[Tested]:
    """The tests at each scale, the largest first."""
    contents = [
        (scale, json.loads(records.path_of(name, scale, folder).read_text())) for scale in records.scales(name, folder)
    ]
    return [Tested(scale, tuple(content["tests"])) for scale, content in contents if content["tests"]]


def runs(name: str, folder: Path = records.RESULTS) -> str:
    """What was run, for the table of experiments; nothing if it was not."""
    return "<br>".join(f"scale {tested.scale:g}: {len(tested.tests)} tests" for tested in range_tests(name, folder))


def section(folder: Path = records.RESULTS) -> Iterator[str]:
    """The section of the page; nothing without a record."""
    measured, test = range_tests(NAME, folder), RANGE_TESTS[NAME]
    if not measured:
        return
    low, high = test.paper
    yield from [f"## {test.title}", "", f"{test.source}.", "", f"![{test.title}](images/papers/figure-3.png)", ""]
    rows: list[list[str]] = [["paper, read by eye", "", f"{low:g}", f"{high:g}"]]
    for tested in measured:
        for result in tested.tests:
            bounds = [result["base_lr"], result["max_lr"]]
            shown = ["no answer", ""] if bounds[0] is None else [f"{bound:.2g}" for bound in bounds]
            rows.append([f"here, scale {tested.scale:g}", str(result["seed"]), *shown])
    yield from table(("", "seed", "base_lr", "max_lr"), rows)
    yield from [
        f"Read off by the rule `learnrate.rules.accuracy`. `make paper NAME={NAME} SCALE={measured[0].scale:g}`",
        "",
    ]
