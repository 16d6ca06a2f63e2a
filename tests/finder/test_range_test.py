"""The range test on loops of no framework."""

import math
import signal
import time

import numpy as np
import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import LossError
from learnrate.trainable import Reading


class Quadratic:
    """Gradient descent on w**2 / 2 in one dimension: falls while lr < 2, diverges above; the edge is known."""

    def __init__(self, weight=1.0, offset=0.0, noise=0.0):
        self.weight, self.offset, self.noise = weight, offset, noise
        self.random = np.random.default_rng(0)
        self.lrs = []

    def __call__(self, rate):
        self.lrs.append(rate)
        loss = self.weight**2 / 2 + self.offset + self.noise * self.random.standard_normal()
        self.weight -= rate * self.weight
        return loss


def test_the_lrs_are_geometric_from_low_to_high():
    step = Quadratic()
    curve = lr.range_test(step, low=1e-5, high=1e-1, updates=41)
    assert list(curve.lrs) == step.lrs
    assert curve.lrs[0] == 1e-5
    assert curve.lrs[-1] == pytest.approx(1e-1)
    np.testing.assert_allclose(curve.lrs[1:] / curve.lrs[:-1], 10 ** (1 / 10), rtol=1e-9)
    assert curve.notes == ()


@pytest.mark.parametrize("offset", [0.0, 100.0, -100.0])
def test_divergence_ends_the_sweep_at_any_level_of_the_loss(offset):
    curve = lr.range_test(Quadratic(weight=30.0, offset=offset), low=1e-6, high=1e6, updates=200)
    assert len(curve) < 200
    assert 2.0 < curve.lrs[-1] < 2.0 * 10**1.5
    assert "the loss diverged at LR" in curve.notes[0]


def test_without_a_stop_rule_the_sweep_continues_after_divergence():
    curve = lr.range_test(Quadratic(), low=1e-4, high=10.0, updates=50, stop=None)
    assert len(curve) == 50


@pytest.mark.parametrize(("rise", "updates"), [(1.04, 40), (1.2, 21)])
def test_a_rise_of_a_twentieth_is_no_divergence(rise, updates):
    losses = [1.0] * 20 + [rise] * 20
    curve = lr.range_test(lambda _: losses.pop(0), updates=40)
    assert len(curve) == updates
    assert curve.ended == ("swept" if updates == 40 else "diverged")


def test_noise_is_no_divergence():
    curve = lr.range_test(Quadratic(weight=0.1, offset=1.0, noise=0.3), low=1e-6, high=1.0, updates=300)
    assert len(curve) == 300


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_longer_finite_ends_the_sweep_and_stays_in_the_record(bad):
    losses = iter([1.0, 0.9] * 5 + [0.1] * 10 + [bad, bad])
    curve = lr.range_test(lambda _: next(losses), stop=None)
    assert len(curve) == 21
    assert not math.isfinite(curve.losses[-1])
    assert curve.ended == "not finite"
    assert f"became {bad}" in curve.notes[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_from_the_start_is_an_error(bad):
    with pytest.raises(LossError, match=facts("loss", bad, "first update")):
        lr.range_test(lambda _: bad)


def test_further_values_of_an_update_are_metrics():
    curve = lr.range_test(lambda rate: {"loss": 1.0, "accuracy": rate}, updates=20)
    np.testing.assert_array_equal(curve.metrics["accuracy"], curve.lrs)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (np.ones(3), ("loss", "scalar", "ndarray", "(3,)")),
        ("0.1x", ("loss", "scalar", "str")),
        (None, ("loss", "number", None, "return")),
        ({"accuracy": 0.1}, ("key", "'loss'", "['accuracy']")),
        ({"loss": 0.1, "accuracy": [1, 2]}, ("accuracy", "scalar", "list")),
    ],
)
def test_a_return_value_without_a_scalar_loss_is_refused(returned, words):
    with pytest.raises(LossError, match=facts(*words)):
        lr.range_test(lambda _: returned)


