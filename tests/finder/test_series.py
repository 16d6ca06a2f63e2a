"""Trends, oscillations and seasons of series; the rule of the CLR paper; curves whose bounds are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import learnrate as lr
from curves import LRS, POINTS, valley, words
from facts import facts
from learnrate.finder.season import period, without_season
from learnrate.finder.series import flattens, ragged, trend

LEAST = np.full(POINTS, 0.01)


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=30))
def test_the_trend_has_the_sign_of_kendalls_tau(values):
    """Because scipy's tau-b against time has the same numerator."""
    values = np.array(values, dtype=float)
    statistic = trend(values)
    if np.ptp(values) == 0:
        assert statistic == 0
        return
    tau = stats.kendalltau(np.arange(len(values)), values).statistic
    assert np.sign(round(statistic, 9)) in (0, np.sign(round(tau, 9)))
    assert trend(-values) == pytest.approx(-statistic)


def test_the_trend_has_the_value_of_a_published_example():
    """Gilbert (1987), Statistical Methods for Environmental Pollution Monitoring, section 16.4."""
    rising = np.array([10.0, 15.0, 14.0, 20.0])  # S = 4, the variance is 8.667
    assert trend(rising) == pytest.approx((4 - 1) / np.sqrt(4 * 3 * 13 / 18))


def test_noise_has_a_significant_trend_as_rarely_as_a_normal_variable():
    trends = [trend(np.random.default_rng(seed).standard_normal(40)) for seed in range(500)]
    assert np.mean(np.abs(trends) > 1.96) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_the_position_at_which_a_fall_flattens(seed):
    noise = 0.05 * np.random.default_rng(seed).standard_normal(100)
    losses = np.concatenate([np.linspace(2.0, 1.0, 50), np.ones(50)]) + noise
    assert 35 <= flattens(losses, 10, 99) <= 65
    assert flattens(np.linspace(2.0, 1.0, 100) + noise, 10, 99) is None
    slow = np.concatenate([np.linspace(2.0, 1.0, 30), np.linspace(1.0, 0.7, 70)]) + noise
    assert flattens(slow, 10, 99) is None, "a slow fall still falls"


@pytest.mark.parametrize("seed", range(5))
def test_the_position_at_which_a_series_begins_to_oscillate(seed):
    random = np.random.default_rng(seed)
    calm = np.linspace(2.0, 1.0, 100) + 0.02 * random.standard_normal(100)
    assert ragged(calm, 20, 20, LEAST) is None
    spiked = calm.copy()
    spiked[70] = 9.0
    assert ragged(spiked, 20, 20, LEAST) is None, "one spike is not an oscillation"
    oscillating = calm + np.where(np.arange(100) >= 60, 0.4 * (-1.0) ** np.arange(100), 0.0)
    assert 52 <= ragged(oscillating, 20, 20, LEAST) <= 64


@pytest.mark.parametrize("cycle", [4, 7, 10])
def test_a_season_is_found_and_removed(cycle):
    season = np.arange(POINTS) % cycle / (cycle - 1) - 0.5
    noise = 0.03 * np.random.default_rng(0).standard_normal(POINTS)
    assert period(valley() + 0.8 * season + noise) == cycle
    assert period(valley() + noise) is None
    np.testing.assert_allclose(without_season(np.full(POINTS, 2.0) + 0.6 * season), 2.0, atol=1e-9)


@pytest.mark.parametrize("cycle", [4, 7, 10])
@pytest.mark.parametrize("seed", range(5))
def test_sorted_data_gives_the_bounds_of_the_curve_without_its_season(cycle, seed):
    season = 0.8 * (np.arange(POINTS) % cycle / (cycle - 1) - 0.5)
    shuffled = lr.Curve(LRS, valley(noise=0.05, seed=seed)).bounds()
    bounds = lr.Curve(LRS, valley(noise=0.05, seed=seed) + season).bounds()
    for name in ("base_lr", "max_lr"):
        assert 1 / 2.5 < getattr(bounds, name) / getattr(shuffled, name) < 2.5
    smoothed = lr.Curve(LRS, valley(noise=0.05, seed=seed) + season).smoothed()
    assert np.abs(np.diff(smoothed[:40])).max() < 0.1


