"""tune(): from a trainable to a plan, in NumPy and with small torch models."""

import math
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnrate as lr
from facts import facts, tells
from learnrate.errors import NoAnswerError
from learnrate.trainable import OptimizerTraits
from trainables import ConstantLoss, NoisyLoss, NotFinite, Quadratic, Regression, Unrelated, check_reasons, with_evaluation


@pytest.mark.parametrize("evaluated", [True, False])
def test_the_plan_has_a_max_lr_that_trains(evaluated):
    trainable = Regression(evaluated=evaluated)
    plan = lr.tune(trainable, updates=400)
    check_reasons(plan)
    start = -Regression().evaluate()
    for update in range(plan.length):
        trainable.update(plan.schedule(update))
    trainable.evaluated = True
    assert -trainable.evaluate() < start / 100


@pytest.mark.parametrize("curvature", [1e-2, 1.0, 1e3])
@pytest.mark.parametrize("updates", [100, 1000])
def test_the_plan_stays_below_the_stability_edge_wherever_it_is(curvature, updates):
    plan = lr.tune(Quadratic(curvature=curvature, noise=0.1 * curvature), updates=updates)
    assert 0.02 < plan.max_lr * curvature < 2
    check_reasons(plan)
    assert plan.bounds is not None


def test_equal_runs_give_equal_plans_and_other_noise_gives_a_similar_one():
    plans = [lr.tune(Quadratic(seed=seed), updates=400) for seed in (0, 0, 1, 2, 3)]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]
    log2_lrs = [math.log2(plan.max_lr) for plan in plans]
    assert max(log2_lrs) - min(log2_lrs) < 2


@settings(max_examples=10)
@given(st.integers(-60, 60), st.integers(0, 5))
def test_the_unit_of_the_loss_does_not_change_the_plan(power, seed):
    plain, scaled = (lr.tune(Quadratic(seed=seed, scale=scale), updates=200) for scale in (1.0, 2.0**power))
    assert (plain.max_lr, plain.interval) == (scaled.max_lr, scaled.interval)
    assert [trial.max_lr for trial in plain.trials] == [trial.max_lr for trial in scaled.trials]


@pytest.mark.parametrize("offset", [-4.5, -100.0])
def test_losses_may_start_at_zero_and_be_negative(offset):
    # The loss starts at 4.5 plus the offset: little beside 100, but all that can be learned.
    trainable = Quadratic(noise=0.0, offset=offset)
    assert trainable.update(0.0) == 4.5 + offset
    plan = lr.tune(Quadratic(noise=0.0, offset=offset), updates=400)
    assert 0.02 < plan.max_lr < 2.5
    check_reasons(plan)


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_an_evaluation_without_a_finite_number_leaves_the_choice_to_the_loss(score, tmp_path):
    plan = lr.tune(with_evaluation(Quadratic(), lambda: score), updates=300)
    assert plan.max_lr == lr.tune(Quadratic(), updates=300).max_lr
    assert all(trial.score is None for trial in plan.trials)
    check_reasons(plan)
    plan.save(tmp_path / "plan.json")
    assert lr.Plan.load(tmp_path / "plan.json") == plan


def test_a_score_that_falls_while_the_loss_falls_does_not_change_the_choice():
    trainable = Quadratic()
    plan = lr.tune(with_evaluation(trainable, lambda: abs(trainable.weight)), updates=300)
    assert plan.max_lr == lr.tune(Quadratic(), updates=300).max_lr


@pytest.mark.parametrize("length", [5, 60])
def test_a_plateau_is_left(length):
    assert 0.02 < lr.tune(Quadratic(plateau=length), updates=1000).max_lr < 3


def test_a_plateau_that_lasts_longer_than_the_trials_is_no_answer():
    with pytest.raises(NoAnswerError, match=facts("significantly", "never changed", "larger budget", "plateau")):
        lr.tune(Quadratic(plateau=900), updates=1000)
    with pytest.raises(NoAnswerError, match=facts("significantly", "larger budget", "plateau", "lasts longer")):
        lr.tune(NoisyLoss(plateau=900), updates=1000)


