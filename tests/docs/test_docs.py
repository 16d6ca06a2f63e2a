"""The generated pages are complete, and what docs/make.py writes."""

import json
import re
import sys
from pathlib import Path

import pytest
from benchmarks.choice import pictures, results

import learnrate as lr
from learnrate.schedules.vocabulary import METHODS, RUNS, SCHEDULES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import make  # noqa: E402

from parity_table import DOCUMENTED  # noqa: E402


@pytest.mark.parametrize("page", make.PAGES)
def test_a_page_is_what_its_generator_writes(page):
    assert (ROOT / "docs" / page).read_text() == make.PAGES[page]() + "\n", "run python docs/make.py"


def test_the_gallery_shows_every_schedule_and_method():
    shown = " ".join(expression for entries in make.GALLERY.values() for expression in entries.values())
    titles = {title.split(",")[0] for entries in make.GALLERY.values() for title in entries}
    assert titles >= {*SCHEDULES, *RUNS, *METHODS}
    assert set(re.findall(r"[a-z_0-9]+", shown)) >= {*SCHEDULES, *RUNS, *METHODS}


def test_the_gallery_has_exactly_the_pictures_that_it_shows():
    shown = set(re.findall(r"images/gallery/([^)]+)", (ROOT / "docs" / "gallery.md").read_text()))
    assert shown == {path.name for path in make.PICTURES.glob("*.png")}
    assert len(shown) == sum(map(len, make.GALLERY.values()))


@pytest.mark.slow
def test_the_pictures_of_the_choices_are_drawn_from_the_records_and_shown():
    measured = results.read()
    drawn = {path.name: pictures.drawn_from(path) for path in make.CHOICE_PICTURES.glob("*")}
    assert drawn == {f"{name}.png": pictures.origin(measured) for name in pictures.named(measured)}, (
        "run python docs/make.py"
    )
    assert set(re.findall(r"images/choice/([^)]+)", (ROOT / "docs" / "choice.md").read_text())) == set(drawn)


@pytest.mark.parametrize("expression", [e for entries in make.GALLERY.values() for e in entries.values()])
def test_every_expression_of_the_gallery_is_a_schedule(expression):
    schedule = eval(expression, dict(make.NAMES))
    assert isinstance(schedule, lr.Schedule)
    functions = [make.smoothstep, make.halving_each_hundred]
    if "paper" not in expression:  # a class method, which prints what it returns
        text = re.sub(r"\b(smoothstep|halving_each_hundred)\b", r"make.\1", expression)
        assert lr.parse(text, functions) == schedule
    assert lr.parse(repr(schedule), functions) == schedule


def test_reached_means_that_the_median_is_within_the_target():
    record = json.loads((ROOT / "benchmarks" / "results" / "schedules.json").read_text())
    assert record["rounds"] >= 5
    for table in record["tables"]:
        for row in table["rows"]:
            least = re.search(r"at least ([\d.]+)", row["target"])
            most = re.search(r"at most ([\d.]+)", row["target"])
            if least or most:
                median = row["ratio"]["median"]
                assert row["reached"] == (median >= float(least[1]) if least else median <= float(most[1])), row


def test_range_tests_were_measured_against_every_peer():
    record = json.loads((ROOT / "benchmarks" / "results" / "range_test.json").read_text())
    assert record["rounds"] >= 7
    for model in record["models"]:
        assert list(model["ratios"]) == ["learnrate", "pytorch-lr-finder", "Lightning", "fastai"]
        assert model["reached"] == (model["ratios"]["learnrate"]["median"] <= model["target"])
        assert {len(values) for values in model["seconds"].values()} == {record["rounds"]}


@pytest.mark.parametrize("peer", DOCUMENTED)
def test_the_expressions_for_libraries_that_are_not_installed_are_schedules(peer):
    settings = {
        "base_lr": 0.1, "max_lr": 0.1, "lr_max": 0.1, "length": 100, "start": 0.1, "end": 0.01, "gamma": 0.5, "power": 2.0,
        "stepsize": 10, "stepvalue": (10, 20), "max_iter": 100, "a": lr.linear(0, 1, 5), "b": lr.constant(1),
    }  # fmt: skip
    for theirs, ours in DOCUMENTED[peer].items():
        if "sigmoid" in theirs:
            settings["gamma"] = -0.5  # Caffe's sign
        schedules = eval(ours, {**make.NAMES, **settings})
        assert all(isinstance(s, lr.Schedule) for s in (schedules if isinstance(schedules, tuple) else (schedules,)))


def test_the_figures_of_the_page_on_trust_are_those_of_the_measurements():
    measured = " ".join((ROOT / "docs" / "choice.md").read_text().split())
    page = " ".join((ROOT / "docs" / "choosing.md").read_text().split())
    by_length = re.findall(r"\| ([\d,]+ to [\d,]+) \| (\d+) \| ([\d.]+, worst [\d.]+, at \d+ %) \|", page)
    assert len(by_length) == 3
    for updates, tasks, result in by_length:
        assert re.search(rf"\| {updates} \| {tasks} \|[^|]*\| {re.escape(result)} \|", measured), result
    assert re.search(r"contains the best LR of the grid in (\d+ of \d+) choices", measured)[1] in page
    assert re.search(r"on (\d+) small real tasks", measured)[1] == re.search(r"On (\d+) tasks", page)[1]


def test_the_losses_of_the_usual_lr_with_lora_are_those_of_the_measurements():
    rows = re.findall(r"`fashion_lora\d+`.*", (ROOT / "docs" / "choice.md").read_text())
    lost = [re.search(r"\| (-?[\d.]+) \| [^|]+ \| ([\d.]+) \(usual\)", row).groups() for row in rows]
    page = (ROOT / "docs" / "how-to" / "lora.md").read_text()
    assert "loses {} and {} points".format(*(round(float(usual)) for _, usual in lost)) in page
    assert max(float(ours) for ours, _ in lost) <= 1
