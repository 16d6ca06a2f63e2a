"""The search: which LRs are tried next, as a function of the trials so far."""

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from learnrate.tuner.estimate import estimate
from learnrate.tuner.search import Limits, coarse_length, next_coarse, next_refinement, refinement_length, search_range
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import rungs
from synthetic_rungs import START, several_rungs, trial
from test_runner import runner
from trainables import NotFinite, Quadratic


class Search:
    """Coarse search and refinement of one family, run on a trainable."""

    def __init__(self, trainable, budget=1000, horizon=1000, family=lr.constant, loss=4.5, batched=False):
        self.on = runner(trainable, budget, horizon, loss)
        self.family, self.batched, self.trials = family, batched, []

    def limits(self, first=0.0, lowest=-20.0, highest=1.0, refinement=0):
        coarse = coarse_length(self.on.spending.total(), self.on.horizon)
        return Limits(first, lowest, highest, coarse, self.on.horizon, refinement, batched=self.batched)

    def coarse(self, first, lowest, highest):
        propose = partial(next_coarse, start=self.on.start, limits=self.limits(first, lowest, highest))
        self.trials = self.on.search(propose, self.family)
        return self.trials

    def refine(self, updates, reserve=0):
        propose = partial(next_refinement, start=self.on.start, limits=self.limits(refinement=updates))
        self.trials = self.on.search(propose, self.family, before=self.trials, reserve=reserve)
        return [trial for trial in self.trials if trial.stage == "refinement"]


def ends(trials):
    return sorted(trial.log2_lr for trial in trials)


limits = st.builds(
    Limits,
    first=st.floats(-12, 4),
    lowest=st.floats(-20, -12),
    highest=st.floats(4, 8),
    coarse_updates=st.just(20),
    horizon=st.integers(100, 10**5),
    refinement_updates=st.integers(20, 100),
    batched=st.booleans(),
)


@given(several_rungs(least=2), limits)
def test_proposals_are_new_lrs_with_two_digits_and_follow_from_the_trials_alone(lengths, bounds):
    trials = [trial for rung in lengths for trial in rung.trials]
    for propose in (next_coarse, next_refinement):
        proposal = propose(trials, START, bounds)
        assert proposal == propose(tuple(trials), START, bounds)
        if proposal is not None:
            tried = {trial.max_lr for trial in trials if trial.updates == proposal.updates}
            assert len(set(proposal.max_lrs)) == len(proposal.max_lrs) > 0
            assert not tried & set(proposal.max_lrs)
            assert all(lr == float(f"{lr:.1e}") for lr in proposal.max_lrs)


def test_the_coarse_search_begins_with_a_pair_and_goes_down_in_pairs_while_all_diverge():
    bounds = Limits(first=1.0, lowest=-9.0, highest=4.0, coarse_updates=20, horizon=1000)
    diverged, steps = [], []
    while (proposal := next_coarse(diverged, START, bounds)) is not None:
        steps.append([round(math.log2(lr)) for lr in proposal.max_lrs])
        diverged += [trial(math.log2(lr), math.inf, updates=20) for lr in proposal.max_lrs]
    assert steps == [[1, -1], [-3, -5], [-7, -9], [-11, -13]]
    sound = [trial(1, 0.5, updates=20), trial(-1, 1.0, updates=20)]
    assert [round(math.log2(lr)) for lr in next_coarse(sound, START, bounds).max_lrs] == [3]


@pytest.mark.parametrize(
    ("losses", "following"),
    [
        ({-3: 0.9, -1: 0.3}, 1),  # the highest LR is the best
        ({-3: 0.3, -1: 0.9}, -5),  # the lowest LR is the best
        ({-3: 0.9, -1: 0.3, 1: 0.9}, None),
        ({-3: 0.9, -1: 0.3, 1: math.inf}, None),
        ({-3: 0.9, -1: 0.89, 1: 0.3, 3: 0.2}, None),  # the range test ended below
    ],
)
def test_the_coarse_search_continues_beyond_the_best_lr(losses, following):
    bounds = Limits(first=-1.0, lowest=-20.0, highest=3.0, coarse_updates=20, horizon=1000)
    trials = [trial(log2_lr, loss, updates=20) for log2_lr, loss in losses.items()]
    proposal = next_coarse(trials, START, bounds)
    if following is None:
        assert proposal is None
    else:
        assert [math.log2(lr) for lr in proposal.max_lrs] == pytest.approx([following], abs=0.1)


