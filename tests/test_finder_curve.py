"""The record of a range test, and its smoothing."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import learnrate as lr
from learnrate.errors import OutputError

LRS = np.geomspace(1e-6, 1.0, 60)


def some_curve(last=math.nan):
    losses = np.linspace(2.0, 1.0, 60)
    losses[-1] = last
    return lr.Curve(LRS, losses, {"accuracy": np.linspace(0, 1, 60)}, ("a note",))


@pytest.mark.parametrize("last", [0.5, math.nan, math.inf, -math.inf])
def test_save_and_load(tmp_path, last):
    curve = some_curve(last)
    curve.save(tmp_path / "curve.json")
    assert lr.Curve.load(tmp_path / "curve.json") == curve
    assert pickle.loads(pickle.dumps(curve)) == curve
    json.loads((tmp_path / "curve.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [path.name for path in tmp_path.iterdir()] == ["curve.json"]


def test_differs_where_it_differs():
    assert some_curve(0.5) != some_curve(0.6)
    assert some_curve() != "curve"
    assert lr.Curve(LRS, LRS) != lr.Curve(LRS, LRS, {"accuracy": LRS})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"learnrate": "plan", "version": 1}',
        '{"learnrate": "curve", "version": 99}',
        '{"learnrate": "curve", "version": 1, "lrs": [1]}',
    ],
)
def test_what_is_no_curve_is_not_loaded(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(OutputError, match=r"other\.json"):
        lr.Curve.load(path)


def test_a_missing_file_or_folder_is_named(tmp_path):
    with pytest.raises(OSError, match="cannot read"):
        lr.Curve.load(tmp_path / "none.json")
    with pytest.raises(OSError, match="cannot write"):
        some_curve().save(tmp_path / "none" / "curve.json")


@pytest.mark.parametrize(
    ("lrs", "losses", "words"),
    [
        ([1e-3, 1e-2], [1.0], "losses must be as long as lrs"),
        ([1e-2, 1e-3], [1.0, 1.0], "never falling"),
        ([0.0, 1e-3], [1.0, 1.0], "above 0"),
        ([1e-3, math.nan], [1.0, 1.0], "finite"),
        ([[1e-3]], [[1.0]], "one dimension"),
        (["a"], [1.0], "sequence of numbers"),
    ],
)
def test_impossible_curves_are_refused(lrs, losses, words):
    with pytest.raises(ValueError, match=words):
        lr.Curve(lrs, losses)


def test_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        some_curve().losses[0] = 0.0
    with pytest.raises(TypeError):
        some_curve().metrics["accuracy"] = 0.0


@given(st.floats(-1e6, 1e6), st.integers(1, 200), st.floats(0.5, 20))
def test_smoothing_keeps_a_constant(value, points, width):
    curve = lr.Curve(np.geomspace(1e-6, 1, points), np.full(points, value))
    np.testing.assert_allclose(curve.smoothed(width), value, rtol=1e-12)


@given(hnp.arrays(float, st.integers(1, 60), elements=st.floats(-10, 10)), st.data())
def test_smoothing_stays_within_the_losses(losses, data):
    holes = data.draw(hnp.arrays(bool, len(losses)))
    if holes.all():
        return
    known = losses[~holes]
    smoothed = lr.Curve(np.geomspace(1e-6, 1, len(losses)), np.where(holes, np.nan, losses)).smoothed(3.0)
    # Far from every finite loss the weights underflow, and nothing is known.
    smoothed = smoothed[np.isfinite(smoothed)]
    assert np.all(smoothed >= known.min() - 1e-9)
    assert np.all(smoothed <= known.max() + 1e-9)


def test_smoothing_removes_a_spike_and_shifts_nothing():
    losses = np.linspace(2.0, 1.0, 60)
    spiked = losses.copy()
    spiked[30] = 1000.0
    assert np.abs(lr.Curve(LRS, spiked).smoothed() - lr.Curve(LRS, losses).smoothed()).max() < 0.05
    step = np.where(np.arange(60) < 30, 2.0, 1.0)
    assert lr.Curve(LRS, step).smoothed()[29:31].mean() == pytest.approx(1.5, abs=1e-9)


def test_smoothing_without_a_finite_loss_knows_nothing():
    assert np.isnan(lr.Curve(LRS, np.full(60, np.nan)).smoothed()).all()


def test_smoothing_refuses_a_width_of_zero():
    with pytest.raises(ValueError, match="width must be above 0"):
        some_curve().smoothed(0)