def test_metrics_must_not_change_their_names():
    returned = iter([{"loss": 1.0}, {"loss": 1.0, "accuracy": 0.5}])
    with pytest.raises(LossError, match=facts("metrics", "same", "['accuracy']", "[]")):
        lr.range_test(lambda _: next(returned))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"low": 0.0}, ValueError, ("low", "above 0", "0.0")),
        ({"low": -1e-3}, ValueError, ("low", "above 0", -0.001)),
        ({"low": math.nan}, ValueError, ("low", "finite", math.nan)),
        ({"low": 1.0, "high": 0.1}, ValueError, ("low", "high", "1.0", 0.1, "swap")),
        ({"high": math.inf}, ValueError, ("high", "finite", math.inf)),
        ({"updates": 0}, ValueError, ("updates", "at least 10", 0)),
        ({"updates": 2}, ValueError, ("updates", "at least 10", 2)),
        ({"updates": 50.5}, TypeError, ("updates", "integer", 50.5)),
    ],
)
def test_bad_arguments_are_refused_before_the_first_update(arguments, error, words):
    step = Quadratic()
    with pytest.raises(error, match=facts(*words)):
        lr.range_test(step, **arguments)
    assert step.lrs == []


def test_step_must_be_a_function():
    with pytest.raises(TypeError, match=facts("trainable", "learnrate.Trainable", "function", 0.1)):
        lr.range_test(0.1)


def test_progress_is_called_after_every_update():
    calls = []
    lr.range_test(lambda _: 1.0, updates=12, progress=lambda *counts: calls.append(counts))
    assert calls == [(n, 12) for n in range(1, 13)]


def test_the_sweep_is_a_schedule():
    linear = lr.range_test(lambda _: 1.0, low=0.1, high=1.0, updates=10, schedule="linear")
    np.testing.assert_allclose(linear.lrs, np.linspace(0.1, 1.0, 10))
    stairs = lr.linear(0.1, 0.8, 20).staircase(5)
    curve = lr.range_test(lambda _: 1.0, schedule=stairs, updates=21)
    np.testing.assert_array_equal(curve.lrs, stairs(np.arange(21)))
    assert len(lr.range_test(lambda _: 1.0, schedule=lr.exponential(1e-3, 1.0, 30))) == 31
    assert len(lr.range_test(lambda _: 1.0, schedule=lr.linear(1e-3, 1.0, "rest"), updates=30)) == 30


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"schedule": "cosine"}, ValueError, ("schedule", "one of", "'exponential'", "'linear'", "'cosine'")),
        ({"schedule": lr.linear(1.0, 0.1, 30)}, ValueError, ("schedule", "above 0", "never falling", "start=1.0")),
        ({"schedule": lr.linear(0.0, 0.1, 10) >> lr.linear(0.0, 0.1, 20)}, ValueError, ("schedule", "above 0", "start=0.0")),
        ({"schedule": lr.constant(0.1)}, ValueError, ("schedule", "finite", "updates", "constant(value=0.1)")),
        (
            {"schedule": lr.linear(0.01, 0.1, 30), "low": 0.1},
            ValueError,
            ("schedule", "without", "low", "high", "start=0.01"),
        ),
        ({"schedule": lr.linear(0.01, 0.1, 5)}, ValueError, ("updates", "at least 10", 6)),
        ({"stop": "never"}, TypeError, ("stop", "learnrate.stops.diverged()", "'never'")),
        ({"stop": lr.stops.diverged}, TypeError, ("stop", "learnrate.stops.diverged()", "class", "diverged'>")),
        ({"stop": [lr.stops.diverged(), 3]}, TypeError, ("stop", "learnrate.stops.diverged()", 3, "int")),
        ({"time_limit": -1}, ValueError, ("time_limit", "above 0", -1)),
        ({"time_limit": math.nan}, ValueError, ("time_limit", "finite", math.nan)),
        ({"evaluate_every": 2}, TypeError, ("evaluate_every", None, "function", "evaluate()")),
    ],
)
def test_bad_schedules_and_rules_are_refused_before_the_first_update(arguments, error, words):
    step = Quadratic()
    with pytest.raises(error, match=facts(*words)):
        lr.range_test(step, **arguments)
    assert step.lrs == []


@pytest.mark.parametrize(
    "arguments", [{"low": 0.0, "schedule": "linear", "high": 3.0}, {"schedule": lr.linear(0.0, 3.0, 99)}]
)
def test_a_linear_sweep_may_start_at_0(arguments, tmp_path):
    curve = lr.range_test(Quadratic(offset=1.0), updates=100, **arguments)
    assert curve.lrs[0] == 0.0 < curve.lrs[1]
    rest = curve.where(slice(1, None))
    for rule in (None, lr.rules.valley, lr.rules.steep, lr.rules.lightning):
        assert repr(curve.bounds(rule)) == repr(rest.bounds(rule))
    assert lr.rules.descent(curve) == rest.bounds()
    assert lr.Curve.from_record(curve.as_record()) == curve
    assert curve.plot().get_xscale() == "linear"
    pytest.importorskip("plotly")
    curve.to_html(tmp_path / "curve.html")


