"""Rules on curves whose bounds are known, and the explicit "no answer"."""

import pickle

import numpy as np
import pytest

import learnrate as lr
from curves import LRS, POINTS, valley, words
from facts import facts
from learnrate.errors import NoAnswerError
from learnrate.finder.bounds import two_digits

EVERY_RULE = [getattr(lr.rules, name) for name in lr.rules.__all__ if "accuracy" not in name]


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("begin", "bottom"), [(1e-5, 1e-3), (1e-3, 0.1), (1e-2, 1.0)])
def test_descent_finds_the_bounds_of_a_valley(begin, bottom, noise, seed):
    bounds = lr.Curve(LRS, valley(begin, bottom, noise, seed)).bounds()
    assert begin / 2 < bounds.base_lr < begin * 6
    assert bottom / 6 < bounds.max_lr < bottom * 1.5
    assert bounds.base_lr <= bounds.interval[0] <= bounds.lr <= bounds.interval[1] <= bounds.max_lr


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_descent_does_not_depend_on_the_unit_of_the_loss(scale, shift):
    original = lr.Curve(LRS, valley(noise=0.05)).bounds()
    bounds = lr.Curve(LRS, (valley(noise=0.05) + shift) * scale).bounds()
    for name in ("base_lr", "max_lr", "lr", "intervals"):
        assert getattr(bounds, name) == getattr(original, name)


def test_a_spike_changes_the_bounds_little():
    spiked = valley(noise=0.02)
    spiked[20] = 50.0
    spiked[60] = -50.0
    original, bounds = lr.Curve(LRS, valley(noise=0.02)).bounds(), lr.Curve(LRS, spiked).bounds()
    for name in ("base_lr", "max_lr", "lr"):
        assert 1 / 2 < getattr(bounds, name) / getattr(original, name) < 2


def test_losses_that_are_not_finite_are_ignored():
    losses = valley(noise=0.02)
    losses[40], losses[-3:] = np.nan, np.inf
    bounds = lr.Curve(LRS, losses).bounds()
    assert 5e-4 < bounds.base_lr < 5e-3


def test_more_noise_widens_the_interval():
    def width(noise):
        # Steepest at 0.01 only: the side of `valley` is a straight line and has no steepest position.
        fall = 2.3 - 1.8 / (1 + np.exp(-4 * (np.log10(LRS) + 2)))
        noisy = fall + noise * np.random.default_rng(0).standard_normal(POINTS)
        low, high = lr.Curve(LRS, noisy).bounds().interval
        assert low <= 0.02
        assert high >= 0.005
        return high / low

    assert width(0.3) > 1.5 * width(0.01)


def test_a_second_fall_after_the_divergence_is_ignored():
    losses = valley()
    losses[-8:] = 1.0
    assert lr.Curve(LRS, losses).bounds().max_lr < 0.2


def test_a_fall_up_to_the_end_of_the_sweep_gives_half_of_the_last_lr():
    bounds = lr.Curve(LRS, np.linspace(2.3, 0.1, POINTS)).bounds()
    assert bounds.max_lr == two_digits(LRS[-1] / 2)


def test_the_reasons_say_what_the_curve_shows():
    falling = lr.Curve(LRS, np.linspace(2.3, 0.1, POINTS)).bounds()
    assert {"sweep", "higher"} <= words(falling.reasons.max_lr)
    assert {"sweep", "lower"} <= words(falling.reasons.base_lr)
    assert "rises" in words(lr.Curve(LRS, valley()).bounds().reasons.max_lr)
    broken = lr.Curve(LRS[:73], [*valley()[:72], np.nan]).bounds()
    assert "finite" in words(broken.reasons.max_lr)
    assert "rises" not in words(broken.reasons.max_lr)


def test_a_divergence_in_the_last_update_ends_the_fall():
    bounds = lr.Curve(LRS[:75], [*valley(1e-4, 0.3)[:74], 30.0], ended="diverged").bounds()
    assert "rises" in words(bounds.reasons.max_lr)
    assert bounds.max_lr <= LRS[73] / 2 * 1.1


def test_a_sudden_fall_gives_a_cycle_of_a_factor_of_two():
    bounds = lr.Curve(LRS, np.where(LRS < 0.01, 2.3, 0.5)).bounds()
    assert bounds.base_lr < bounds.max_lr


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_bottom_ends_where_the_loss_rises_and_not_at_its_random_minimum(seed):
    floor = np.clip(2.3 - 1.8 * (np.log10(LRS) + 5), 0.5, 2.3) + np.where(LRS > 1.0, 20 * (LRS - 1.0), 0)
    noisy = floor + 0.03 * np.random.default_rng(seed).standard_normal(POINTS)
    assert 0.2 < lr.Curve(LRS, noisy).bounds().max_lr < 0.8


