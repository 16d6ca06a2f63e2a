"""The estimate for the whole run: the regret of LRs at each length, and what follows for a longer run."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnrate.tuner.estimate import best_log2_lr, estimate, regret_curves, regrets
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Rung, Start
from synthetic_rungs import START, rung, several_rungs, trial


def test_regret_is_the_share_of_the_best_fall_that_was_missed():
    assert regrets(rung([0.8, 0.2, 0.6, math.inf]), START) == pytest.approx({0.0: 0.75, 1.0: 0.0, 2.0: 0.5, 3.0: 1.0})


def test_regret_is_defined_for_losses_below_zero_and_a_start_at_zero():
    assert regrets(rung([-3.0, -5.0]), Start(-1.0, 0.0)) == pytest.approx({0.0: 0.5, 1.0: 0.0})
    assert regrets(rung([-1.0, -2.0, 0.0]), Start(0.0, 0.0)) == pytest.approx({0.0: 0.5, 1.0: 0.0, 2.0: 1.0})


def test_regret_is_defined_if_nothing_fell_or_all_diverged():
    assert regrets(rung([1.0, 1.0, math.inf]), START) == {0.0: 0.0, 1.0: 0.0, 2.0: 1.0}
    assert regrets(rung([math.inf, math.inf]), START) == {0.0: 1.0, 1.0: 1.0}
    assert best_log2_lr(rung([math.inf, math.inf]), START) == 0.0


def test_scores_count_a_quarter_if_they_improved():
    start = Start(1.0, 0.01, score=0.5)
    by_lr = regrets(rung([0.2, 0.2, 0.6, 0.2], scores=[0.9, 0.7, 0.9, None]), start)
    assert by_lr == pytest.approx({0.0: 0.0, 1.0: 0.125, 2.0: 0.375, 3.0: 0.25})


def test_scores_that_fall_while_the_loss_falls_count_nothing():
    start = Start(1.0, 0.01, score=0.9)
    worse = rung([0.5, 0.2], scores=[0.8, 0.1])
    assert regrets(worse, start) == regrets(rung([0.5, 0.2]), START)
    # Nor do they without a score at the start: an improvement has no measure.
    assert regrets(rung([0.5, 0.2], scores=[0.9, 0.1]), START) == regrets(rung([0.5, 0.2]), START)


def test_the_lower_of_equals_is_best():
    assert best_log2_lr(rung([0.5, 0.2, 0.2]), START) == 1.0


@given(several_rungs())
def test_regret_lies_between_the_best_and_nothing_learned(rungs):
    for level in rungs:
        by_lr = regrets(level, START)
        assert all(0 <= regret <= 1 for regret in by_lr.values())
        assert not level.sound or min(by_lr.values()) == 0
        assert math.isfinite(best_log2_lr(level, START))


@given(several_rungs(), st.integers(10, 10**6))
def test_an_estimate_lies_within_its_interval_and_near_the_trials(rungs, horizon):
    at = estimate(rungs, START, horizon)
    assert at.log2_low <= at.log2_lr <= at.log2_high
    assert at.low <= at.lr <= at.high
    tried = [trial.log2_lr for level in rungs for trial in level.trials]
    # Three halvings below the lowest LR that was tried, and a drift of -0.1 in seventeen doublings.
    assert min(tried) - 5 <= at.log2_lr <= max(tried) + 2


@given(st.lists(st.floats(0.05, 0.9), min_size=3, max_size=6), st.integers(50, 500))
def test_an_estimate_lies_within_a_factor_of_two_of_the_trials_around_a_minimum(losses, horizon):
    valley = [0.95, *sorted(losses, reverse=True), 0.04, *sorted(losses), 0.95]
    assert -1 <= estimate([rung(valley)], START, horizon).log2_lr <= len(valley)


@given(several_rungs(), st.integers(10, 10**5), st.integers(-40, 40))
def test_the_unit_of_the_loss_does_not_change_the_estimate(rungs, horizon, power):
    unit = 2.0**power

    def scaled(trial):
        return replace(trial, loss=trial.loss * unit, highest_loss=trial.highest_loss * unit)

    changed = [Rung(level.updates, tuple(map(scaled, level.trials))) for level in rungs]
    assert estimate(changed, Start(unit, 0.01 * unit), horizon) == estimate(rungs, START, horizon)


@given(several_rungs(), st.integers(-10, 10), st.integers(10, 10**5))
def test_an_estimate_moves_with_the_lrs(rungs, doublings, horizon):
    def shifted(trial):
        return replace(trial, max_lr=trial.max_lr * 2.0**doublings)

    moved = [Rung(level.updates, tuple(map(shifted, level.trials))) for level in rungs]
    there, here = estimate(moved, START, horizon), estimate(rungs, START, horizon)
    assert there.log2_lr - doublings == pytest.approx(here.log2_lr, abs=1 / 8)


def test_a_longer_run_has_a_lower_lr_near_the_stability_edge():
    rungs = [rung([0.6, 0.4, 0.2, math.inf])]
    log2_lrs = [estimate(rungs, START, horizon).log2_lr for horizon in (50, 500, 50_000)]
    assert log2_lrs == sorted(log2_lrs, reverse=True)
    assert log2_lrs[0] > log2_lrs[-1] + 0.5


def test_a_best_lr_that_rises_with_the_length_is_followed_upwards():
    rungs = [rung([0.6, 0.4, 0.2, 0.4, 0.6])]
    log2_lrs = [estimate(rungs, START, 200, drift).log2_lr for drift in (-0.4, -0.1, 0.0, 0.4)]
    assert log2_lrs == sorted(log2_lrs)
    assert log2_lrs[-1] > log2_lrs[0] + 0.5
    assert estimate(rungs, START, 50, 0.4) == estimate(rungs, START, 50, -0.4)  # the run is as long as the trials


def test_an_interval_ends_at_the_stability_edge():
    at = estimate([rung([0.9, 0.2, 0.21, math.inf])], Start(1.0, 0.5), 60)
    assert at.log2_lr < at.log2_high <= 3.0


def test_a_trial_on_a_plateau_is_no_better_than_the_best_whatever_its_score():
    start = Start(1.0, 0.01, score=0.5)
    contrary = rung([0.95, 0.3], scores=[0.51, 0.4])
    by_lr = regrets(contrary, start)
    assert by_lr[0.0] > by_lr[1.0]
    assert best_log2_lr(contrary, start) == 1.0


def test_the_allowance_for_a_plateau_ends_gradually():
    shares = [regrets(rung([1 - 0.8 * share, 0.2]), START)[0.0] for share in np.linspace(0.0, 0.5, 51)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[-1] == pytest.approx(0.5)
    assert max(abs(share - following) for share, following in pairwise(shares)) < 0.08


@pytest.mark.parametrize("drift", [-1.0, 0.4, 1.0])
def test_the_drift_continues_with_every_doubling_of_the_run(drift):
    rungs = [rung([0.6, 0.4, 0.2, 0.4, 0.6])]
    log2_lrs = [estimate(rungs, START, 50 * 2**doublings, drift).log2_lr for doublings in range(16)]
    # Lower by up to five halvings, because a much longer run has time to catch up, and to diverge.
    assert 15 * drift - 5 < log2_lrs[-1] - log2_lrs[0] <= 15 * drift


def test_in_a_much_longer_run_lrs_below_the_best_catch_up():
    (curve,) = regret_curves([rung([0.6, 0.4, 0.2, 0.4, 0.6])], START)
    assert curve.in_longer_run(np.array([1.0, 1.5]), 3.0) == pytest.approx(curve.at(np.array([1.0, 1.5])))
    assert curve.in_longer_run(np.array([1.0]), 5.0) == pytest.approx(curve.at(np.array([1.0])) * 0.5)
    assert curve.in_longer_run(np.array([1.0]), 7.0) == pytest.approx(curve.at(np.array([1.0])) * 0.25)


def test_in_a_longer_run_lrs_that_are_too_high_come_nearer():
    (curve,) = regret_curves([rung([0.6, 0.4, 0.2, 0.4, 0.6])], START)
    log2_lrs = np.array([2.5, 3.0, 3.5])
    shift = 5 * THRESHOLDS.edge_drift
    assert curve.in_longer_run(log2_lrs, 5.0) == pytest.approx(curve.at(log2_lrs + shift))
    assert (curve.in_longer_run(log2_lrs, 5.0) > curve.at(log2_lrs)).all()


def test_where_learning_begins_late_lower_lrs_catch_up():
    late = replace(START, late=True)
    losses = [0.95, 0.65, 0.6, 0.9]
    assert estimate([rung(losses)], late, 400).log2_lr < estimate([rung(losses)], START, 400).log2_lr
    # Where the trials learned enough, what the probe showed does not matter.
    losses = [0.9, 0.3, 0.2, 0.8]
    assert estimate([rung(losses)], late, 400) == estimate([rung(losses)], START, 400)


def test_of_trials_that_left_a_plateau_the_lowest_counts_as_the_best():
    by_lr = regrets(rung([0.99, 0.98, 0.5, 0.3, 0.9]), START)
    assert min(by_lr, key=by_lr.get) == 2.0
    assert 0 < by_lr[3.0] < 0.2
    # Without a plateau, where the fall grows with the LR, the best is the best.
    by_lr = regrets(rung([0.9, 0.7, 0.5, 0.3, 0.9]), START)
    assert min(by_lr, key=by_lr.get) == 3.0


def test_a_probe_moves_the_choice_towards_its_lr():
    rungs = [rung([0.6, 0.3, 0.25, 0.3, 0.6])]
    chosen = [estimate(rungs, START, 400, probed=probed).log2_lr for probed in (0.5, 1.0, 2.5)]
    assert chosen == sorted(chosen)
    assert chosen[0] < chosen[2]
    # The trials decide against a probe that is far off.
    far = estimate(rungs, START, 400, probed=40.0).log2_lr
    assert far == estimate(rungs, START, 400).log2_lr


def test_of_equals_the_lowest_is_chosen():
    flat = Rung(50, tuple(trial(log2_lr, 0.2) for log2_lr in range(8)))
    assert 0 < estimate([flat], START, 50).log2_lr < 2


def test_an_interval_contains_every_lr_that_costs_at_most_a_twentieth():
    at = estimate([rung([0.6, 0.3, 0.2, 0.3, 0.6])], Start(1.0, 0.0), 200)
    assert at.tolerance == 0.05
    assert at.log2_high > at.log2_lr > at.log2_low


def test_more_noise_widens_the_interval():
    rungs = [rung([0.6, 0.3, 0.2, 0.3, 0.6])]
    intervals = [estimate(rungs, Start(1.0, noise), 200) for noise in (0.0, 0.2, 1.0)]
    widths = [at.log2_high - at.log2_low for at in intervals]
    assert widths[0] < widths[1] < widths[2]


def test_a_rung_that_never_left_the_start_does_not_count():
    clear = rung([0.6, 0.2, 0.6])
    silent = Rung(20, (trial(-6, 0.99, updates=20), trial(-8, 1.0, updates=20)))
    assert estimate([silent, clear], START, 200) == estimate([clear], START, 200)
    # Nor beside one that is on the plateau as well, but has learned a part.
    partial = rung([0.93, 0.9, 0.93])
    assert estimate([silent, partial], START, 200) == estimate([partial], START, 200)


def test_trials_still_on_the_plateau_below_the_best_will_leave_it_in_a_longer_run():
    by_lr = regrets(rung([1.0, 0.99, 0.2, 1.0]), START)
    assert by_lr == pytest.approx({0.0: 0.2, 1.0: 0.1, 2.0: 0.0, 3.0: 1.0})
    assert regrets(rung([0.99, 0.95]), START) == pytest.approx({0.0: 0.8, 1.0: 0.0})  # none has left it


def test_long_trials_decide_and_short_ones_give_the_shape_beyond():
    short, long = rung([0.9, 0.5, 0.2, 0.6]), Rung(200, (trial(1, 0.3, updates=200), trial(2, 0.1, updates=200)))
    first, second = regret_curves([long, short], START)
    assert (first.updates, second.updates) == (50, 200)
    assert second.at([1.0, 2.0]) == pytest.approx([regrets(long, START)[1.0], 0.0])
    assert second.at([3.0])[0] == pytest.approx(first.at([3.0])[0] - first.at([2.0])[0])
    assert second.at([0.0])[0] - second.at([1.0])[0] == pytest.approx(first.at([0.0])[0] - first.at([1.0])[0])
