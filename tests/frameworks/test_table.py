"""The table of docs/frameworks.md: each cell is shown by a test, or has a reason."""

import re

import pytest
from tests.frameworks import page
from tests.frameworks.table import FEATURES, FRAMEWORKS, NO, TESTS, shown

import learnrate as lr

CELLS = {(framework, feature) for framework in FRAMEWORKS for feature in FEATURES}
SHOWN = {test.cell for test in shown()}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_cell_is_shown_by_a_test_or_has_a_reason(framework):
    cells = {cell for cell in CELLS if cell[0] == framework}
    assert sorted(cells - SHOWN - set(NO)) == []


def test_marks_and_reasons_name_cells_of_the_table():
    assert sorted(SHOWN - CELLS) == []
    assert sorted(set(NO) - CELLS) == []


def test_no_cell_has_both_a_test_and_a_reason():
    assert sorted(SHOWN & set(NO)) == []


def test_reasons_are_sentences():
    for reason in NO.values():
        assert re.fullmatch(r"[A-Z`].{20,}\.", reason, re.DOTALL), reason


def test_what_is_marked_is_a_test_that_pytest_collects():
    for test in shown():
        assert test.test.startswith("test_"), test
        assert (TESTS / test.path).is_file()


def test_frameworks_are_modules_and_features_are_explained():
    assert set(FRAMEWORKS) <= set(dir(lr))
    assert tuple(page.EXPLAINED) == FEATURES


def test_a_cell_of_the_page_is_yes_no_or_open(monkeypatch):
    """The three forms of a cell, whatever the table holds today."""
    test = page.Shown(("torch", "resume"), "torch/driving/test_scheduler.py", "test_it_resumes")
    monkeypatch.setattr(page, "shown", lambda: [test])
    monkeypatch.setattr(page, "NO", {("jax", "resume"): "A reason.", ("keras", "accumulation"): "A reason."})
    text = "\n".join(page.text())
    (row,) = [line for line in text.splitlines() if line.startswith("| [resume]")]
    assert row.split(" | ")[1:3] == ["[yes](#torch-resume)", "no [1](#note-1)"]
    assert row.count("not shown yet") == len(FRAMEWORKS) - 2
    assert '<span id="torch-resume"></span>' in text
    assert "`test_it_resumes`" in text
    assert text.count("A reason.") == 1  # one note for both cells
