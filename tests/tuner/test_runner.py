"""The runner: what a trial shows, when it ends, what it costs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from learnrate.trainable import SKIPPED, NotBatchableError, Reading
from learnrate.tuner.budget import OUT_OF_TIME, Budget, Spending
from learnrate.tuner.runner import Runner
from learnrate.tuner.search import Proposal
from learnrate.tuner.trials import Start, Trial, squeezed
from trainables import NotFinite, Quadratic, with_evaluation


class Clock:
    """A clock that only moves when it is set."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def runner(trainable, budget=1000, horizon=1000, loss=4.5, noise=0.0, **fields):
    fields = {"spending": Spending(Budget(budget)), **fields}
    return Runner(trainable, trainable.save(), start=Start(loss, noise), horizon=horizon, **fields)


def run(on, max_lrs, updates, family=lr.constant, **arguments):
    return on.run(Proposal(tuple(max_lrs), updates, "a test"), family, **arguments)


@given(st.integers(2, 50), st.integers(2, 500))
def test_a_trial_visits_the_lrs_of_the_run(updates, length):
    values = squeezed(lr.linear(1.0, 0.0, length), updates, 10**6)
    assert values == pytest.approx([1 - (place + 0.5) / updates for place in range(updates)])
    assert squeezed(lr.constant(0.3), updates, length) == [0.3] * updates
    assert all(type(value) is float for value in values)


def test_a_function_of_the_user_may_take_plain_numbers_only():
    schedule = lr.custom(1.0, 0.0, lambda p: math.sin(math.pi / 2 * p), length=100)
    assert squeezed(schedule, 5, 100) == [schedule(count) for count in (10.0, 30.0, 50.0, 70.0, 90.0)]


def test_a_trial_is_judged_by_its_last_fifth_and_every_update_counts():
    on = runner(Quadratic(noise=0.0))
    (trial,) = run(on, [0.1], 20, name="mine")
    by_hand = [4.5 * 0.9 ** (2 * update) for update in range(16, 20)]
    assert trial.final_losses == pytest.approx(by_hand)
    assert trial.loss == pytest.approx(sum(by_hand) / 4)
    assert trial == Trial(0.1, 20, 20, trial.loss, None, "mine", "a test", trial.final_losses, highest_loss=4.5)
    assert on.spending.spent == 20
    assert on.trials == [trial]


def test_trials_that_end_because_the_time_is_over_are_counted_and_give_no_result():
    clock = Clock()

    class Slow(Quadratic):
        def update(self, lr):
            if self.all_updates == 25:
                clock.seconds = 10.0
            return super().update(lr)

    on = runner(Slow(noise=0.0), spending=Spending(Budget(1000, seconds=5.0), clock=clock))
    assert [trial.max_lr for trial in run(on, [0.1, 0.2, 0.3], 20)] == [0.1]
    assert (on.cut_trials, on.spending.spent) == (1, 26)
    assert run(on, [0.1], 20) == []
    assert on.cut_trials == 1


@pytest.mark.parametrize(("seconds_per_update", "trials"), [(0.5, 3), (2.0, 1)])
def test_no_trial_is_begun_for_which_the_pace_leaves_less_than_the_reserve(seconds_per_update, trials):
    clock = Clock()

    class Timed(Quadratic):
        def update(self, lr):
            clock.seconds += seconds_per_update
            return super().update(lr)

    on = runner(Timed(noise=0.0), spending=Spending(Budget(1000, seconds=100.0), clock=clock))
    assert len(run(on, [0.1, 0.2, 0.3], 10, reserve=60)) == trials
    assert (on.cut_trials, on.spending.spent) == (0, 10 * trials)


def test_each_trial_starts_from_the_same_state():
    on = runner(Quadratic(noise=1.0))
    first, other, again = (run(on, [rate], 30)[0] for rate in (0.1, 0.7, 0.1))
    assert first == again != other


def test_losses_above_the_start_count_as_the_start():
    class Spike(Quadratic):
        def update(self, lr):
            return super().update(lr) + (1e6 if self.updates == 99 else 0)

    (trial,) = run(runner(Spike(noise=0.0)), [0.5], 100)
    assert trial.loss == pytest.approx(4.5 / 20)
    assert trial.highest_loss >= 1e6