@pytest.mark.parametrize(
    ("losses", "falls_from", "following"),
    [
        ({1: 0.3, -1: 0.3, 3: 0.3}, math.inf, -3),  # all learn the same
        ({-1: 0.3, -3: 0.32, 1: 0.9}, math.inf, -5),  # the lowest LR learns nearly as much as the best
        ({-1: 0.3, -3: 0.4, 1: 0.9}, math.inf, None),
        (
            {1: 0.99, -1: 0.99, 3: 0.99},
            -4.0,
            -3,
        ),  # nothing was learned, and the loss of the range test falls from a lower LR
        ({1: 0.99, -1: 0.99, 3: 0.99, -3: 0.99}, -2.0, None),
        ({1: 0.99, -1: 0.99, 3: 0.99}, math.inf, None),  # nor does the range test show where it falls
    ],
)
def test_the_coarse_search_goes_down_while_the_lowest_lr_may_be_the_best(losses, falls_from, following):
    bounds = Limits(first=1.0, lowest=-20.0, highest=3.0, coarse_updates=20, horizon=1000, falls_from=falls_from)
    trials = [trial(log2_lr, loss, updates=20) for log2_lr, loss in losses.items()]
    proposal = next_coarse(trials, START, bounds)
    assert (proposal and round(math.log2(proposal.max_lrs[0]))) == following


@pytest.mark.parametrize(
    ("losses", "following"),
    [
        ({-2: 0.9, -1: 0.3}, 0),
        ({-2: 0.3, -1: 0.9}, -3),
        ({-2: 0.6, -1: 0.3, 0: 0.4}, -0.5),  # between the best LR and its better neighbour
        ({-2: 0.3, 1: 0.9}, -5),  # as far again as the trials reach
        ({-2: 0.3, 1: math.inf}, -3),  # without those that diverged
        ({-2: 0.3, -1: 0.6, 0: 0.9}, -3),  # but not with the last trial
        ({-2: 0.95, -1: 0.95}, -4),  # none is off the plateau any more
    ],
)
def test_the_refinement_continues_beside_the_best_lr(losses, following):
    bounds = Limits(first=-1.0, lowest=-20.0, highest=3.0, coarse_updates=20, horizon=1000, refinement_updates=80)
    coarse = [trial(log2_lr, loss, updates=20) for log2_lr, loss in {-3: 0.9, -1: 0.3, 1: 0.9}.items()]
    refined = [trial(log2_lr, loss, updates=80, stage="refinement") for log2_lr, loss in losses.items()]
    proposal = next_refinement([*coarse, *refined], START, bounds)
    assert [math.log2(lr) for lr in proposal.max_lrs] == pytest.approx([following], abs=0.1)


@pytest.mark.parametrize(("edge", "following"), [(1.0, 0.0), (-0.4, -0.7), (-0.85, -1.5)])
def test_the_refinement_goes_half_way_to_the_stability_edge_unless_it_is_too_near(edge, following):
    bounds = Limits(first=-1.0, lowest=-20.0, highest=3.0, coarse_updates=20, horizon=1000, refinement_updates=80)
    coarse = [trial(log2_lr, loss, updates=20) for log2_lr, loss in {-3: 0.9, -1: 0.3, edge: math.inf}.items()]
    refined = [trial(log2_lr, loss, updates=80, stage="refinement") for log2_lr, loss in {-2: 0.6, -1: 0.3}.items()]
    (max_lr,) = next_refinement([*coarse, *refined], START, bounds).max_lrs
    assert math.log2(max_lr) == pytest.approx(following, abs=0.1)


def test_lrs_that_were_tried_at_this_length_are_not_tried_again():
    bounds = Limits(first=-2.0, lowest=-20.0, highest=2.0, coarse_updates=20, horizon=20, refinement_updates=20)
    coarse = [trial(-3, 0.9, updates=20), trial(-1, 0.3, updates=20), trial(1, 0.9, updates=20)]
    (near, far) = next_refinement(coarse, START, bounds).max_lrs
    assert near not in {0.12, 0.5, 2.0}
    again = [*coarse, trial(math.log2(near), 0.3, updates=20, stage="refinement")]
    assert next_refinement(again, START, bounds).max_lrs != (near,)
    assert far != near


