"""The rules of other finders suggest what those suggest, and give "no answer" where those give none or a meaningless one."""

import time

import numpy as np
import pytest

import learnrate as lr
from curves import words
from learnrate.finder.bounds import two_digits
from learnrate.finder.peers import _longest_fall

RULES = [lr.rules.valley, lr.rules.slide, lr.rules.minimum, lr.rules.steep, lr.rules.torch_lr_finder, lr.rules.lightning]
FASTAI = RULES[:4]

UPDATES = np.arange(100)
LRS = 1e-7 * 1e8 ** (UPDATES / 100)  # as in fastai's lr_find
POSITION = np.log10(LRS)


def wiggle(size, seed):
    """Noise that does not depend on a random generator."""
    return size * np.sin(12.9898 * seed + 78.233 * (UPDATES + 1) ** 1.5)


def fall(depth, at, sharpness):
    return -depth / (1 + np.exp(-sharpness * (POSITION - at)))


VALLEY = 2.3 + fall(1.8, -3, 3) + 0.5 * np.exp(2 * (POSITION + 0.2))
CURVES = {
    "smooth valley": VALLEY,
    "noisy valley 1": VALLEY + wiggle(0.15, 1),
    "noisy valley 2": VALLEY + wiggle(0.15, 2),
    "noisy valley 3": VALLEY + wiggle(0.4, 3),
    "plateau then fall": 2.3 - 1.5 * np.clip((POSITION + 2) / 2, 0, 1) + wiggle(0.02, 4),
    "fall to the end": 3.0 - 2.5 * (UPDATES / 100) ** 2 + wiggle(0.01, 5),
    "diverging end": VALLEY + wiggle(0.05, 6) + np.where(UPDATES > 80, 1.6 ** (UPDATES - 80.0), 0),
    "NaN from update 80": np.where(UPDATES >= 80, np.nan, VALLEY + wiggle(0.05, 7)),
    "two falls": 2.3 + fall(0.3, -4.5, 6) + fall(1.0, -1.5, 6),
}

# What the libraries suggest, in the order of RULES: fastai 2.8.12 (Learner.lr_find), torch-lr-finder 0.2.2 (range_test,
# plot) and Lightning 2.6.6 (Tuner.lr_find). Each ran its range test and its suggestion without an early stop, on a loss
# function that returns the curve. The last two, whose sweeps have other LRs, got these LRs in their record.
SUGGESTED = {
    "smooth valley": (0.00069183, 0.0020893, 0.091201, 0.0036308, 0.0036308, 0.00039811),
    "noisy valley 1": (0.0036308, 0.0017378, 0.091201, 0.0036308, 0.0043652, 1e-05),
    "noisy valley 2": (0.00302, 0.0017378, 0.091201, 0.0036308, 0.0043652, 9.1201e-05),
    "noisy valley 3": (0.0075858, 0.013183, 0.10965, 0.0063096, 0.0043652, 6.3096e-07),
    "plateau then fall": (0.1, 0.20893, 0.33113, 0.75858, 0.91201, 0.027542),
    "fall to the end": (0.0012023, 0.0091201, 0.33113, 2.7542, 2.7542, 1.7378e-05),
    "diverging end": (0.0017378, 0.0025119, 0.025119, 0.0025119, 0.00302, 0.00033113),
    # torch-lr-finder suggests 0.20893 here, the last LR before the first NaN, because argmin returns a NaN.
    "NaN from update 80": (0.0012023, 0.0025119, 0.020893, 0.0025119, None, 0.00039811),
    "two falls": (0.0012023, 0.057544, 0.33113, 0.069183, 0.069183, 3.6308e-05),
}


def named(rule):
    return rule.__name__


@pytest.mark.parametrize("rule", RULES, ids=named)
@pytest.mark.parametrize("name", CURVES)
def test_each_rule_suggests_what_the_library_suggests(name, rule):
    suggested = SUGGESTED[name][RULES.index(rule)]
    bounds = lr.Curve(LRS, CURVES[name]).bounds(rule)
    if suggested is None:
        assert "finite" in words(bounds.reason)
    else:
        assert bounds.lr == bounds.max_lr == two_digits(suggested)
        assert bounds.base_lr == two_digits(bounds.lr / (25 if rule in FASTAI else 4))
        assert bounds.interval[0] <= bounds.lr <= bounds.interval[1]


def test_the_slopes_over_updates_and_over_the_lr_give_different_lrs():
    curve = lr.Curve(LRS, CURVES["two falls"])
    assert lr.rules.torch_lr_finder(curve).lr > 1000 * lr.rules.lightning(curve).lr


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_each_number_has_one_sentence(rule):
    bounds = lr.Curve(LRS, CURVES["noisy valley 1"]).bounds(rule)
    assert bounds.rule == rule.__name__
    for name in ("base_lr", "max_lr", "lr"):
        assert {name, f"{getattr(bounds, name):.2g}"} <= words(getattr(bounds.reasons, name))
    assert {f"{end:.2g}" for end in bounds.interval} <= words(bounds.reasons.interval)
    assert all(sentence.endswith(".") and ". " not in sentence for sentence in bounds.reasons)


