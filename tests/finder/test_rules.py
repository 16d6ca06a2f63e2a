"""Rules on curves whose answer is known, and the explicit "no answer"."""

import pickle

import numpy as np
import pytest

import learnrate as lr
from learnrate.errors import NoAnswerError
from learnrate.finder.bounds import two_digits

POINTS = 100
LRS = np.geomspace(1e-7, 10.0, POINTS)
EVERY_RULE = [getattr(lr.rules, name) for name in lr.rules.__all__ if "accuracy" not in name]


def valley(begin=1e-3, bottom=0.1, noise=0.0, seed=0):
    """Flat at 2.3, falling straight along log LR from `begin` to 0.5 at `bottom`, rising steeply after."""
    position = np.log10(LRS)
    fall = np.clip((position - np.log10(begin)) / (np.log10(bottom) - np.log10(begin)), 0, 1)
    rise = np.clip(position - np.log10(bottom), 0, None)
    return 2.3 - 1.8 * fall + 4 * rise**2 + noise * np.random.default_rng(seed).standard_normal(POINTS)


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
    plain = lr.Curve(LRS, valley(noise=0.05)).bounds()
    moved = lr.Curve(LRS, (valley(noise=0.05) + shift) * scale).bounds()
    assert (moved.base_lr, moved.max_lr, moved.lr, moved.interval) == (plain.base_lr, plain.max_lr, plain.lr, plain.interval)


def test_a_spike_changes_little():
    spiked = valley(noise=0.02)
    spiked[20] = 50.0
    spiked[60] = -50.0
    plain, bounds = lr.Curve(LRS, valley(noise=0.02)).bounds(), lr.Curve(LRS, spiked).bounds()
    for name in ("base_lr", "max_lr", "lr"):
        assert 1 / 2 < getattr(bounds, name) / getattr(plain, name) < 2


def test_holes_and_a_diverged_end_are_left_out():
    losses = valley(noise=0.02)
    losses[40], losses[-3:] = np.nan, np.inf
    bounds = lr.Curve(LRS, losses).bounds()
    assert 5e-4 < bounds.base_lr < 5e-3


def test_more_noise_widens_the_interval():
    def width(noise):
        # Steepest at 0.01, and nowhere else: a valley whose side is straight has no steepest place.
        fall = 2.3 - 1.8 / (1 + np.exp(-4 * (np.log10(LRS) + 2)))
        noisy = fall + noise * np.random.default_rng(0).standard_normal(POINTS)
        low, high = lr.Curve(LRS, noisy).bounds().interval
        assert low <= 0.02
        assert high >= 0.005
        return high / low

    assert width(0.3) > 1.5 * width(0.01)


def test_a_second_dip_after_the_divergence_is_not_taken():
    losses = valley()
    losses[-8:] = 1.0
    assert lr.Curve(LRS, losses).bounds().max_lr < 0.2


def test_a_monotone_fall_ends_at_the_top_of_the_range():
    bounds = lr.Curve(LRS, np.linspace(2.3, 0.1, POINTS)).bounds()
    assert bounds.max_lr == two_digits(LRS[-1] / 2)


def test_reasons_claim_only_what_was_seen():
    still_falling = lr.Curve(LRS, np.linspace(2.3, 0.1, POINTS)).bounds()
    assert "the last LR of the sweep; the loss had not risen yet" in still_falling.reasons.max_lr
    assert "where the sweep began" in still_falling.reasons.base_lr
    assert "before the loss rises again" in lr.Curve(LRS, valley()).bounds().reasons.max_lr
    broken = [*valley()[:72], np.nan]
    assert "before the loss was no longer finite" in lr.Curve(LRS[:73], broken).bounds().reasons.max_lr
    # Divergence so sudden that the sweep ended before the smoothed losses saw it.
    sudden = lr.Curve(LRS[:75], [*valley(1e-4, 0.3)[:74], 30.0], ended="diverged").bounds()
    assert "before the loss rises again" in sudden.reasons.max_lr
    assert sudden.max_lr <= LRS[73] / 2 * 1.1
    at_once = lr.Curve(LRS, np.where(LRS < 0.01, 2.3, 0.5)).bounds()
    assert at_once.base_lr < at_once.max_lr


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_bottom_ends_where_the_loss_rises_not_where_chance_put_the_minimum(seed):
    floor = np.clip(2.3 - 1.8 * (np.log10(LRS) + 5), 0.5, 2.3) + np.where(LRS > 1.0, 20 * (LRS - 1.0), 0)
    noisy = floor + 0.03 * np.random.default_rng(seed).standard_normal(POINTS)
    assert 0.2 < lr.Curve(LRS, noisy).bounds().max_lr < 0.8