@pytest.mark.parametrize("kind", [Unrelated, ConstantLoss])
def test_a_run_that_never_learns_is_no_answer(kind):
    trainable = kind()
    before = trainable.save()
    with pytest.raises(NoAnswerError, match=facts("learning rate", "significantly", "plateau")):
        lr.tune(trainable, updates=300)
    assert trainable.save() == before


class Interrupted(Regression):
    def update(self, lr):
        if self.all_updates == 10:
            raise KeyboardInterrupt
        return super().update(lr)


def with_epochs_of(number):
    trainable = Quadratic()
    trainable.updates_per_epoch = lambda: number
    return trainable


@pytest.mark.parametrize(
    ("trainable", "words"),
    [
        (Quadratic, ("trainable", "class Quadratic", "Quadratic()")),
        (with_epochs_of("10"), ("updates_per_epoch()", "integer", "'10'")),
        (with_epochs_of(math.nan), ("updates_per_epoch()", "integer", math.nan)),
        (with_epochs_of(-5), ("updates_per_epoch()", "at least 1", -5)),
    ],
)
def test_a_wrong_trainable_is_refused_before_the_first_update(trainable, words):
    with pytest.raises((TypeError, ValueError), match=facts(*words)):
        lr.tune(trainable, updates=300)
    assert isinstance(trainable, type) or trainable.all_updates == 0


def test_a_trainable_must_have_all_members():
    missing = ("without update", "update, save, restore", "more members")
    with pytest.raises(TypeError, match=facts("trainable", "learnrate.Trainable", *missing)):
        lr.tune(lambda rate: 1.0, updates=300)


class Spiking(Regression):
    """At a high LR the loss of one batch in fifty has a large spike, and the model recovers at once."""

    def __init__(self, unbounded_steps):
        super().__init__()
        self.traits = OptimizerTraits(unbounded_steps=unbounded_steps)

    def update(self, lr):
        loss = super().update(lr)
        return loss + 1e6 * lr**2 if self.all_updates % 50 == 40 and lr > 0.02 else loss


def test_if_steps_are_not_bounded_the_plan_stays_below_large_spikes():
    unbounded, bounded = (lr.tune(Spiking(unbounded_steps), updates=1000) for unbounded_steps in (True, False))
    spike = min(trial.max_lr for trial in unbounded.trials if trial.highest_loss > 2000)
    assert unbounded.max_lr < spike
    assert unbounded.interval[1] <= spike < bounded.interval[1]
    assert any(f"LR {spike:.2g}" in reason and "spike" in reason for reason in unbounded.reasons.trials)
    assert not any("spike" in reason for reason in bounded.reasons.trials)


@pytest.mark.parametrize("name", ["progress", "on_curve"])
def test_a_callback_must_be_a_function(name):
    with pytest.raises(TypeError, match=facts(name, "function", 3)):
        lr.tune(Quadratic(), updates=300, **{name: 3})


def test_an_interrupt_in_the_range_test_leaves_its_curve():
    curves = []
    with pytest.raises(KeyboardInterrupt):
        lr.tune(Interrupted(), updates=300, on_curve=lambda curve, bounds: curves.append(curve))
    assert [curve.ended for curve in curves] == ["interrupted"]


@pytest.mark.parametrize("budget", [1.0, "100000%"])
def test_a_loss_that_is_not_finite_at_once_is_no_answer_and_ends(budget):
    trainable = NotFinite()
    before = trainable.save()
    with pytest.raises(NoAnswerError, match=facts("not finite", "update 1", "range test", "LR 1.", "e-06", "NaN")):
        lr.tune(trainable, updates=300, budget=budget)
    assert trainable.save() == before
    assert trainable.all_updates < 100


class AlwaysDiverging(NoisyLoss):
    """Its loss becomes infinite at every LR; the higher the LR, the sooner."""

    def update(self, lr):
        super().update(lr)
        return math.inf if self.updates > 12 and self.updates * (1 + lr) > 20 else 1.0 + 0.01 * self.random.standard_normal()


