"""What a curve and its bounds print as, in a terminal and in a notebook."""

import re
import sys

import numpy as np
import pytest

import learnrate as lr
from curves import LRS, POINTS, valley, words

LOSSES = valley(noise=0.05)
CURVE = lr.Curve(LRS, LOSSES, {"accuracy": np.linspace(0, 1, POINTS)}, ("a note",), 30, seeds=(7,), skipped=(2, 2))
MERGED = lr.Curve.merge(lr.Curve(LRS[:90], valley(noise=0.05, seed=s)[:90], seeds=(s,), ended="diverged") for s in range(3))
FLAT = lr.Curve(LRS, np.full(POINTS, 2.0))
NASTY = "<script>\n\n" + "x" * 500
MANY = np.geomspace(1e-6, 1, 5000), np.full(5000, np.nan), {f"{NASTY} {number}": np.zeros(5000) for number in range(20)}
LARGE = lr.Curve(
    *MANY,
    (NASTY,) * 20,
    30,
    "not finite",
    seeds=range(200),
    skipped=[0] * 50,
    sweeps=[lr.Curve(*MANY)] * 20,
)
OBJECTS = {
    "curve": CURVE,
    "merged": MERGED,
    "flat": FLAT,
    "large": LARGE,
    "empty": lr.Curve([], []),
    "bounds": CURVE.bounds(),
    "reasons": CURVE.bounds().reasons,
    "intervals": CURVE.bounds().intervals,
    "no answer": FLAT.bounds(),
}


@pytest.mark.parametrize("item", OBJECTS.values(), ids=OBJECTS)
def test_every_object_prints_in_a_dozen_lines(item):
    lines = repr(item).split("\n")
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 160
    assert item._repr_html_().count("<div>") == 1


def test_a_curve_prints_what_a_user_wants_to_know():
    facts = words(repr(CURVE))
    assert {"100", "1e-07", "10"} <= facts, "updates and LRs"
    assert {f"{LOSSES[0]:.3g}", f"{LOSSES[-1]:.3g}", f"{LOSSES.min():.3g}", f"{LRS[LOSSES.argmin()]:.2g}"} <= facts
    assert {"swept", "7", "accuracy", "30", "2", "note"} <= facts


def test_a_merged_curve_prints_its_sweeps_and_how_it_ended():
    facts = words(repr(MERGED))
    assert {"90", "3", "sweeps", "0", "1", "2", "diverged"} <= facts


def test_losses_that_are_not_finite_are_counted():
    assert {"4", "finite"} <= words(repr(lr.Curve(LRS, [*LOSSES[:-4], np.nan, np.inf, np.nan, np.inf])))
    assert {"no", "finite"} <= words(repr(LARGE))


def test_bounds_print_their_numbers_intervals_and_reasons():
    bounds = CURVE.bounds()
    for text in (repr(bounds), bounds._repr_html_()):
        for name in ("base_lr", "max_lr", "lr"):
            assert f"{getattr(bounds, name):.2g}" in words(text)
            assert {f"{end:.2g}" for end in getattr(bounds.intervals, name)} <= words(text)
        assert all(sentence in text for sentence in bounds.reasons)
    assert "descent" in words(repr(bounds))


def test_no_answer_prints_its_reason_and_remedy():
    answer = FLAT.bounds()
    for text in (repr(answer), answer._repr_html_()):
        assert answer.reason in text
        assert answer.remedy in text


def test_printing_does_not_compute_the_bounds(monkeypatch):
    monkeypatch.setattr(lr.Curve, "bounds", lambda self, rule=None: pytest.fail("computed"))
    assert repr(CURVE)


@pytest.mark.parametrize("curve", [CURVE, MERGED, FLAT], ids=["bounds", "merged", "no answer"])
def test_a_notebook_shows_the_summary_the_reasons_and_the_figure(curve):
    text = curve._repr_html_()
    bounds = curve.bounds()
    assert "100" in words(text) or "90" in words(text)
    for sentence in bounds.reasons if bounds else (bounds.reason, bounds.remedy):
        assert sentence in text
    assert text.count("<svg") == 1
    assert not re.search(r"<script|https?://(?!www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)", text)


def test_a_notebook_without_matplotlib_shows_the_summary_and_how_to_install_it(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    text = CURVE._repr_html_()
    assert "<svg" not in text
    assert "accuracy" in text
    assert "learnrate[plots]" in text


def test_names_and_notes_are_escaped_in_a_notebook():
    assert "<script" not in LARGE._repr_html_()