def test_a_stability_edge_does_not_change_the_smoothed_losses_below_it():
    edge = np.where(LRS < 0.1, valley(1e-4, 0.1), 1e6)
    assert 0.03 < lr.Curve(LRS, edge).bounds().max_lr < 0.06


def test_lower_losses_after_a_rise_are_ignored():
    losses = valley(1e-5, 1e-3)
    losses[LRS > 3e-2] = 0.1
    bounds = lr.Curve(LRS, np.minimum(losses, 4.0)).bounds()
    assert bounds.max_lr < 3e-3


@pytest.mark.parametrize(
    ("losses", "facts"),
    [
        (np.full(POINTS, 2.3), {"2.3", "every"}),
        (2.3 + 0.1 * np.random.default_rng(3).standard_normal(POINTS), {"significantly", "100", "noise"}),
        (np.linspace(2.3, 5.0, POINTS), {"rises", "lowest"}),
        (np.where(np.arange(POINTS) < 5, 2.3, np.nan), {"5", "finite"}),
        (np.full(POINTS, np.nan), {"0", "finite"}),
    ],
)
def test_no_answer_says_why_and_what_would_help(losses, facts):
    bounds = lr.Curve(LRS, losses).bounds()
    assert isinstance(bounds, lr.NoAnswer)
    assert not bounds
    assert facts <= words(bounds.reason)
    assert bounds.remedy
    for name in ("base_lr", "max_lr", "lr", "interval", "intervals"):
        with pytest.raises(NoAnswerError) as raised:
            getattr(bounds, name)
        assert (raised.value.reason, raised.value.remedy) == (bounds.reason, bounds.remedy)


@pytest.mark.slow
@pytest.mark.parametrize("points", [20, 50, 100])
@pytest.mark.parametrize(
    "noise",
    [
        lambda random, points: 2.3 + 0.2 * random.standard_normal(points),
        lambda random, points: 2.3 + 0.2 * random.standard_exponential(points),
        lambda random, points: random.chisquare(8, points),
        lambda random, points: random.lognormal(size=points),
    ],
    ids=["normal", "exponential", "chi-squared", "log-normal"],
)
def test_pure_noise_almost_never_gives_an_answer(points, noise):
    def has_answer(seed):
        losses = noise(np.random.default_rng(seed), points)
        return bool(lr.Curve(np.geomspace(1e-7, 10, points), losses).bounds())

    assert sum(map(has_answer, range(300))) <= 3


@pytest.mark.parametrize("seed", range(10))
def test_a_fall_to_nearly_0_is_significant_even_if_the_start_is_noisy(seed):
    # The noise of a squared error shrinks with the error.
    losses = valley(1e-3, 0.3) * np.random.default_rng(seed).chisquare(4, POINTS) / 4
    bounds = lr.Curve(LRS, np.where(LRS > 0.03, losses / 10, losses)).bounds()
    assert bounds
    assert bounds.max_lr > 0.02


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_three_points_give_no_answer(rule):
    assert isinstance(lr.Curve(LRS[:3], [3.0, 2.0, 1.0]).bounds(rule), lr.NoAnswer)


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_constant_gives_no_answer(rule):
    assert "2.3" in words(lr.Curve(LRS, np.full(POINTS, 2.3)).bounds(rule).reason)


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_rising_curve_gives_no_answer(rule):
    assert not lr.Curve(LRS, np.linspace(1.0, 3.0, POINTS)).bounds(rule)


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_every_rule_gives_a_reason_for_each_number(rule):
    bounds = lr.Curve(LRS, valley(noise=0.02)).bounds(rule)
    assert bounds.rule == rule.__name__
    assert tuple(bounds.reasons) == (
        bounds.reasons.base_lr,
        bounds.reasons.max_lr,
        bounds.reasons.lr,
        bounds.reasons.interval,
    )
    for name in ("base_lr", "max_lr", "lr"):
        assert {name, f"{getattr(bounds, name):.2g}"} <= words(getattr(bounds.reasons, name))
    assert {f"{end:.2g}" for end in bounds.interval} <= words(bounds.reasons.interval)
    assert all(sentence in bounds.reason for sentence in bounds.reasons)


def test_a_function_of_the_user_is_a_rule():
    curve = lr.Curve(LRS, valley())
    answer = lr.rules.valley(curve)
    assert curve.bounds(lambda given: answer if given is curve else None) is answer
    with pytest.raises(TypeError, match=facts("what rule returns", "Bounds", 3)):
        curve.bounds(lambda given: 3)
    with pytest.raises(TypeError, match="'valley'"):
        curve.bounds("valley")


def test_bounds_and_errors_survive_json_and_pickle():
    bounds = lr.Curve(LRS, valley()).bounds()
    assert type(bounds).from_record(bounds.as_record()) == bounds
    assert pickle.loads(pickle.dumps(bounds)) == bounds
    error = pickle.loads(pickle.dumps(NoAnswerError("reason.", "remedy.")))
    assert (error.reason, error.remedy) == ("reason.", "remedy.")
