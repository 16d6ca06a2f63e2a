"""What is measured before the trials: a probe, a range test where there is none, and where the trials then begin."""

import math
from contextlib import contextmanager

import numpy as np
import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import NoAnswerError
from learnrate.trainable import NotProbedError
from learnrate.tuner import Probe
from learnrate.tuner.witnesses import Witness, from_curve, from_probe, from_slow_probe, start_of_losses, witness_of_curve
from trainables import NotFinite, Quadratic, check_reasons


class Probed(Quadratic):
    """A probe of it takes steps that grow to `step`."""

    def __init__(self, step=0.1, own_lr=0.1, **arguments):
        super().__init__(**arguments)
        self.step, self.own_lr, self.probes = step, own_lr, 0

    def current_lr(self):
        return self.own_lr

    @contextmanager
    def probing(self):
        self.probes += 1
        self.probed = 0
        yield self.Probing(self)

    class Probing:
        method, maximize = "prodigy", False

        def __init__(self, trainable):
            self.trainable = trainable

        def scale(self, updates):
            return 1.0

        def update(self):
            self.trainable.probed += 1
            return self.trainable.update(self.lr())

        def lr(self):
            return self.trainable.step * min(1.0, 1e-6 * 2.0**self.trainable.probed)


class Unprobed(Probed):
    def probing(self):
        raise NotProbedError("there is no LR-free step size for Unprobed")


def test_a_probe_takes_the_place_of_the_range_test():
    trainable = Probed()
    before = trainable.save()
    plan = lr.tune(trainable, updates=1000)
    assert plan.probe is not None
    assert (plan.curve, plan.bounds, trainable.probes) == (None, None, 1)
    assert plan.trials[0].max_lr == pytest.approx(plan.probe.lr)
    assert plan.spent == trainable.all_updates
    assert trainable.save() == before
    check_reasons(plan)
    assert lr.Plan.from_record(plan.as_record()) == plan


def test_without_a_probe_a_range_test_shows_where_to_begin_and_the_reasons_say_so():
    plan = lr.tune(Unprobed(), updates=1000)
    assert plan.probe is None
    assert plan.curve is not None
    assert any("Unprobed" in reason for reason in plan.reasons.probe)
    assert not lr.tune(Quadratic(), updates=1000).reasons.probe[0].endswith("..")
    check_reasons(plan)


def test_a_probe_whose_steps_do_not_grow_is_followed_by_a_range_test():
    class Still(Probed):
        class Probing(Probed.Probing):
            def lr(self):
                return 1e-6

    trainable = Still()
    plan = lr.tune(trainable, updates=1000)
    assert plan.probe is None
    assert plan.curve is not None
    assert any("did not grow" in reason for reason in plan.reasons.probe)
    assert plan.spent == trainable.all_updates


def test_a_probe_in_which_the_loss_hardly_falls_makes_the_trials_longer():
    quick, slow = (lr.tune(Probed(step=step, noise=0.01), updates=1000) for step in (0.1, 1e-5))
    assert slow.trials[0].updates > quick.trials[0].updates
    assert slow.trials[0].max_lr > 2e-5
    assert slow.curve is None
    check_reasons(slow)


def test_a_curve_that_is_given_is_a_witness_beside_the_probe():
    curve = lr.range_test(Quadratic(), updates=40)
    plan = lr.tune(Probed(step=1e-2), updates=1000, curve=curve)
    assert (plan.curve, plan.probe is not None) == (curve, True)
    assert plan.spent >= len(curve)
    # A budget that covers no probe beside it, and leaves the updates to the trials.
    small = lr.tune(Probed(), updates=100, budget="62 updates", curve=curve)
    assert small.probe is None
    assert any("budget" in reason for reason in small.reasons.probe)
    assert small.trials


def test_the_level_at_the_start_is_not_measured_at_a_large_low():
    plans = [lr.tune(Probed(noise=0.0), updates=400, low=low, high=1.0) for low in (1e-6, 0.05)]
    assert plans[0].max_lr == plans[1].max_lr


@pytest.mark.parametrize("kind", [Probed, Unprobed])
@pytest.mark.parametrize(("low", "high"), [(1e-3, 1.27e-2), (1.27, 2.6), (0.043, 0.26)])
def test_no_lr_outside_of_low_and_high_is_tried_or_chosen(kind, low, high):
    plan = lr.tune(kind(), updates=1000, low=low, high=high)
    assert all(low <= trial.max_lr <= high * (1 + 1e-12) for trial in plan.trials)
    assert low <= plan.max_lr <= high * (1 + 1e-12)