def test_a_run_that_diverges_at_every_lr_is_no_answer_and_ends_however_large_the_budget():
    trainable = AlwaysDiverging()
    with pytest.raises(NoAnswerError) as caught:
        lr.tune(trainable, updates=300, budget="100000%")
    message = str(caught.value)
    assert tells(message, "diverged", "every LR", "lower `low`") or tells(message, "not finite", "update", "NaN")
    assert trainable.all_updates < 400


@pytest.mark.parametrize("at", [1, 2, 8, 15, 30])
def test_a_batch_whose_loss_is_not_finite_is_named(at):
    trainable = NotFinite(finite=at)
    with pytest.raises(NoAnswerError, match=facts("not finite", f"update {at}", "NaN", "batch")):
        lr.tune(trainable, updates=1000)
    assert trainable.all_updates < 400


def test_the_remedy_is_a_higher_high_if_no_lr_was_too_high():
    with pytest.raises(NoAnswerError, match=facts("higher `high`", "1e-08", "larger budget")):
        lr.tune(NoisyLoss(), updates=300, low=1e-9, high=1e-8)


def test_the_remedy_is_a_loss_without_its_constant_part():
    with pytest.raises(NoAnswerError, match=facts("remove", "constant part", 1004.5, 4.5)):
        lr.tune(Quadratic(offset=1000.0), updates=300)


@settings(max_examples=15)
@given(st.integers(0, 299), st.sampled_from([KeyboardInterrupt, ZeroDivisionError, SystemExit]))
def test_the_start_is_restored_after_an_error_at_any_update(at, error):
    class Broken(Quadratic):
        def update(self, lr):
            if self.all_updates == at:
                raise error
            return super().update(lr)

    trainable = Broken()
    before = trainable.save()
    try:
        plan = lr.tune(trainable, updates=300)
    except error:
        assert trainable.all_updates == at
    else:
        assert plan.spent <= at
    assert trainable.save() == before


def test_a_curve_that_was_interrupted_may_be_given():
    curve = lr.range_test(Interrupted(), updates=100)
    assert curve.ended == "interrupted"
    assert lr.tune(Regression(), updates=400, curve=curve).curve == curve


def test_a_curve_without_finite_losses_at_its_start_is_refused():
    rates = np.geomspace(1e-6, 1, 30)
    with pytest.raises(ValueError, match=facts("curve", 3, "finite losses", 0)):
        lr.tune(Regression(), updates=400, curve=lr.Curve(rates, np.full(30, math.nan)))
    # Three losses show the level and the noise, and the trials decide.
    curve = lr.Curve(rates, [4.5, 4.4, 4.5, *[math.nan] * 27])
    assert 0.02 < lr.tune(Quadratic(), updates=400, curve=curve).max_lr < 2
    for few in (lr.Curve(rates, [4.5, 4.4, *[math.nan] * 28]), lr.Curve([1e-6, 2e-6], [4.5, 4.4], ended="interrupted")):
        with pytest.raises(ValueError, match=facts("curve", 3, "finite losses", 2)):
            lr.tune(Quadratic(), updates=400, curve=few)