def test_a_cliff_does_not_smear_back_over_what_trained():
    cliff = np.where(LRS < 0.1, valley(1e-4, 0.1), 1e6)
    assert 0.03 < lr.Curve(LRS, cliff).bounds().max_lr < 0.06


def test_what_lies_behind_a_hump_is_not_taken():
    humped = valley(1e-5, 1e-3)
    humped[(LRS > 3e-2)] = 0.1
    bounds = lr.Curve(LRS, np.minimum(humped, 4.0)).bounds()
    assert bounds.max_lr < 3e-3


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (np.full(POINTS, 2.3), "exactly 2.3 at every update"),
        (
            2.3 + 0.1 * np.random.default_rng(3).standard_normal(POINTS),
            "never fell by more than its noise within 100 updates",
        ),
        (np.linspace(2.3, 5.0, POINTS), "only rises"),
        (np.where(np.arange(POINTS) < 5, 2.3, np.nan), "only 5 losses are finite"),
        (np.full(POINTS, np.nan), "only 0 losses are finite"),
    ],
)
def test_no_answer_says_why_and_what_would_help(losses, words):
    bounds = lr.Curve(LRS, losses).bounds()
    assert isinstance(bounds, lr.NoAnswer)
    assert not bounds
    assert words in bounds.reason
    assert bounds.remedy
    for name in ("base_lr", "max_lr", "lr", "interval"):
        with pytest.raises(NoAnswerError, match=words):
            getattr(bounds, name)


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
def test_pure_noise_is_hardly_ever_an_answer(points, noise):
    def answered(seed):
        losses = noise(np.random.default_rng(seed), points)
        return bool(lr.Curve(np.geomspace(1e-7, 10, points), losses).bounds())

    assert sum(map(answered, range(300))) <= 3


@pytest.mark.parametrize("seed", range(10))
def test_a_fall_to_nothing_counts_however_noisy_the_start(seed):
    # The noise of a squared error shrinks with the error.
    losses = valley(1e-3, 0.3) * np.random.default_rng(seed).chisquare(4, POINTS) / 4
    bounds = lr.Curve(LRS, np.where(LRS > 0.03, losses / 10, losses)).bounds()
    assert bounds
    assert bounds.max_lr > 0.02


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_three_points_are_no_curve(rule):
    assert isinstance(lr.Curve(LRS[:3], [3.0, 2.0, 1.0]).bounds(rule), lr.NoAnswer)


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_constant_is_no_answer_to_any_rule(rule):
    assert "exactly 2.3" in lr.Curve(LRS, np.full(POINTS, 2.3)).bounds(rule).reason


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_rising_curve_is_no_answer_to_any_rule(rule):
    assert not lr.Curve(LRS, np.linspace(1.0, 3.0, POINTS)).bounds(rule)


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_every_rule_gives_reasons(rule):
    bounds = lr.Curve(LRS, valley(noise=0.02)).bounds(rule)
    assert bounds.rule == rule.__name__
    for name in ("base_lr", "max_lr", "lr", "interval"):
        sentence = getattr(bounds.reasons, name)
        assert sentence.endswith(".")
        assert sentence in bounds.reason


def test_a_rule_of_ones_own():
    curve = lr.Curve(LRS, valley())
    assert curve.bounds(lambda given: given is curve) is True


def test_round_trips():
    bounds = lr.Curve(LRS, valley()).bounds()
    assert type(bounds).from_record(bounds.as_record()) == bounds
    assert pickle.loads(pickle.dumps(bounds)) == bounds
    error = pickle.loads(pickle.dumps(NoAnswerError("why.", "what helps.")))
    assert (error.reason, error.remedy) == ("why.", "what helps.")