def test_an_exponential_sweep_cannot_start_at_0():
    with pytest.raises(ValueError, match=facts("low", "above 0")):
        lr.range_test(Quadratic(), low=0.0)
    with pytest.raises(ValueError, match=facts("low", "at least 0", -0.1)):
        lr.range_test(Quadratic(), low=-0.1, schedule="linear")


def test_a_function_of_the_user_is_a_stop_rule():
    def low_enough(lrs, losses):
        assert len(lrs) == len(losses)
        return losses[-1] < 0.25

    curve = lr.range_test(Quadratic(), stop=low_enough)
    assert curve.ended == "stopped"
    assert curve.losses[-1] < 0.25 <= curve.losses[-2]
    assert curve.notes[0].startswith("low_enough ended the sweep at LR")
    curve = lr.range_test(Quadratic(), stop=lambda lrs, losses: "enough is enough" if lrs[-1] > 0.1 else None)
    assert curve.notes[0].startswith("enough is enough at LR 0.1")


def test_the_first_of_several_rules_to_give_a_reason_ends_the_sweep():
    curve = lr.range_test(Quadratic(), high=100.0, stop=[lr.stops.diverged(), lambda lrs, losses: lrs[-1] > 1.0])
    assert curve.ended == "stopped"
    curve = lr.range_test(Quadratic(), high=1e4, stop=[lr.stops.diverged(), lambda lrs, losses: lrs[-1] > 9e3])
    assert curve.ended == "diverged"


def test_above_best_ends_the_sweep():
    curve = lr.range_test(Quadratic(offset=1.0), low=1e-3, high=100.0, stop=lr.stops.above_best(4))
    assert curve.ended == "diverged"
    assert "rose above 4 times its best" in curve.notes[0]
    with pytest.raises(ValueError, match=facts("factor", "above 1", 0.5)):
        lr.stops.above_best(0.5)


def test_no_progress_ends_the_sweep():
    noise = np.random.default_rng(0).standard_normal(100).tolist()
    curve = lr.range_test(lambda _: noise.pop(), stop=lr.stops.no_progress(50))
    assert (len(curve), curve.ended) == (50, "stopped")
    assert "made no progress within 50 updates" in curve.notes[0]
    assert len(lr.range_test(Quadratic(), low=1e-2, high=1.0, stop=lr.stops.no_progress(50))) == 100
    flat = lr.range_test(lambda _: 1.0)
    assert flat.notes == ("the loss made no progress in the whole sweep",)


def test_a_rule_can_be_used_for_several_sweeps():
    rule = lr.stops.diverged()
    assert lr.range_test(Quadratic(), stop=rule) == lr.range_test(Quadratic(), stop=rule)


def test_a_time_limit_ends_the_sweep():
    begun = time.monotonic()
    curve = lr.range_test(lambda _: time.sleep(0.05) or 1.0, time_limit=0.3)
    assert time.monotonic() - begun < 1.0
    assert curve.ended == "out of time"
    assert 2 <= len(curve) <= 7
    assert "the time limit of 0.3 s was reached" in curve.notes[0]


def test_an_interrupt_ends_the_sweep_and_gives_the_curve_so_far():
    step = Quadratic()

    def interrupted(rate):
        if len(step.lrs) == 30:
            signal.raise_signal(signal.SIGINT)
        return step(rate)

    curve = lr.range_test(interrupted)
    assert curve.ended == "interrupted"
    assert len(curve) == 30
    assert curve.notes[0].startswith("the sweep was interrupted at LR")


def test_an_interrupt_before_the_first_update_is_raised():
    with pytest.raises(KeyboardInterrupt):
        lr.range_test(lambda _: signal.raise_signal(signal.SIGINT))


def test_tune_raises_an_interrupt_of_its_range_test():
    class Interrupted(lr.Trainable):
        updates = 0

        def update(self, rate):
            self.updates += 1
            if self.updates == 20:
                signal.raise_signal(signal.SIGINT)
            return 1.0

        save = lambda self: None  # noqa: E731
        restore = lambda self, state: None  # noqa: E731

    with pytest.raises(KeyboardInterrupt):
        lr.tune(Interrupted(), updates=400)


