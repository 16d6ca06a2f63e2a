"""Why there is no answer: each cause in numbers that agree with it, and the remedy that would help."""

import re

import numpy as np
import pytest

import learnrate as lr
from curves import LRS, POINTS, valley
from facts import tells

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.standard_normal(POINTS)


@pytest.mark.parametrize(
    ("losses", "reason", "remedy"),
    [
        (2.3 + 0.1 * NOISE, ("fell", "noise", "significant"), ("400 updates", "larger batches")),
        (2.3 + 0.1 * NOISE - 0.05 * (LRS > 3.0), ("lowest at the last LR", 10), ("higher LR", "1e+03")),
        (2.3 + 0.2 * np.sin(np.arange(POINTS) / 5), ("order", "repeats"), ("shuffle",)),
        (np.round(valley() * 1e-5 + 1500, 4).astype(np.float32), ("format", 0.00012), ("float64", "constant")),
        (np.r_[np.full(30, 2.3), np.linspace(2.3, 3.0, POINTS - 30)], ("start", "2.3"), ("Start", "1e-10")),
        (2.3 + 0.01 * NOISE + np.maximum(0, np.arange(POINTS) / POINTS - 0.3), ("noise", "rises"), ("Start", "1e-10")),
        (np.minimum(2.3 * np.exp(np.arange(POINTS) / 5), 1e6), ("lowest", "start", "rises"), ("Start", "1e-10")),
        (2.3 + 0.5 * (np.arange(POINTS) % 40) / 40 + 0.01 * NOISE, ("lowest", "start", "falls"), ("1e-10", "shuffle")),
    ],
    ids=["noise", "end", "ripple", "digits", "never", "rises", "at once", "sorted"],
)
def test_a_refusal_states_its_own_cause_and_the_remedy_that_helps(losses, reason, remedy):
    answer = lr.Curve(LRS, losses).bounds()
    assert not answer
    assert tells(answer.reason, *reason), answer
    assert tells(answer.remedy, *remedy), answer


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("losses", "remedy"),
    [
        (np.where(np.arange(POINTS) > 95, 3.0, 2.3), ("Start", "1e-10")),
        (np.where(np.arange(POINTS) == 50, 3.0, 2.3), ("higher",)),
        (2.3 + 0.5 * (-1.0) ** np.arange(POINTS), ("higher",)),  # every second loss is below its level
    ],
    ids=["rise", "spike", "alternating"],
)
def test_the_digits_of_a_loss_are_not_at_fault_if_it_does_not_fall_at_all(kind, losses, remedy):
    answer = lr.Curve(LRS, losses.astype(kind)).bounds()
    assert tells(answer.reason, "smoothed", "never below", 2.3), answer
    assert tells(answer.remedy, *remedy), answer


@pytest.mark.parametrize("updates", [300, 3000])
def test_the_numbers_of_a_refusal_are_those_of_the_curve_however_long_it_is(updates):
    noise = 0.1 * np.random.default_rng(0).standard_normal(updates)
    answer = lr.Curve(np.geomspace(1e-7, 10.0, updates), 2.3 + noise).bounds()
    assert tells(answer.reason, f"within {updates} updates"), answer
    assert tells(answer.remedy, f"{4 * updates} updates"), answer
    measured = float(re.search(r"noise of (\S+)", answer.reason)[1])
    assert 0.08 < measured < 0.12


def test_a_small_fall_that_is_far_above_its_noise_is_an_answer():
    losses = 1 - 2e-4 / (1 + (0.1 / LRS) ** 1.5) + 1e-7 * NOISE
    bounds = lr.Curve(LRS, losses).bounds()
    assert 0.003 < bounds.base_lr < 0.1
    assert tells(bounds.reasons.base_lr, "by 0.0002 from 1")
    assert "higher" in bounds.reasons.max_lr
