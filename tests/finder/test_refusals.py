"""Why there is no answer: each cause in numbers that agree with it, and the remedy that would help."""

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
    ],
    ids=["noise", "end", "ripple", "digits", "never"],
)
def test_a_refusal_states_its_own_cause_and_the_remedy_that_helps(losses, reason, remedy):
    answer = lr.Curve(LRS, losses).bounds()
    assert not answer
    assert tells(answer.reason, *reason), answer
    assert tells(answer.remedy, *remedy), answer


def test_a_small_fall_that_is_far_above_its_noise_is_an_answer():
    losses = 1 - 2e-4 / (1 + (0.1 / LRS) ** 1.5) + 1e-7 * NOISE
    bounds = lr.Curve(LRS, losses).bounds()
    assert 0.003 < bounds.base_lr < 0.1
    assert tells(bounds.reasons.base_lr, "by 0.0002 from 1")
    assert "higher" in bounds.reasons.max_lr
