"""Curves of many updates: the same values as of short ones, in figures and pages of limited size."""

import numpy as np
import pytest

import learnrate as lr
from curves import LRS, POINTS, valley
from learnrate.figures import thinned
from learnrate.finder.season import period
from learnrate.finder.smoothing import MOST_WEIGHTS, convolved, smooth


def by_definition(losses, width):
    """The weighted mean of the neighbours up to four standard deviations away, one by one."""
    reach = int(np.ceil(4 * width))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    means = []
    for i in range(len(losses)):
        first, last = max(0, i - reach), min(len(losses), i + reach + 1)
        near, share = losses[first:last], weights[first - i + reach : last - i + reach]
        finite = np.isfinite(near)
        means.append(np.sum(share[finite] * near[finite]) / share[finite].sum() if finite.any() else np.nan)
    return np.array(means)


@pytest.mark.parametrize("width", [0.7, 3.0, 20.0, 50.0])
@pytest.mark.parametrize("level", [0.0, 1e4])
def test_smoothing_is_the_same_up_to_rounding_however_it_is_computed(width, level):
    losses = level + np.linspace(3.0, 1.0, 900) ** 2  # without spikes, the running median changes the ends alone
    losses[200:600] = np.nan  # partly out of reach of any loss
    means = by_definition(losses, width)
    np.testing.assert_allclose(smooth(losses, width)[50:-50], means[50:-50], rtol=0.02)
    random = np.random.default_rng(0)
    values, weights = level + random.standard_normal(3000), np.hanning(2 * MOST_WEIGHTS + 1)
    direct = np.convolve(values, weights, mode="same")
    np.testing.assert_allclose(convolved(values, weights), direct, rtol=1e-12, atol=1e-12)


def test_a_divergence_does_not_spoil_the_sums_out_of_its_reach():
    values, weights = np.ones(3000), np.ones(2 * MOST_WEIGHTS + 1)
    values[-5:] = 1e200
    np.testing.assert_allclose(convolved(values, weights)[1000:2500], 2 * MOST_WEIGHTS + 1, rtol=1e-12)
    assert np.all(convolved(values, weights)[-5:] > 1e200)


def test_a_constant_stays_constant_in_a_long_curve():
    np.testing.assert_allclose(smooth(np.full(20_000, 2.3)), 2.3, rtol=1e-12)


@pytest.mark.parametrize("cycle", [13, 250, 3000])
def test_the_period_of_a_long_series_is_found(cycle):
    count = np.arange(20_000)
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(count))
    assert period(np.linspace(2.3, 2.0, len(count)) + 0.2 * np.sin(2 * np.pi * count / cycle) + noise) == pytest.approx(
        cycle, rel=0.02
    )
    assert period(noise) is None


def test_the_drawn_part_of_a_series_keeps_its_extremes_and_ends():
    values = np.random.default_rng(0).standard_normal(50_000)
    values[12_345], values[33_333], values[100:9_000] = -50.0, 60.0, np.nan
    drawn = thinned(values, 1000)
    assert len(drawn) <= 1000
    assert {0, 12_345, 33_333, 49_999} <= set(drawn.tolist())
    assert np.all(np.diff(drawn) > 0)
    np.testing.assert_array_equal(thinned(values[:1000], 1000), np.arange(1000))
    assert len(thinned(np.full(5000, np.nan), 1000)) <= 1000


@pytest.mark.slow
def test_the_page_and_the_figure_of_a_long_merged_curve_are_small(tmp_path):
    pytest.importorskip("plotly")
    random = np.random.default_rng(0)
    lrs = np.geomspace(1e-7, 10.0, 50_000)
    losses = np.interp(np.log(lrs), np.log(LRS), valley())
    sweeps = [
        lr.Curve(lrs, losses + 0.05 * random.standard_normal(len(lrs)), {"size": random.random(len(lrs))}) for _ in range(3)
    ]
    curve = lr.Curve.merge(sweeps)
    curve.to_html(tmp_path / "curve.html")
    assert (tmp_path / "curve.html").stat().st_size < 8e6
    assert max(len(line.get_xdata()) for line in curve.plot().lines) <= 4000
    short = lr.Curve(LRS, valley(noise=0.05)).bounds()
    assert 1 / 2 < curve.bounds().max_lr / short.max_lr < 2


@pytest.mark.parametrize("points", [POINTS, 900, 6000])
@pytest.mark.parametrize("cycle", [13, 15, 18])
@pytest.mark.parametrize("size", [0.02, 0.1])
def test_batches_in_a_fixed_order_change_no_bounds(points, cycle, size):
    """What repeats shrinks with the loss, as the batches differ less when the model has learned them."""
    lrs, count = np.geomspace(1e-7, 10.0, points), np.arange(points)
    ripple = 1 + size * np.sin(2 * np.pi * count / cycle)
    for seed in range(4 if points == POINTS else 1):
        noise = 0.001 * np.random.default_rng(seed).standard_normal(points)
        losses = np.interp(np.log(lrs), np.log(LRS), valley(6e-3, 0.28))
        shuffled, bounds = (lr.Curve(lrs, series + noise).bounds() for series in (losses, losses * ripple))
        for name in ("base_lr", "max_lr"):
            assert 1 / 1.5 < getattr(bounds, name) / getattr(shuffled, name) < 1.5, (name, seed)


@pytest.mark.parametrize("cycle", [11, 16, 20, 40])
@pytest.mark.parametrize("place", [0.0, 0.5])
def test_a_ripple_that_is_as_large_as_a_fall_gives_no_answer(cycle, place):
    """It falls, rises and falls again while nothing is learned, and may be too slow to be seen as a period."""
    count = np.arange(120)
    ripple = 0.2 * np.sin(2 * np.pi * (count / cycle + place))
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(count))
    assert not lr.Curve(np.geomspace(1e-7, 1.0, len(count)), 2.3 + ripple + noise).bounds()
