"""The search: which trial is made next, and when none is worth its price, as a function of the trials so far."""

import math
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from learnrate.tuner.estimate import estimate
from learnrate.tuner.search import Limits, Proposal, Stop, next_trials, why_longer
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import rungs
from synthetic_rungs import START, rung, several_rungs, trial
from test_runner import runner
from trainables import NotFinite, Quadratic

LIMITS = Limits(first=-1.0, lowest=-20.0, highest=6.0, updates=50, longest=500, horizon=1000)


def after(losses, remaining=10**6, start=START, updates=50, scores=None, **limits):
    """What the search does after trials with these losses, by log2 of their LR."""
    trials = [trial(log2_lr, loss, (scores or {}).get(log2_lr), updates) for log2_lr, loss in losses.items()]
    return next_trials(trials, remaining, start=start, limits=replace(LIMITS, **limits))


def log2_lrs(proposal):
    assert isinstance(proposal, Proposal), proposal
    return pytest.approx([math.log2(lr) for lr in proposal.max_lrs], abs=0.1)


def searched(trainable, budget=1000, loss=4.5, family=lr.constant, **limits):
    on = runner(trainable, budget, 1000, loss)
    propose = partial(next_trials, start=on.start, limits=replace(LIMITS, **limits))
    trials, stop = on.search(propose, family)
    return on, trials, stop


bounds = st.builds(
    Limits,
    first=st.floats(-12, 4),
    lowest=st.floats(-20, -12),
    highest=st.floats(4, 8),
    updates=st.just(20),
    longest=st.integers(20, 500),
    horizon=st.integers(100, 10**5),
    stride=st.sampled_from([1.0, 2.0]),
    upwards=st.booleans(),
    is_certain=st.booleans(),
    batched=st.booleans(),
)


@given(several_rungs(least=2), bounds, st.integers(0, 10**4))
def test_proposals_are_new_lrs_with_two_digits_and_follow_from_the_trials_alone(lengths, limits, remaining):
    trials = [trial for rung in lengths for trial in rung.trials]
    step = next_trials(trials, remaining, start=START, limits=limits)
    assert step == next_trials(tuple(trials), remaining, start=START, limits=limits)
    if isinstance(step, Stop):
        assert step.reason
    else:
        tried = {trial.max_lr for trial in trials if trial.updates == step.updates}
        assert len(set(step.max_lrs)) == len(step.max_lrs) > 0
        assert not tried & set(step.max_lrs)
        ends = 2.0**limits.lowest, 2.0**limits.highest
        assert all(lr == float(f"{lr:.1e}") or lr in ends for lr in step.max_lrs)
        assert all(ends[0] <= lr <= ends[1] for lr in step.max_lrs)
        assert step.purpose


@pytest.mark.parametrize(("batched", "expected"), [(False, [-1]), (True, [-1, 0, -2])])
def test_the_first_trial_is_at_the_first_lr_and_three_of_them_are_one_batch(batched, expected):
    assert log2_lrs(after({}, batched=batched)) == expected


@pytest.mark.parametrize(
    ("losses", "following"),
    [
        ({-1: 0.3}, 0),  # nothing is known: upwards
        ({-1: 0.9, 0: 0.3}, 1),  # the highest LR is the best
        ({-1: 0.3, 0: 0.9}, -2),  # the lowest LR is the best
        ({-1: 0.9, 0: 0.6, 1: 0.3}, 3),  # after two steps in one direction the first LR was far off
        ({-1: 0.3, 0: 0.6, 1: 0.9}, -2),
        ({-3: 0.3, -2: 0.6, -1: 0.9}, -5),
        ({-1: 0.9, 0: 0.3, 1: 0.9}, None),
        ({-1: 0.9, 0: 0.3, 1: math.inf}, None),
        ({-1: 0.3, 0: math.inf}, -2),
        ({-1: 0.301, 0: 0.3}, None),  # as good: the next one would be as good as well
    ],
)
def test_the_search_goes_on_beyond_the_best_lr_until_it_is_between_worse_ones(losses, following):
    step = after(losses)
    assert isinstance(step, Stop) if following is None else log2_lrs(step) == [following]


def test_the_direction_of_the_second_trial_is_given():
    assert log2_lrs(after({-1: 0.3}, upwards=False)) == [-2]