class Evaluated(lr.Trainable):
    """Its loss does not change; its evaluation is the given function."""

    def __init__(self, evaluate, metrics=None):
        self.evaluate, self.metrics, self.restored = evaluate, metrics or {}, []

    def update(self, rate):
        return {"loss": 1.0, **self.metrics}

    def save(self):
        return "start"

    def restore(self, state):
        self.restored.append(state)

    def release(self, state):
        self.restored.append("released")


def test_evaluations_become_metrics():
    curve = lr.range_test(Evaluated(iter(range(100)).__next__), updates=20, evaluate_every=6)
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(curve.metrics["score"])), [5, 11, 17, 19])
    named = lr.range_test(Evaluated(lambda: {"accuracy": 0.5, "recall": 0.1}), updates=20, evaluate_every=1)
    assert set(named.metrics) == {"accuracy", "recall"}
    assert lr.range_test(Evaluated(lambda: {"accuracy": 0.5}), updates=20).metrics == {}
    with pytest.raises(LossError, match=facts("evaluate", "other names", "'size'")):
        lr.range_test(Evaluated(lambda: {"size": 3}, {"size": 3}), evaluate_every=1)
    with pytest.raises(TypeError, match=facts("evaluate", "number", "'good'")):
        lr.range_test(Evaluated(lambda: "good"), evaluate_every=1)
    with pytest.raises(ValueError, match=facts("evaluate_every", "at least 1", 0)):
        lr.range_test(Evaluated(lambda: 1.0), evaluate_every=0)


def test_the_length_of_an_epoch_is_checked():
    trainable = Evaluated(lambda: None)
    trainable.updates_per_epoch = lambda: 1.5
    with pytest.raises(TypeError, match="updates_per_epoch"):
        lr.range_test(trainable, updates=20)
    assert trainable.restored == ["start", "released"]


def test_a_trainable_is_restored_and_its_state_released():
    trainable = Evaluated(lambda: None)
    lr.range_test(trainable, updates=20)
    assert trainable.restored == ["start", "released"]
    trainable = Evaluated(lambda: None, {"size": "large"})
    with pytest.raises(LossError, match=facts("size", "scalar", "str")):
        lr.range_test(trainable)
    assert trainable.restored == ["start", "released"]
    trainable = Evaluated(lambda: None)
    lr.range_test(trainable, updates=20, restore=False)
    assert trainable.restored == []


def test_an_object_that_is_not_a_trainable_is_refused():
    class Partial:
        def update(self, rate):
            return 1.0

    with pytest.raises(TypeError, match=facts("trainable", "learnrate.Trainable", "without save", "save, restore")):
        lr.range_test(Partial())
    with pytest.raises(TypeError, match=facts("trainable", "class Evaluated", "Evaluated()")):
        lr.range_test(Evaluated)


def test_updates_whose_metrics_lie_on_a_device_are_read_together():
    class Device(Evaluated):
        reading = Reading(every=8, within=math.inf)
        reads = ()

        def read(self, metrics):
            self.reads = (*self.reads, len(metrics))
            return [{"loss": row["loss"]} for row in metrics]

    trainable = Device(lambda: None)
    assert len(lr.range_test(trainable, updates=20)) == 20
    assert trainable.reads == (1, 8, 8, 3)


def test_an_error_in_the_first_update_is_raised():
    with pytest.raises(ZeroDivisionError):
        lr.range_test(lambda _: 1 / 0)


@pytest.mark.parametrize("value", [np.bool_(False), 0, None, False, ""])
def test_a_false_value_is_no_reason_to_stop(value):
    assert len(lr.range_test(lambda _: 1.0, updates=20, stop=lambda lrs, losses: value)) == 20


def test_no_progress_waits_until_the_level_at_the_start_is_known():
    losses = iter(0.97**n for n in range(1000))
    assert len(lr.range_test(lambda _: next(losses), updates=1000, stop=lr.stops.no_progress(50))) == 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"progress": True}, ("progress", "function", True)), ({"restore": 1}, ("restore", True, False, 1))],
)
def test_arguments_that_are_used_later_are_checked_first(arguments, words):
    with pytest.raises(TypeError, match=facts(*words)):
        lr.range_test(lambda _: 1.0, **arguments)


def test_a_rule_must_be_a_function():
    with pytest.raises(TypeError, match=facts("rule", "function", "learnrate.rules.valley", "'valley'")):
        lr.range_test(lambda _: 1.0, updates=20).bounds("valley")