@pytest.mark.parametrize("cycle", [2, 5, 10])
@pytest.mark.parametrize("seed", range(10))
def test_a_season_alone_gives_no_answer(cycle, seed):
    season = 0.8 * (np.arange(POINTS) % cycle / (cycle - 1) - 0.5)
    losses = 2.3 + season + 0.1 * np.random.default_rng(seed).standard_normal(POINTS)
    assert not lr.Curve(LRS, losses).bounds()


KNOWN = {
    "noisy": (valley(noise=0.15), (5e-4, 6e-3), (0.02, 0.1)),
    "spiked": (np.where(np.arange(POINTS) % 17 == 3, 30.0, valley(noise=0.02)), (5e-4, 4e-3), (0.02, 0.1)),
    "plateau": (np.maximum(valley(1e-5, 0.1, 0.02), 1.2), (5e-6, 6e-5), (0.01, 0.1)),
    "two falls": (np.where(LRS > 1.0, 0.4, np.minimum(valley(1e-5, 1e-2, 0.02), 4.0)), (5e-6, 6e-5), (2e-3, 1e-2)),
    "falling": (np.linspace(2.3, 0.1, POINTS), (1e-7, 2e-6), (4.9, 5.1)),
    "NaN holes": (np.where(np.arange(POINTS) % 9 == 4, np.nan, valley(noise=0.02)), (5e-4, 4e-3), (0.02, 0.1)),
    "oscillating end": (
        valley(1e-5, 1.0, 0.01) + np.where(LRS > 0.02, 0.5 * (-1.0) ** np.arange(POINTS), 0.0),
        (5e-6, 6e-5),
        (5e-3, 0.02),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_curve_has_the_known_bounds(name):
    losses, base, top = KNOWN[name]
    bounds = lr.Curve(LRS, losses).bounds()
    assert bounds, bounds
    assert base[0] <= bounds.base_lr <= base[1]
    assert top[0] <= bounds.max_lr <= top[1]
    for number, ends in vars(bounds.intervals).items():
        assert ends[0] <= getattr(bounds, number) <= ends[1]


@pytest.mark.parametrize(
    "losses", [np.full(POINTS, 2.3), np.full(POINTS, np.nan), valley()[:3], np.linspace(1, 2, POINTS)], ids=str
)
def test_a_known_curve_without_bounds_says_why(losses):
    answer = lr.Curve(LRS[: len(losses)], losses).bounds()
    assert not answer
    assert answer.reason
    assert answer.remedy


def test_the_reason_of_max_lr_names_flattening_and_oscillation():
    flat = lr.Curve(LRS, KNOWN["plateau"][0]).bounds()
    assert "Mann-Kendall" in words(flat.reasons.max_lr)
    oscillating = lr.Curve(LRS, KNOWN["oscillating end"][0]).bounds()
    assert "oscillate" in words(oscillating.reasons.max_lr)


@pytest.mark.slow
def test_the_intervals_cover_the_bounds_under_other_noise():
    """Of 60 curves, 90 % should have the median of all in their interval; the limit of 70 % allows for chance."""
    answers = [lr.Curve(LRS, valley(noise=0.1, seed=seed)).bounds() for seed in range(60)]
    for number in ("base_lr", "max_lr"):
        median = np.median([getattr(bounds, number) for bounds in answers])
        covered = [low <= median <= high for low, high in (getattr(bounds.intervals, number) for bounds in answers)]
        assert np.mean(covered) > 0.7, number


# As in the paper, the LR rises linearly.
LINEAR = np.linspace(1e-3, 0.1, 60)


def accuracies(rise=0.01, flat=0.06, fall=0.085, noise=0.004, seed=0):
    level = 0.1 + 0.7 * np.clip((LINEAR - rise) / (flat - rise), 0, 1) - 4 * np.clip(LINEAR - fall, 0, None)
    return level + noise * np.random.default_rng(seed).standard_normal(len(LINEAR))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_rule_of_the_paper_reads_the_bounds_off_the_accuracy(seed):
    curve = lr.Curve(LINEAR, 1 - accuracies(seed=seed), {"accuracy": accuracies(seed=seed)})
    bounds = curve.bounds(lr.rules.accuracy)
    assert 0.008 < bounds.base_lr < 0.025
    assert 0.045 < bounds.max_lr < 0.08
    assert {"accuracy", "rises", "Mann-Kendall"} <= words(bounds.reasons.max_lr)
    assert curve.bounds(lr.rules.accuracy_third).base_lr == pytest.approx(bounds.max_lr / 3, rel=0.05)
    assert curve.bounds(lr.rules.accuracy_quarter).base_lr == pytest.approx(bounds.max_lr / 4, rel=0.05)


@pytest.mark.slow
def test_the_papers_rule_if_accuracy_falls_becomes_ragged_or_only_rises():
    falling = lr.Curve(LINEAR, LINEAR, {"accuracy": accuracies(flat=0.07, fall=0.07)}).bounds(lr.rules.accuracy)
    assert 0.05 < falling.max_lr < 0.09
    assert {"falls", "rises"} & words(falling.reasons.max_lr)
    teeth = np.where(LINEAR > 0.05, 0.15 * (-1.0) ** np.arange(60), 0.0)
    ragged = lr.Curve(LINEAR, LINEAR, {"accuracy": accuracies(flat=0.2, fall=0.2) + teeth}).bounds(lr.rules.accuracy)
    assert 0.035 < ragged.max_lr < 0.065
    assert "ragged" in words(ragged.reasons.max_lr)
    rising = lr.Curve(LINEAR, LINEAR, {"accuracy": accuracies(flat=0.2, fall=0.2)}).bounds(lr.rules.accuracy)
    assert rising.max_lr == 0.1
    assert {"last", "higher"} <= words(rising.reasons.max_lr)


def test_the_papers_rule_needs_accuracies():
    curve = lr.Curve(LINEAR, LINEAR)
    assert "accuracy" in words(curve.bounds(lr.rules.accuracy).reason)
    few = np.full(60, np.nan)
    few[::10] = 0.5
    assert {"6", "score"} <= words(lr.Curve(LINEAR, LINEAR, {"score": few}).bounds(lr.rules.accuracy).reason)
    constant = lr.Curve(LINEAR, LINEAR, {"score": accuracies(rise=1.0, flat=2.0, fall=3.0)})
    assert {"score", "significantly"} <= words(constant.bounds(lr.rules.accuracy).reason)
    with pytest.raises(ValueError, match=facts("metric", "['score']", "'recall'")):
        lr.rules.accuracy(constant, "recall")


@pytest.mark.parametrize("points", [1000, 20_000])
def test_a_long_curve_gives_the_bounds_of_a_short_one(points):
    lrs = np.geomspace(1e-7, 10.0, points)
    noise = 0.05 * np.random.default_rng(0).standard_normal(points)
    bounds = lr.Curve(lrs, np.interp(np.log(lrs), np.log(LRS), valley()) + noise).bounds()
    short = lr.Curve(LRS, valley(noise=0.05)).bounds()
    for name in ("base_lr", "max_lr"):
        assert 1 / 2 < getattr(bounds, name) / getattr(short, name) < 2


def test_noise_that_is_small_compared_to_the_rest_of_the_fall_is_not_an_oscillation():
    random = np.random.default_rng(0)
    noise = np.where(LRS > 1e-3, 0.15, 0.02) * random.standard_normal(POINTS)
    bounds = lr.Curve(LRS, valley(1e-4, 0.3) + noise).bounds()
    assert bounds.max_lr > 0.05


def test_equal_lrs_give_no_answer_by_rules_that_divide_by_their_difference():
    stairs = lr.Curve(np.repeat(LRS[::5], 5), valley(noise=0.02))
    for rule in (lr.rules.steep, lr.rules.lightning):
        assert {"same", "LR"} <= words(stairs.bounds(rule).reason)
    assert stairs.bounds()