@pytest.mark.parametrize("with_curve", [False, True])
def test_progress_grows_and_ends_within_the_budget(with_curve):
    stages = {}

    def progress(what, updates, planned):
        stages.setdefault(what, []).append((updates, planned))

    curve = lr.range_test(Regression(), updates=40) if with_curve else None
    plan = lr.tune(Regression(), updates=300, curve=curve, progress=progress)
    assert list(stages) == (["trials"] if with_curve else ["range test", "trials"])
    for steps in stages.values():
        assert all(before[0] < after[0] for before, after in pairwise(steps))
        assert all(updates <= planned for updates, planned in steps)
    assert stages["trials"][0][0] == len(plan.curve) + 1
    assert stages["trials"][-1] == (plan.spent, 180)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"updates": 0}, ValueError, ("updates", "at least 2", 0)),
        ({"updates": 1}, ValueError, ("updates", "at least 2", 1)),
        ({"updates": 2}, ValueError, ("budget", "at least 40", "2 updates", "budget='40 updates'")),
        ({"updates": 39, "budget": "1 hour"}, ValueError, ("budget", "at least 40", "39 updates")),
        ({"updates": 300, "budget": 0.1}, ValueError, ("budget", "at least 40", "30 updates")),
        ({"updates": 10**400}, ValueError, ("updates", "at most", 2**62)),
        ({"updates": 300.0}, TypeError, ("updates", "integer", 300.0)),
        ({"updates": 2, "budget": 50.0, "family": "wsd"}, ValueError, ("budget", "at most 10", "50.0")),
        ({"updates": 300, "curve": "curve.json"}, TypeError, ("curve", "a Curve", "'curve.json'")),
        ({"updates": 300, "progress": 3}, TypeError, ("progress", "function", 3)),
        ({"updates": 300, "low": 1.0, "high": 0.1}, ValueError, ("low", "high", "1.0", 0.1, "swap")),
        ({"updates": 300, "low": 0.0}, ValueError, ("low", "above 0", "0.0")),
    ],
)
def test_bad_arguments_are_refused(arguments, error, words):
    trainable = Quadratic()
    with pytest.raises(error, match=facts(*words)):
        lr.tune(trainable, **arguments)
    assert trainable.all_updates == 0


@pytest.mark.parametrize("updates", [2, 3, 5, 9, 10, 19, 20, 21])
@pytest.mark.parametrize("family", ["warmup_cosine", "one_cycle", "triangular2"])
def test_tiny_runs_can_be_tuned_with_a_large_budget(updates, family):
    plan = lr.tune(Quadratic(noise=0.0), updates=updates, budget="300 updates", family=family)
    assert 1 <= plan.length <= updates
    assert max(trial.updates for trial in plan.trials) <= updates
    check_reasons(plan)


def test_a_drift_moves_the_choice_and_is_among_the_reasons():
    plans = []
    for drift in (-0.5, 0.0, 0.5):
        trainable = Regression()
        trainable.traits = OptimizerTraits(lr_drift=drift)
        plans.append(lr.tune(trainable, updates=2000))
        check_reasons(plans[-1])
    assert plans[0].max_lr < plans[1].max_lr <= plans[2].max_lr
    for plan, words in zip(plans, ("% lower than", "the same LR as", "% higher than"), strict=True):
        assert any(words in reason and "2000" in reason for reason in plan.reasons.choice)


class Recorded(Quadratic):
    """Notes when it is saved, restored and released."""

    calls = ()

    def save(self):
        self.calls = (*self.calls, "save")
        return super().save()

    def restore(self, state):
        self.calls = (*self.calls, "restore")
        super().restore(state)

    def release(self, state):
        self.calls = (*self.calls, "release")


class RecordedError(Recorded):
    def update(self, lr):
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", [Recorded, RecordedError])
def test_the_state_is_released_once_after_the_last_restore(kind):
    trainable = kind()
    with suppress(ZeroDivisionError):
        lr.tune(trainable, updates=300)
    assert trainable.calls[0] == "save"
    assert trainable.calls[-2:] == ("restore", "release")
    assert trainable.calls.count("save") == trainable.calls.count("release") == 1


def test_processes_that_exchange_their_metrics_have_the_same_plan():
    class Process(Quadratic):
        """One of two processes with batches of their own; `read` and `evaluate` give the mean over both."""

        def __init__(self, own, other):
            super().__init__(seed=0)
            self.own, self.other = own, other

        def read(self, metrics):
            return [{"loss": loss + (self.own + self.other) / 2} for loss in metrics]

        def evaluate(self):
            return (self.own + self.other) / 2 - self.weight**2

    assert lr.tune(Process(0.1, 0.3), updates=300) == lr.tune(Process(0.3, 0.1), updates=300)