def test_without_a_probe_strides_are_wide_and_equal_trials_are_no_reason_to_stop():
    assert log2_lrs(after({-1: 0.9, 1: 0.3}, stride=2.0)) == [3]
    assert isinstance(after({-1: 0.3, 0: 0.301}), Stop)
    assert log2_lrs(after({-1: 0.3, 0: 0.301}, is_certain=False)) == [-2]


def test_between_wide_strides_the_better_side_is_tried():
    assert log2_lrs(after({-3: 0.4, -1: 0.3, 1: 0.35}, stride=2.0)) == [-2]
    # An LR beside one that diverged is worth little.
    assert log2_lrs(after({-3: 0.6, -1: 0.3, 1: math.inf}, stride=2.0)) == [-2]


def test_an_lr_at_which_nothing_is_learned_although_a_probe_learned_is_too_high():
    noisy = replace(START, noise=0.3)
    assert log2_lrs(after({-1: 0.99}, remaining=120, start=noisy, probe_fall=0.5)) == [-3]
    assert log2_lrs(after({-1: 0.99}, remaining=120, start=noisy, probe_fall=0.015)) == [1]


@pytest.mark.parametrize(("price", "stops"), [(0.1, True), (0.001, False)])
def test_a_trial_is_made_if_it_saves_more_than_it_costs(monkeypatch, price, stops):
    monkeypatch.setattr("learnrate.tuner.search.THRESHOLDS", replace(THRESHOLDS, price=price))
    step = after({-1: 0.301, 0: 0.3}, updates=100)
    assert isinstance(step, Stop) == stops
    assert not stops or ("2" in step.reason and "10 %" in step.reason)


def test_a_stop_names_the_trial_that_is_not_made_and_its_saving_and_price():
    reason = after({-1: 0.301, 0: 0.3}).reason
    assert "LR 2" in reason
    assert "0.5 %" in reason
    assert "5 % of a training run" in reason


def test_while_all_trials_diverge_the_search_goes_down_in_growing_steps_and_ends():
    losses, steps = {-1.0: math.inf}, []
    while isinstance(step := after(losses, lowest=-14.0), Proposal):
        (lower,) = (math.log2(lr) for lr in step.max_lrs)
        steps.append(round(lower))
        losses[lower] = math.inf
    assert steps == [-3, -7, -13, -14]
    # A limit that is no LR of two digits is not tried again and again.
    for lowest in (-3.3, -3.29):
        assert isinstance(after({-1.0: math.inf, lowest: math.inf}, lowest=lowest), Stop)
    assert "diverged" in step.reason


@pytest.mark.parametrize(("edge", "following"), [(1.0, 0.0), (-0.4, -0.7), (-0.85, None)])
def test_the_search_goes_half_way_to_the_stability_edge_unless_it_is_too_near(edge, following):
    trials = [trial(-2, 0.6), trial(-1, 0.3), trial(edge, math.inf, updates=20)]
    step = next_trials(trials, 10**6, start=START, limits=LIMITS)
    assert isinstance(step, Stop) if following is None else log2_lrs(step) == [following]


def test_a_slow_start_and_a_plateau_need_longer_trials_at_the_same_lr():
    slow = after({-1: 0.95}, remaining=400)
    assert (slow.updates, log2_lrs(slow)) == (200, [-1])
    plateau = after({-3: 0.995, -1: 0.3}, remaining=400)
    assert (plateau.updates, log2_lrs(plateau)) == (200, [-1])
    assert after({-1: 0.95}, remaining=10**6).updates == LIMITS.longest
    # Where the budget covers no two longer trials, the search goes on with these.
    assert after({-1: 0.95}, remaining=120).updates == 50
    assert after({-1: 0.95}, remaining=400, longest=50).updates == 50


@pytest.mark.parametrize(
    ("losses", "noise", "words"),
    [
        ([0.95, 0.97], 0.01, "a tenth"),
        ([0.85, 0.851, 0.849], 0.01, "the same"),
        ([0.8, 0.7], 0.5, "noise"),
        ([0.995, 0.995, 0.3], 0.01, "plateau"),
    ],
)
def test_why_longer_trials_are_needed(losses, noise, words):
    assert words in why_longer(rung(losses), replace(START, noise=noise))