def test_no_lr_is_proposed_that_is_not_a_float():
    for first in (5000.0, -5000.0):
        assert next_coarse([], START, Limits(first, first, first, coarse_updates=20, horizon=1000)) is None


def test_the_reserve_is_not_touched():
    search = Search(Quadratic(noise=0.0))
    search.coarse(-1.0, -20.0, 1.0)
    reserve = search.on.spending.remaining() - 50
    assert len(search.refine(20, reserve)) == 2
    assert search.on.spending.remaining() == reserve + 10


@pytest.mark.parametrize("first", [-12.0, -6.0, -1.0, 3.0, 9.0])
@pytest.mark.parametrize("curvature", [1.0, 64.0])
def test_the_coarse_search_finds_the_stability_edge_from_either_side(first, curvature):
    # Descent is stable below an LR of 2 / curvature, and fastest at half of that.
    search = Search(Quadratic(curvature=curvature, noise=0.0), loss=4.5 * curvature)
    trials = search.coarse(first, -30.0, 12.0)
    assert len(trials) <= THRESHOLDS.most_coarse
    assert {trial.updates for trial in trials} == {50}
    fastest = -math.log2(curvature)
    assert fastest - 3.5 < estimate(rungs(trials), search.on.start, 1000).log2_lr < fastest + 1


def test_the_coarse_search_goes_no_higher_than_the_range_test():
    search = Search(Quadratic(curvature=1e-6, noise=0.0), loss=4.5e-6)
    assert max(ends(search.coarse(-1.0, -20.0, 3.0))) <= 4


def test_the_coarse_search_ends_if_every_trial_diverges():
    search = Search(NotFinite(), budget=100_000)
    trials = search.coarse(6.0, -20.0, 7.0)
    assert all(trial.diverged for trial in trials)
    assert min(ends(trials)) > -30
    assert search.on.spending.spent < 100


def test_a_family_that_ignores_its_lr_ends():
    search = Search(Quadratic(noise=0.0), budget=100_000, family=lambda max_lr: lr.constant(0.1))
    assert len(search.coarse(0.0, -20.0, 2.0)) <= THRESHOLDS.most_coarse
    assert len(search.refine(600)) <= 8


@given(st.floats(-3, 3), st.floats(-2, 2), st.integers(10, 60))
def test_the_refinement_ends_when_no_new_lr_lies_between_those_that_were_tried(power, first, updates):
    # A budget without limit: only the search itself ends it.
    search = Search(Quadratic(noise=0.0, curvature=10**power), budget=10**9, horizon=200, loss=4.5 * 10**power)
    search.coarse(first - math.log2(10) * power, -30.0, 30.0)
    search.refine(updates)
    lrs = [trial.max_lr for trial in search.trials if trial.updates == updates]
    assert len(set(lrs)) == len(lrs) <= 8 + THRESHOLDS.most_coarse


@pytest.mark.parametrize(("batched", "distances"), [(False, (-0.5, 0.5)), (True, (-0.5, 0.5, -1.5, 1.5))])
def test_the_refinement_begins_on_both_sides_of_the_estimate(batched, distances):
    search = Search(Quadratic(noise=0.0), batched=batched)
    coarse = search.coarse(-1.0, -20.0, 2.0)
    proposal = next_refinement(coarse, search.on.start, search.limits(refinement=150))
    log2_lrs = [math.log2(lr) for lr in proposal.max_lrs]
    middle = (log2_lrs[0] + log2_lrs[1]) / 2
    assert log2_lrs == pytest.approx([middle + distance for distance in distances], abs=0.1)
    assert (proposal.updates, proposal.stage) == (150, "refinement")


@pytest.mark.parametrize(
    ("losses", "count"),
    [
        ({-3: 0.9, -1: 0.3, 1: 0.9}, 4),
        ({-3: 0.32, -1: 0.3, 1: 0.9}, 2),
        ({-3: 0.9, -1: 0.32, 1: 0.3}, 2),
        ({-1: 0.3, 1: 0.9}, 2),
    ],
)
def test_four_trials_are_one_batch_only_between_worse_lrs(losses, count):
    bounds = Limits(-1.0, -20.0, 3.0, coarse_updates=20, horizon=1000, refinement_updates=80, batched=True)
    coarse = [trial(log2_lr, loss, updates=20) for log2_lr, loss in losses.items()]
    assert len(next_refinement(coarse, START, bounds).max_lrs) == count