def holes(losses):
    losses = losses.copy()
    losses[[20, 40]] = np.nan
    return losses


def ending(losses, last):
    return np.append(losses[:-1], last)


POOR = {
    "constant": np.full(100, 2.3),
    "rising": np.linspace(1.0, 3.0, 100),
    "3 points": np.array([3.0, 2.0, 1.0]),
    "10 points": np.linspace(3.0, 1.0, 10),
    "11 points": np.linspace(3.0, 1.0, 11),
    "12 points": np.linspace(3.0, 1.0, 12),
    "16 points": np.linspace(3.0, 1.0, 16),
    "17 points": np.linspace(3.0, 1.0, 17),
    "23 points": np.linspace(3.0, 1.0, 23),
    "NaN holes": holes(CURVES["noisy valley 1"]),
    "NaN at once": np.where(UPDATES == 0, np.nan, VALLEY),
    "all NaN": np.full(100, np.nan),
    "inf end": ending(CURVES["noisy valley 1"], np.inf),
    "-inf end": ending(CURVES["noisy valley 1"], -np.inf),
    "inf within": np.where(UPDATES == 50, np.inf, VALLEY),
    "both infinities": np.where(UPDATES == 50, np.inf, np.where(UPDATES == 60, -np.inf, VALLEY)),
    "below zero": VALLEY - 10,
    "tiny": VALLEY * 1e-30,
    "huge": VALLEY * 1e30,
}


@pytest.mark.parametrize("rule", RULES, ids=named)
@pytest.mark.parametrize("losses", POOR.values(), ids=POOR)
def test_every_curve_gets_bounds_or_a_reason(losses, rule):
    answer = lr.Curve(LRS[: len(losses)], losses).bounds(rule)
    if isinstance(answer, lr.NoAnswer):
        assert answer.rule == rule.__name__
        assert answer.reason.endswith(".")
        assert answer.remedy.endswith(".")
    else:
        assert LRS[0] / 1000 < answer.base_lr < answer.lr <= LRS[-1] * 1.05
        assert answer.interval[0] <= answer.lr <= answer.interval[1]


@pytest.mark.parametrize(
    ("rule", "losses", "facts"),
    [
        (lr.rules.valley, POOR["rising"], {"averaged", "not", "fall"}),
        (lr.rules.lightning, POOR["rising"], {"averaged", "not", "fall"}),
        (lr.rules.lightning, POOR["constant"], {"2.3"}),
        (lr.rules.torch_lr_finder, POOR["16 points"], {"torch_lr_finder", "1", "16", "10"}),
        (lr.rules.lightning, POOR["11 points"], {"Lightning", "0", "11", "10", "1"}),
        (lr.rules.slide, POOR["16 points"], {"fastai", "10", "16", "1", "5"}),
        (lr.rules.steep, POOR["NaN at once"], {"0", "100", "finite"}),
        (lr.rules.torch_lr_finder, POOR["NaN holes"], {"95", "finite"}),
        # The second average is below the first, and the rest rise: fastai uses position -1 and suggests the last LR.
        (lr.rules.valley, np.where(UPDATES == 11, -9.0, 2.0 + UPDATES / 10), {"decreasing", "two"}),
        (lr.rules.minimum, np.where(UPDATES == 90, 5.0, 2.0 + UPDATES / 10), {"lowest", "LR"}),
        # The slope changes by more than the threshold everywhere: fastai suggests the lowest LR that is left.
        (lr.rules.slide, 1e4 * CURVES["fall to the end"], {"0.005", "lowest"}),
    ],
)
def test_no_answer_where_the_library_gives_none_or_a_meaningless_one(rule, losses, facts):
    answer = lr.Curve(LRS[: len(losses)], losses).bounds(rule)
    assert isinstance(answer, lr.NoAnswer)
    assert facts <= words(answer.reason)


def test_slide_without_a_move_is_16_updates_before_the_end():
    # The slopes of a very small loss never differ by 0.005. fastai then suggests the LR of the first pair.
    assert lr.Curve(LRS, 1e-3 * VALLEY).bounds(lr.rules.slide).lr == two_digits(LRS[95 - 16])


def test_patience_sorting_gives_the_same_as_comparing_all_pairs():
    for seed in range(20):
        losses = np.round(
            CURVES["noisy valley 1"] + wiggle(0.5, seed), seed % 3
        )  # rounded, because equal losses do not fall
        lengths = [1] * len(losses)
        for i in range(len(losses)):
            lengths[i] += max((lengths[j] for j in range(i) if losses[j] > losses[i]), default=0)
        assert _longest_fall(losses.tolist()) == (max(lengths), lengths.index(max(lengths)))


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_with_its_interval_takes_less_than_a_second(rule):
    curve = lr.Curve(LRS, CURVES["noisy valley 1"])
    start = time.perf_counter()
    curve.bounds(rule)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("rule", [lr.rules.slide, lr.rules.steep, lr.rules.torch_lr_finder], ids=named)
def test_more_noise_widens_the_interval_of_rules_that_use_slopes(rule):
    def width(size):
        low, high = lr.Curve(LRS, VALLEY + wiggle(size, 1)).bounds(rule).interval
        return high / low

    assert width(0.5) > 1.2 * width(0.05)
