"""The generated pages are what their generator writes, and complete."""

import json
import re
import sys
from pathlib import Path

import pytest

import learnrate as lr
from learnrate.schedules.vocabulary import METHODS, RUNS, SCHEDULES

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import make  # noqa: E402


@pytest.mark.parametrize("page", make.PAGES)
def test_a_page_is_what_its_generator_writes(page):
    assert (ROOT / "docs" / page).read_text() == make.PAGES[page]() + "\n", "run python docs/make.py"


def test_the_gallery_shows_every_schedule_and_method():
    shown = " ".join(expression for entries in make.GALLERY.values() for expression in entries.values())
    titles = {title.split(",")[0] for entries in make.GALLERY.values() for title in entries}
    assert titles >= {*SCHEDULES, *RUNS, *METHODS}
    assert set(re.findall(r"[a-z_0-9]+", shown)) >= {*SCHEDULES, *RUNS, *METHODS}


def test_every_picture_of_the_gallery_is_there():
    named = set(re.findall(r"images/gallery/([^)]+)", (ROOT / "docs" / "gallery.md").read_text()))
    assert named == {path.name for path in make.PICTURES.glob("*.png")}
    assert len(named) == sum(map(len, make.GALLERY.values()))


@pytest.mark.parametrize("expression", [e for entries in make.GALLERY.values() for e in entries.values()])
def test_every_expression_of_the_gallery_is_a_schedule(expression):
    schedule = eval(expression, dict(make.NAMES))
    assert isinstance(schedule, lr.Schedule)
    functions = [make.smoothstep, make.halving_each_hundred]
    if "paper" not in expression:  # a class method, which prints what it makes
        text = re.sub(r"\b(smoothstep|halving_each_hundred)\b", r"make.\1", expression)
        assert lr.parse(text, functions) == schedule
    assert lr.parse(repr(schedule), functions) == schedule


def test_what_the_benchmark_page_says_was_measured_so():
    record = json.loads((ROOT / "benchmarks" / "results" / "schedules.json").read_text())
    assert record["rounds"] >= 5
    for table in record["tables"]:
        for row in table["rows"]:
            assert row["ratio"]["min"] <= row["ratio"]["median"] <= row["ratio"]["max"]