def test_on_a_plateau_the_refinement_is_far_apart_and_begins_at_the_top():
    search = Search(Quadratic(noise=0.0, plateau=60))
    tried = ends(search.coarse(-4.0, -20.0, 0.0))
    first, second = (trial.log2_lr for trial in search.refine(150)[:2])
    assert first == max(tried)
    assert second == pytest.approx(first - 2, abs=0.1)


@pytest.mark.parametrize(("losses", "following"), [({-3: 0.9, -1: 0.3}, 1), ({-3: 0.3, -1: 0.9}, -5)])
def test_on_a_plateau_the_refinement_goes_on_in_steps_of_a_factor_of_four(losses, following):
    bounds = Limits(first=-1.0, lowest=-20.0, highest=3.0, coarse_updates=20, horizon=1000, refinement_updates=80)
    coarse = [trial(log2_lr, 0.99, updates=20) for log2_lr in (-5, -3, -1)]
    refined = [trial(log2_lr, loss, updates=80, stage="refinement") for log2_lr, loss in losses.items()]
    proposal = next_refinement([*coarse, *refined], START, bounds)
    assert [math.log2(lr) for lr in proposal.max_lrs] == pytest.approx([following], abs=0.1)


@pytest.mark.parametrize(("spike", "first"), [(-9.0, -10.0), (-5.0, -6.0), (-1.0, -4.0)])
def test_on_a_plateau_an_lr_whose_loss_had_a_spike_is_not_tried_again(spike, first):
    class Spiking(Quadratic):
        def update(self, lr):
            return super().update(lr) + 5.0 * (self.updates == 10 and lr > 2.0**spike)

    search = Search(Spiking(noise=0.0, plateau=60))
    tried = search.coarse(-6.0, -20.0, -3.0)
    assert [round(log2_lr) for log2_lr in ends(tried)] == [-8, -6, -4]
    assert max(trial.log2_lr for trial in search.refine(150)[:2]) == pytest.approx(first, abs=0.1)


@pytest.mark.parametrize(
    ("remaining", "horizon", "families", "coarse", "expected"),
    [
        (400, 1000, 1, 25, 100),
        (400, 100, 1, 25, 50),  # at most half of the run
        (88, 1000, 1, 25, 0),  # shorter than the coarse trials: they would show nothing new
        (92, 1000, 1, 25, 23),
        (36, 1000, 1, 5, 0),
        (400, 1000, 2, 25, 50),
        (200, 1000, 2, 25, 24),  # not the length of the coarse trials of the first family
        (88, 1000, 2, 25, 11),
        (72, 1000, 2, 25, 0),
    ],
)
def test_the_length_of_refinement_trials(remaining, horizon, families, coarse, expected):
    assert refinement_length(remaining, horizon, families, coarse) == expected


@pytest.mark.parametrize(
    ("budget", "horizon", "expected"),
    [(2000, 20_000, 100), (600, 600, 30), (300, 300, 25), (240, 240, 20), (40, 1000, 10), (2000, 60, 30), (300, 8, 8)],
)
def test_the_length_of_coarse_trials(budget, horizon, expected):
    assert coarse_length(budget, horizon) == expected


def test_the_search_begins_at_the_lowest_loss_or_below_the_last_lr_of_a_curve_without_bounds():
    curve = lr.range_test(Quadratic(noise=0.01), low=1e-6, high=100.0, updates=100)
    first, lowest, highest = search_range(curve, curve.bounds(), 100.0)
    assert 2.0**lowest == pytest.approx(1e-6)
    assert 2.0**highest == pytest.approx(curve.lrs[-1])
    assert 0.1 < 2.0**first < 2.5
    flat = lr.Curve(curve.lrs, [1.0] * len(curve))
    assert search_range(flat, flat.bounds(), 100.0) == (highest - 1, lowest, highest)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [("swept", 0.1), ("diverged", 0.1), ("not finite", 0.1), ("out of time", 100.0), ("stopped", 100.0)],
)
def test_a_curve_that_ended_early_does_not_show_which_lrs_are_too_high(ended, expected):
    curve = lr.Curve([0.01, 0.03, 0.1], [1.0, 1.0, 1.0], ended=ended)
    first, _, highest = search_range(curve, curve.bounds(), 100.0)
    assert (2.0**first, 2.0**highest) == pytest.approx((expected / 2, expected))
