"""The figure of a curve, through what matplotlib drew."""

import math

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import learnrate as lr
from curves import LRS, POINTS, valley
from learnrate import figures
from learnrate.finder.figure import loss_range

CURVE = lr.Curve(LRS, valley(noise=0.05))
LOST = lr.Curve(LRS, np.full(POINTS, np.nan))


@pytest.fixture
def ax():
    return Figure().subplots()


def test_a_curve_is_drawn_into_the_given_axes(ax):
    assert CURVE.plot(ax=ax) is ax
    assert pyplot.get_fignums() == []
    raw, smoothed = (line.get_ydata() for line in ax.lines[:2])
    np.testing.assert_array_equal(raw, CURVE.losses)
    np.testing.assert_array_equal(smoothed, CURVE.smoothed())


def test_the_bounds_are_drawn_and_labelled(ax):
    CURVE.plot(ax)
    bounds = CURVE.bounds()
    assert {line.get_xdata()[0] for line in ax.lines[2:]} == {bounds.base_lr, bounds.max_lr, bounds.lr}
    labels = {text.get_text() for text in ax.texts}
    assert labels == {f"{name} {getattr(bounds, name):.2g}" for name in ("base_lr", "lr", "max_lr")}


@pytest.mark.parametrize("part", [slice(None), slice(40, 76), slice(50, 78)], ids=["far from", "max_lr at", "base_lr at"])
def test_the_labels_stay_within_the_axes(part, ax):
    lr.Curve(LRS[part], valley(noise=0.05)[part]).plot(ax)
    ax.figure.draw_without_rendering()
    assert {text.get_text().split()[0] for text in ax.texts} == {"base_lr", "lr", "max_lr"}
    for text in ax.texts:
        box = ax.transAxes.inverted().transform(text.get_window_extent())
        assert box.min() >= 0, text
        assert box.max() <= 1, text


def test_without_bounds_the_title_is_the_reason(ax):
    curve = lr.Curve(LRS, np.full(POINTS, 2.0))
    curve.plot(ax)
    assert curve.bounds().reason in ax.get_title(loc="left").replace("\n", " ")
    assert len(ax.lines) == 2


def test_a_merged_curve_is_drawn_with_its_sweeps_and_their_band(ax):
    curve = lr.Curve.merge(lr.Curve(LRS, valley(noise=0.05, seed=seed)) for seed in range(3))
    curve.plot(ax)
    lines = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == POINTS]
    for sweep in curve.sweeps:
        assert any(np.array_equal(line, sweep.smoothed()) for line in lines)
    assert "3 sweeps" in {text.get_text() for text in ax.get_legend().get_texts()}


@pytest.mark.parametrize(
    ("lrs", "scale"),
    [(np.geomspace(1e-6, 1, 60), "log"), (np.linspace(1e-3, 1, 60), "linear"), ([0.1], "log"), ([0.0], "linear")],
)
def test_the_lr_axis_has_the_scale_of_the_sweep(lrs, scale, ax):
    lr.Curve(lrs, np.arange(len(lrs))).plot(ax)
    assert ax.get_xscale() == scale


def test_divergence_is_cut_off(ax):
    losses = valley(noise=0.05)[:92]
    losses[-3:] = 1e3, 1e6, np.inf
    curve = lr.Curve(LRS[:92], losses, ended="not finite")
    curve.plot(ax)
    assert ax.get_ylim() == loss_range(curve)
    assert loss_range(curve)[0] < 0.5
    assert 2.3 < loss_range(curve)[1] < 4


def test_a_metric_is_drawn_in_full(ax):
    accuracy = np.where(np.arange(POINTS) % 10, np.nan, np.linspace(0.1, 0.9, POINTS))
    lr.Curve(LRS, valley(), {"accuracy": accuracy}).plot(ax, metric="accuracy")
    assert ax.get_ylabel() == "accuracy"
    low, high = ax.get_ylim()
    assert low < np.nanmin(accuracy)
    assert high > np.nanmax(accuracy)
    assert np.isfinite(ax.lines[0].get_ydata()).all()


@pytest.mark.parametrize(
    "curve",
    [lr.Curve([], []), lr.Curve([0.1], [math.nan]), LOST, lr.Curve.merge([LOST, LOST])],
    ids=["empty", "one", "NaN", "merged"],
)
def test_a_curve_without_finite_losses_has_a_figure(curve):
    figure, (ax,) = figures.new_figure(7, 4)
    curve.plot(ax)
    assert loss_range(curve) is None
    assert "</svg>" in figures.svg(figure)


@pytest.mark.slow
def test_many_losses_do_not_make_a_large_svg():
    lrs = np.geomspace(1e-7, 10.0, 20_000)
    figure, (ax,) = figures.new_figure(7, 4)
    lr.Curve(lrs, np.interp(np.log(lrs), np.log(LRS), valley(noise=0.05))).plot(ax)
    assert len(figures.svg(figure)) < 1_000_000