@pytest.mark.parametrize(
    ("rate", "updates", "diverged"),
    [
        (1.9, 60, False),
        (2.05, 60, True),
        (5.0, 60, True),
        (2.05, 9, False),  # too short to be judged
    ],
)
def test_a_trial_ends_when_it_diverges_but_not_in_its_first_half(rate, updates, diverged):
    on = runner(Quadratic(noise=0.0))
    (trial,) = run(on, [rate], updates)
    assert trial.diverged == diverged
    assert on.spending.spent == trial.updates_made
    assert (trial.updates_made == updates) != diverged
    assert not diverged or trial.updates_made > updates // 2


def test_a_loss_may_rise_as_far_above_the_start_as_earlier_trials_fell_below_it():
    class Shifted(Quadratic):
        def update(self, lr):
            return super().update(lr) + (6.0 if self.updates > 20 and lr > 0.15 else 0.0)

    # The loss starts at 0 and would fall to -4.5: shifted, it ends at 1.5.
    on = runner(Shifted(noise=0.0, offset=-4.5), loss=0.0)
    assert run(on, [0.2], 60)[0].diverged
    assert not run(on, [0.1], 60)[0].diverged
    assert not run(on, [0.2], 60)[0].diverged


def test_a_median_of_the_last_losses_ignores_single_spikes():
    class Spikes(Quadratic):
        def update(self, lr):
            return super().update(lr) + (1e6 if self.updates % 5 < 2 else 0)

    assert not run(runner(Spikes(noise=0.0)), [0.3], 60)[0].diverged


def test_a_loss_that_is_not_finite_ends_a_trial_at_once():
    (trial,) = run(runner(NotFinite()), [0.1], 60)
    assert trial == Trial(0.1, 60, 2, math.inf, purpose="a test")


def test_a_trial_continues_after_a_spike():
    class Recovering(Quadratic):
        def update(self, lr):
            return super().update(lr) + (1e9 if 2 < self.updates < 25 else 0)

    assert not run(runner(Recovering(noise=0.0)), [0.3], 60)[0].diverged


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_does_not_count(score):
    on = runner(with_evaluation(Quadratic(), lambda: score))
    assert run(on, [0.1], 20)[0].score is None
    assert on.unscored == 1


def test_the_first_number_of_an_evaluation_is_the_score():
    on = runner(with_evaluation(Quadratic(), lambda: {"accuracy": 0.7, "f1": 0.2}))
    assert run(on, [0.1], 20)[0].score == 0.7


def test_no_trial_is_begun_that_the_budget_does_not_cover():
    on = runner(Quadratic(), budget=45)
    assert len(run(on, [0.1, 0.2, 0.4], 20)) == 2
    assert on.spending.remaining() == 5
    on = runner(Quadratic())
    assert len(run(on, [0.1, 0.2, 0.4], 20, reserve=955)) == 2


def test_losses_may_be_read_several_at_a_time():
    class ReadLate(Quadratic):
        reading = Reading(every=8, within=math.inf)

    on, late = runner(Quadratic(noise=0.0)), runner(ReadLate(noise=0.0))
    assert run(on, [0.1, 5.0], 60) == run(late, [0.1, 5.0], 60)
    # The updates in vain cost as much as others.
    assert on.spending.spent < late.spending.spent == late.trainable.all_updates <= on.spending.spent + 7


def test_skipped_updates_are_made_again_and_cost_nothing():
    class Skipping(Quadratic):
        calls = 0

        def update(self, lr):
            self.calls += 1
            return SKIPPED if self.calls % 3 == 0 else super().update(lr)

    assert run(runner(Skipping()), [0.1], 60) == run(runner(Quadratic()), [0.1], 60)

    class Stuck(Quadratic):
        def update(self, lr):
            return super().update(lr) if self.updates < 30 else SKIPPED

    (trial,) = run(runner(Stuck()), [0.1], 60)
    assert (trial.diverged, trial.updates_made, trial.highest_loss) == (True, 30, math.inf)


