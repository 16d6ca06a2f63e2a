"""What trials show: whether anything was learned, whether trials differ, and where the stability edge is."""

import math
from dataclasses import replace

import pytest

from learnrate.tuner.estimate import estimate
from learnrate.tuner.evidence import (
    distinguishable,
    informative,
    large_spike,
    learned,
    noise_limit,
    off_plateau,
    paired_improvement,
    safe,
    spike_limit,
    stability_edge,
    stopped_learning,
)
from learnrate.tuner.trials import Rung, Start, Trial
from synthetic_rungs import START, rung, trial


def test_above_a_divergence_no_lr_is_safe():
    short = Rung(20, (trial(0, 0.5), trial(4, 0.1)))
    long = Rung(80, (trial(1, 0.4), trial(2, math.inf), trial(3, 0.05)))
    assert stability_edge([short, long], START) == 2.0
    assert stability_edge([short], START) == math.inf
    for counted in safe([short, long], START):
        assert all(trial.diverged == (trial.max_lr >= 4) for trial in counted.trials)
    assert estimate([short, long], START, 400).log2_lr < 2


def test_above_an_lr_that_stopped_learning_while_others_learned_no_lr_is_safe():
    stopped = Trial(4.0, 80, 80, 1.0, highest_loss=1.5)
    short, long = Rung(20, (trial(4, 0.1),)), Rung(80, (trial(1, 0.4), stopped))
    assert stability_edge([short, long], START) == 2.0
    assert estimate([short, long], START, 400).log2_lr < 2
    # If no lower LR learned, all may be on a plateau.
    assert stability_edge([short, Rung(80, (trial(1, 1.0), stopped))], START) == math.inf
    assert stability_edge([Rung(80, (trial(1, 1.0), stopped, trial(4, 0.3)))], START) == math.inf


def test_above_a_large_spike_no_lr_is_safe_if_steps_are_not_bounded():
    unbounded = replace(START, unbounded_steps=True)
    spike = trial(1, 0.3, highest_loss=13.1)
    spiked = Rung(50, (trial(0, 0.4), spike, trial(2, 0.2), trial(3, 0.2)))
    assert large_spike(spike, unbounded)
    assert not large_spike(spike, START)
    assert not large_spike(replace(spike, highest_loss=12.9), unbounded)
    assert not large_spike(spike, replace(unbounded, noise=1.1))
    assert stability_edge([spiked], unbounded) == 2.0
    assert spike_limit([spiked], unbounded) == 1.0
    assert spike_limit([spiked], START) == math.inf
    assert stability_edge([spiked], START) == math.inf
    assert estimate([spiked], unbounded, 400).log2_lr < 1.0 < estimate([spiked], START, 400).log2_lr
    # Nor is an LR above the spike chosen if the rung has no trial above it.
    short, long = rung([0.9, 0.8, 0.7], updates=20), Rung(50, (trial(-1, 0.5), trial(0, 0.4), spike))
    at = estimate([short, long], unbounded, 400)
    assert max(at.log2_lr, at.log2_high) < 1.1


def test_learned_off_plateau_and_distinguishable_have_different_thresholds():
    chance = noise_limit(50, START)
    assert chance == pytest.approx(4 * 0.01 / math.sqrt(10))
    # A model that learns nothing falls by the mean of the lower half of a normal variable, within 2.5 standard errors.
    idle = 0.01 * (0.4 + 2.5 * 0.58 / math.sqrt(10))
    assert not learned(rung([1 - 0.95 * idle]), START)
    assert learned(rung([1 - 1.05 * idle]), START)
    assert not learned(rung([1 - 1.05 * idle]), Start(1.0, 0.01, error=0.002))
    assert not off_plateau(rung([0.89]), START)  # less than 12 % of the start: class frequencies
    assert off_plateau(rung([0.87]), START)
    assert not off_plateau(rung([0.91]), Start(1.0, 0.2))
    assert not off_plateau(rung([0.6, 0.6]), START)  # all the same: maybe the frequencies of rare classes
    assert off_plateau(rung([-0.1]), Start(0.0, 0.01))
    for nothing in (rung([math.inf]), Rung(50, ())):
        assert not learned(nothing, START)
        assert not off_plateau(nothing, START)
        assert not distinguishable(nothing, START)
    assert distinguishable(rung([0.5, 0.9]), START)
    assert not distinguishable(rung([0.5, 0.5 + 0.9 * chance, math.inf]), START)