@pytest.mark.parametrize("losses", [[0.85, 0.9, 0.849], [0.3, 0.301, 0.299], [0.6, 0.5, 0.3]])
def test_when_longer_trials_are_not_needed(losses):
    assert why_longer(rung(losses), START) is None


@pytest.mark.parametrize(
    ("losses", "limits", "words"),
    [
        ({0: 0.5, -1: 0.3, -2: 0.6}, {}, "either side"),
        ({0: 0.3, -1: 0.5}, {"highest": 0.1}, "`high`"),
        ({0: 0.5, -1: 0.3}, {"lowest": -1.1}, "`low`"),
    ],
)
def test_a_stop_without_an_lr_left_says_what_is_in_the_way(losses, limits, words):
    assert words in after(losses, **limits).reason


def test_the_last_trial_shows_whether_the_others_learned():
    noisy = replace(START, noise=0.3)
    assert log2_lrs(after({-1: 0.9, 0: 0.91}, remaining=60, start=noisy)) == [-4]
    assert log2_lrs(after({-1: 0.9, 0: 0.91}, remaining=60)) != [-4]


def test_while_no_trial_has_begun_to_learn_both_sides_are_tried_by_turns():
    losses, tried = {-1.0: 0.99}, []
    for _ in range(4):
        step = after(losses, stride=2.0, is_certain=False, longest=50)
        (lr,) = (math.log2(lr) for lr in step.max_lrs)
        tried.append(round(lr))
        losses[lr] = 0.99
    assert tried == [1, -3, 3, -5]


def test_the_reserve_is_not_touched():
    on = runner(Quadratic(noise=0.0), 1000, 1000, 4.5)
    limits = replace(LIMITS, first=-8.0, longest=50)
    trials, stop = on.search(partial(next_trials, start=on.start, limits=limits), lr.constant, reserve=880)
    assert len(trials) == 2
    assert on.spending.remaining() == 900
    assert "budget" in stop.reason


@pytest.mark.parametrize("first", [-12.0, -6.0, -1.0, 3.0, 6.0])
@pytest.mark.parametrize("curvature", [1.0, 64.0])
def test_the_search_finds_an_lr_that_learns_from_either_side(first, curvature):
    # Descent is stable below an LR of 2 / curvature, and fastest at half of that.
    trainable = Quadratic(curvature=curvature, noise=0.0)
    limits = {"first": first, "lowest": -30.0, "stride": 2.0, "is_certain": False}
    on, trials, _ = searched(trainable, budget=10**6, loss=4.5 * curvature, **limits)
    assert len(trials) <= 12
    shrinks = 1 - estimate(rungs(trials), on.start, 1000).lr * curvature
    assert abs(shrinks) ** 1000 < 0.01


def test_the_search_stays_within_its_bounds():
    _, trials, _ = searched(Quadratic(curvature=1e-6, noise=0.0), loss=4.5e-6, highest=1.0)
    assert max(trial.log2_lr for trial in trials) <= 1.1
    _, trials, _ = searched(Quadratic(curvature=1e6, noise=0.0), loss=4.5e6, budget=10**6, lowest=-5.0)
    assert min(trial.log2_lr for trial in trials) >= -5.1


def test_the_search_ends_if_every_trial_diverges_or_no_lr_matters():
    on, trials, stop = searched(NotFinite(), budget=10**6)
    assert all(trial.diverged for trial in trials)
    assert on.spending.spent < 100
    assert "diverged" in stop.reason
    _, trials, _ = searched(Quadratic(noise=0.0), budget=10**6, family=lambda max_lr: lr.constant(0.1))
    assert len(trials) <= 3


@given(st.floats(-3, 3), st.floats(-2, 2), st.integers(10, 60), st.sampled_from([1.0, 2.0]))
def test_the_search_ends_without_a_budget(power, first, updates, stride):
    curvature = 10**power
    trainable = Quadratic(noise=0.0, curvature=curvature)
    limits = {"first": first - math.log2(curvature), "lowest": -30.0, "highest": 30.0, "updates": updates, "stride": stride}
    _, trials, _ = searched(trainable, budget=10**9, loss=4.5 * curvature, **limits)
    assert len({(trial.max_lr, trial.updates) for trial in trials}) == len(trials) <= 30