def test_progress_is_told_of_every_update_of_the_probe():
    calls = []
    trainable = Probed()
    lr.tune(trainable, updates=1000, progress=lambda *call: calls.append(call))
    probe = [updates for what, updates, planned in calls if what == "probe"]
    assert probe == list(range(1, probe[-1] + 1))
    assert all(updates <= planned for _, updates, planned in calls)
    assert len(calls) == trainable.all_updates


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_probe_whose_loss_is_not_finite_is_no_probe(broken):
    class Broken(Probed):
        class Probing(Probed.Probing):
            def update(self):
                self.trainable.probed += 1
                return broken if self.trainable.probed > 30 else super().update()

    plan = lr.tune(Broken(), updates=1000)
    assert plan.probe is None
    assert any("update" in reason for reason in plan.reasons.probe)


def probe(rate=0.1, low=0.025, high=0.4):
    return Probe(rate, (low, high), "A reason.", "prodigy", 100)


@pytest.mark.parametrize(
    ("own", "upwards", "has_reason"),
    [(0.1, True, False), (0.03, True, False), (0.001, False, True), (3.0, True, True)],
)
def test_an_lr_of_the_user_outside_of_the_interval_is_told_and_decides_the_direction(own, upwards, has_reason):
    beginning = from_probe(probe(), 1e-6, 100.0, [Witness("the optimizer's own LR", math.log2(own), math.log2(own))])
    assert (beginning.upwards, bool(beginning.reasons)) == (upwards, has_reason)
    assert not has_reason or f"{own:g}" in beginning.reasons[0]
    assert (beginning.first, beginning.stride) == (pytest.approx(math.log2(0.1)), 1.0)


def test_the_first_lr_lies_between_low_and_high():
    assert from_probe(probe(), 0.2, 1.0, []).first == pytest.approx(math.log2(0.2))
    assert from_probe(probe(), 1e-6, 0.05, []).first == pytest.approx(math.log2(0.05))
    assert 2.0 ** from_slow_probe(0.1, 1e-6, 0.05).first <= 0.1


def test_trials_begin_below_the_lowest_loss_of_a_curve_or_below_its_last_lr():
    curve = lr.range_test(Quadratic(noise=0.01), low=1e-6, high=100.0, updates=100)
    beginning = from_curve(curve, curve.bounds(), 1e-6, 100.0)
    assert 2.0**beginning.lowest == pytest.approx(1e-6)
    assert 2.0**beginning.highest == pytest.approx(curve.lrs[-1])
    assert 0.02 < 2.0**beginning.first < 1
    assert (beginning.stride, beginning.upwards) == (2.0, False)
    witness = witness_of_curve(curve, curve.bounds())
    assert witness.low < math.log2(0.5) < witness.high
    flat = lr.Curve(curve.lrs, [1.0] * len(curve))
    assert from_curve(flat, flat.bounds(), 1e-6, 100.0).first == beginning.highest - 1
    assert witness_of_curve(flat, flat.bounds()) is None
    assert witness_of_curve(None, None) is None


@pytest.mark.parametrize(
    ("ended", "expected"),
    [("swept", 0.1), ("diverged", 0.1), ("not finite", 0.1), ("out of time", 100.0), ("stopped", 100.0)],
)
def test_a_curve_that_ended_early_does_not_show_which_lrs_are_too_high(ended, expected):
    curve = lr.Curve([0.01, 0.03, 0.1], [1.0, 1.0, 1.0], ended=ended)
    beginning = from_curve(curve, curve.bounds(), 1e-6, 100.0)
    assert (2.0**beginning.first, 2.0**beginning.highest) == pytest.approx((expected / 2, expected))


def test_the_start_is_that_of_the_small_lr_with_the_noise_of_the_probe():
    random = np.random.default_rng(0)
    probed = 4.0 + 0.5 * random.standard_normal(100)
    start = start_of_losses(np.full(10, 5.0), probed, None, late=True)
    assert start.loss == 5.0
    assert 0.2 < start.noise < 1.0
    assert start.error > 0
    assert start.late
    with pytest.raises(NoAnswerError, match=facts("not finite", "update 2", "NaN")):
        start_of_losses(np.array([1.0, 1.0, math.nan, math.nan, math.nan]), probed, None)


def test_a_batch_that_is_never_finite_ends_the_tuning_after_the_probe():
    class Never(NotFinite, Probed):
        pass

    with pytest.raises(NoAnswerError, match=facts("not finite", "NaN")):
        lr.tune(Never(), updates=1000)


class Faint(Probed):
    """Its loss falls by 3 % at any LR, as that of a network that learns class frequencies alone."""

    def update(self, lr):
        super().update(lr)
        return 1.0 - 0.03 * (self.updates > 10) + 0.01 * self.random.standard_normal()


def test_where_the_trials_show_nothing_the_answer_of_a_probe_is_the_plan():
    plan = lr.tune(Faint(), updates=1000)
    assert plan.max_lr == plan.trials[0].max_lr == pytest.approx(2 * plan.probe.lr, rel=0.05)
    assert plan.interval == plan.probe.interval
    assert any("probe" in reason for reason in plan.reasons.choice)
    check_reasons(plan)
    with pytest.raises(NoAnswerError):
        lr.tune(Faint(), updates=1000, budget=1.0, family=["wsd", "one_cycle"])