@pytest.mark.parametrize(
    ("highest", "start", "expected"),
    [
        (1.019, Start(1.0, 0.001), False),  # less than a fiftieth of the start
        (1.021, Start(1.0, 0.001), True),
        (1.11, Start(1.0, 0.01), False),  # less than twelve times the noise
        (1.13, Start(1.0, 0.01), True),
        (-0.8, Start(-1.0, 0.0), True),
        (0.01, Start(0.0, 0.0), False),  # there is no scale to judge by
        (math.inf, Start(1.0, 0.01), True),
    ],
)
def test_a_trial_stopped_learning_if_nothing_was_learned_after_a_spike(highest, start, expected):
    assert stopped_learning(Trial(0.1, 50, 50, start.loss, highest_loss=highest), start) is expected
    learning = start.loss - 0.011 * abs(start.loss)
    assert not stopped_learning(Trial(0.1, 50, 50, learning, highest_loss=highest), start)


def test_a_fall_is_informative_and_so_is_a_small_one_that_others_missed():
    assert informative(rung([0.87, 0.87]), START)
    assert informative(rung([0.95, 0.95]), START)
    assert informative(rung([0.95]), START)
    assert not informative(rung([0.965, 0.965]), START)
    assert not informative(rung([0.95, 0.95]), Start(1.0, 0.03))
    assert learned(rung([0.95, 0.95]), Start(1.0, 0.03))
    assert informative(rung([0.95, 0.985]), START)
    assert not informative(rung([0.9905, 1.0]), Start(1.0, 0.003))
    assert not informative(rung([0.95, 0.985]), Start(1.0, 0.1))
    assert not informative(Rung(50, ()), START)


def on_batches(log2_lr, losses):
    return trial(log2_lr, sum(losses) / len(losses), updates=100, final_losses=tuple(losses), highest_loss=1.0)


def test_trials_on_the_same_batches_are_compared_batch_by_batch():
    batches = [0.9, 1.0] * 10
    noisy = Start(1.0, 0.1, error=0.05)
    lower, higher = on_batches(0, batches), on_batches(1, [loss - 0.02 - 0.002 * (i % 3) for i, loss in enumerate(batches)])
    assert not learned(Rung(100, (higher,)), noisy)
    assert paired_improvement(Rung(100, (lower, higher)), noisy)
    assert learned(Rung(100, (lower, higher)), noisy)
    assert informative(Rung(100, (lower, higher)), noisy)
    # A higher LR that is worse shows nothing: its loss may have had a spike.
    assert not paired_improvement(Rung(100, (lower, on_batches(1, [1.0] * 20))), noisy)
    # Three standard errors are enough if every score agrees.
    slight = on_batches(1, [loss - 0.02 + 0.022 * (-1) ** (i // 2) for i, loss in enumerate(batches)])
    scored = Rung(100, (replace(lower, score=0.6), replace(slight, score=0.7)))
    assert not paired_improvement(Rung(100, (lower, slight)), noisy)
    assert not paired_improvement(scored, noisy)
    assert paired_improvement(scored, replace(noisy, score=0.5))
    assert not paired_improvement(Rung(100, (on_batches(0, batches[:8]), on_batches(1, [0.5] * 8))), noisy)
    uneven = on_batches(1, [loss - 0.02 * (-1) ** (i // 2) for i, loss in enumerate(batches)])
    assert not paired_improvement(Rung(100, (lower, uneven)), noisy)
    assert not paired_improvement(Rung(100, ()), noisy)


def test_scores_confirm_a_fall_that_is_half_as_deep():
    noisy = Start(1.0, 0.2, score=0.5)
    # With errors of 0.04 the whole fall would have to be 0.08 + 0.10, and half of it 0.08 + 0.05.
    deep = 1 - 0.16
    assert learned(rung([deep, 0.9], scores=[0.6, 0.51]), noisy)
    assert not learned(rung([deep, 0.9]), noisy)
    assert not learned(rung([deep, 0.9], scores=[0.6, 0.5]), noisy)
    assert not learned(rung([deep, 0.9], scores=[0.6, None]), noisy)
    # The score of an LR that is too high to learn is no objection.
    assert learned(rung([deep, 0.9, 0.99], scores=[0.6, 0.51, 0.1]), noisy)
    assert not learned(rung([deep], scores=[0.6]), noisy)
    assert not learned(rung([deep, 0.9], scores=[0.6, 0.51]), Start(1.0, 0.2))
    assert not learned(rung([1 - 0.12, 0.9], scores=[0.6, 0.51]), noisy)
    # Class frequencies, however certain: even a network that is stuck may learn them.
    assert not learned(rung([0.95, 0.96], scores=[0.6, 0.6]), Start(1.0, 0.06, score=0.5))


def test_a_loss_that_fell_to_nearly_nothing_was_learned_however_noisy_the_start_is():
    noisy = Start(1.0, 2.0, error=0.5)
    assert learned(rung([0.05, 0.9]), noisy)
    assert not learned(rung([0.2, 0.9]), noisy)
    assert not learned(rung([-0.1, 0.0]), Start(0.0, 2.0, error=0.5))