class Batchable(Quadratic):
    """Several of them are updated by one call; without noise, they see the same."""

    counts = ()

    def ensemble(self, count):
        self.counts = (*self.counts, count)
        return Members(self, count)


class Members:
    def __init__(self, trainable, count):
        self.members = [Quadratic(noise=0.0, curvature=trainable.curvature) for _ in range(count)]
        self.failing_at = math.inf

    def update(self, lrs):
        if self.members[0].updates == self.failing_at:
            raise NotBatchableError("the copies differ")
        return [{} if lr is None else {"loss": member.update(lr)} for member, lr in zip(self.members, lrs, strict=True)]

    def evaluate(self):
        return [None] * len(self.members)


def test_trials_of_one_batch_have_the_same_results_and_cost():
    rates = [0.1, 0.5, 5.0, math.nextafter(2.0, 3)]
    together, apart = runner(Batchable(noise=0.0)), runner(Quadratic(noise=0.0))
    assert run(together, rates, 60) == run(apart, rates, 60)
    assert together.spending.spent == apart.spending.spent
    assert (together.batches, together.not_batchable, together.trainable.counts) == (1, "", (4,))
    assert (apart.batches, bool(apart.not_batchable)) == (0, True)
    run(together, [0.1], 60)
    assert together.batches == 1  # a single trial needs no batch


def test_a_batch_has_as_many_trials_as_the_budget_covers():
    on = runner(Batchable(noise=0.0), budget=65)
    assert len(run(on, [0.1, 0.2, 0.4, 0.8], 20)) == 3
    assert (on.trainable.counts, on.spending.spent) == ((3,), 60)
    on = runner(Batchable(noise=0.0))
    assert len(run(on, [0.1, 0.2, 0.4, 0.8], 20, reserve=935)) == 3
    assert (on.trainable.counts, on.spending.spent) == ((3,), 60)


@pytest.mark.parametrize("failing_at", [0, 10])
def test_trials_that_cannot_be_batched_run_one_by_one(failing_at):
    class Failing(Batchable):
        def ensemble(self, count):
            members = super().ensemble(count)
            members.failing_at = failing_at
            return members

    on = runner(Failing(noise=0.0))
    assert run(on, [0.1, 0.5], 60) == run(runner(Quadratic(noise=0.0)), [0.1, 0.5], 60)
    assert (on.batches, on.not_batchable) == (0, "the copies differ")
    assert on.spending.spent == 120 + 2 * failing_at
    run(on, [0.1, 0.5], 60)
    assert on.trainable.counts == (2,)  # not tried again


def test_a_batch_ends_when_the_time_is_over():
    clock = Clock()

    class Slow(Batchable):
        def agree(self, decision):
            clock.seconds += 1
            return decision

    on = runner(Slow(noise=0.0), spending=Spending(Budget(1000, seconds=5.0), clock=clock))
    assert run(on, [0.1, 0.5], 60) == []
    assert on.cut_trials == 2
    assert 0 < on.spending.spent < 20


def test_with_a_time_limit_the_processes_stop_together():
    class Second(Quadratic):
        """One of two processes; the other one finds that the time is over after 30 updates."""

        def agree(self, decision):
            return replace(OUT_OF_TIME) if self.all_updates == 30 else decision

    trainable = Second()
    on = runner(trainable, spending=Spending(Budget(1000, seconds=1e6)))
    assert [trial.max_lr for trial in run(on, [0.1, 0.2], 20)] == [0.1]
    assert (on.cut_trials, trainable.all_updates) == (1, 30)


def test_progress_counts_all_updates_of_the_budget():
    calls = []
    on = runner(Quadratic(), progress=lambda updates, planned: calls.append((updates, planned)))
    run(on, [0.1, 0.2], 20)
    assert calls == [(updates, 1000) for updates in range(1, 41)]


def test_scores_of_any_library_are_floats():
    assert type(run(runner(with_evaluation(Quadratic(), lambda: np.float32(0.5))), [0.1], 20)[0].score) is float
