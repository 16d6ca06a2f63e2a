"""The record and the requests of a run under control inside of `jax.jit`: what is recorded is what was used."""

import functools
import json
import pickle
import random

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402
from tests.jax.controllers import ByAccuracy, CoolAt, LeaveOut, ScaleEvery  # noqa: E402

import learnrate as lr  # noqa: E402
from controllers import Heard  # noqa: E402
from facts import facts  # noqa: E402
from learnrate.control import Cooldown, Replace, Scale, Stop, Undo  # noqa: E402
from learnrate.errors import ArgumentError, ArgumentTypeError  # noqa: E402

pytestmark = pytest.mark.xdist_group("jax")

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.003, 60)
PARAMS = jnp.array([1.0, 2.0, 3.0])
NAN = float("nan")


@functools.cache
def controlled(*control, schedule=SCHEDULE, **options):
    optimizer = lr.jax.controlled(optax.sgd, schedule, list(control), **options)

    @jax.jit
    def step(params, state, loss):
        steps, state = optimizer.update(jnp.ones(3), state, params, value=loss)
        return lr.jax.put_back(optax.apply_updates(params, steps), state), state

    return optimizer, step


FACTORS = controlled(ScaleEvery(3, by=0.7), ScaleEvery(5, by=1.1), LeaveOut())
LOSSES = [NAN if n % 11 == 7 else 150.0 if n == 20 else 3.0 - n / 32 for n in range(40)]


class Run:
    """A run whose loop follows a monitor, with the LRs that the updates really used."""

    def __init__(self, form=FACTORS, every=4):
        self.optimizer, self.step = form
        self.params, self.state = PARAMS, self.optimizer.init(PARAMS)
        self.monitor, self.listening = lr.jax.Monitor(self.optimizer, every=every), Heard()
        self.monitor.control.listeners.append(self.listening)
        self.used = {}

    def go(self, losses):
        for loss in losses:
            self.params, self.state = self.step(self.params, self.state, loss)
            if not lr.jax.control_of(self.state).skipped:
                self.used[int(self.state.count) - 1] = float(self.state.lr)
            self.state = self.monitor.follow(self.state)
        return self

    def done(self):
        self.state = self.monitor.read(self.state)
        return self


def evaluated(schedule, updates):
    """A schedule in the numbers that the run used."""
    compiled = jax.jit(schedule)
    return [float(compiled(jnp.int32(n))) for n in updates]


@pytest.mark.shows("jax", "record")
def test_the_schedule_of_the_record_is_what_was_used_bit_for_bit():
    run = Run()
    for n in range(0, 40, 8):
        if n == 16:
            first = run.monitor.request(Scale(0.3), "too high")
        if n == 32:
            run.monitor.request(Undo())
        run.go(LOSSES[n : n + 8])
    run.done()
    assert evaluated(run.monitor.schedule, run.used) == list(run.used.values())
    np.testing.assert_allclose([run.monitor.schedule(n) for n in run.used], list(run.used.values()), rtol=1e-6)
    assert lr.parse(repr(run.monitor.schedule)) == run.monitor.schedule
    event = first.result(0)
    assert (event.who, event.kind, event.reason) == ("by hand", "scale", "too high")
    assert evaluated(run.monitor.schedule, [event.update - 1])[0] > 2.5 * run.used[event.update]


@pytest.mark.shows("jax", "record")
def test_rows_and_events_are_those_of_the_updates():
    run = Run().go(LOSSES).done()
    rows = {row.update: (row.lr, row.loss) for row in run.listening.updates}
    losses = [loss for loss in LOSSES if np.isfinite(loss) and loss < 100]
    assert rows == {n: (run.used[n], np.float32(loss)) for n, loss in enumerate(losses)}
    kinds = [(event.kind, event.who) for event in run.listening.events]
    assert kinds.count(("skip", "LeaveOut")) == 3
    assert kinds.count(("rollback", "LeaveOut")) == 1
    scales = [event for event in run.listening.events if event.who == "ScaleEvery"]
    assert len(scales) == 40 // 3
    assert scales[0].evidence["updates"] == 3
    assert scales[0].evidence["loss"] == np.float32(LOSSES[2])
    assert scales[0].update == 3
    assert {event.who for event in run.monitor.control.events} == {"ScaleEvery", "ScaleEvery-2", "LeaveOut"}


def test_several_updates_in_one_call():
    optimizer, step = FACTORS
    monitor, listening = lr.jax.Monitor(optimizer, every=1), Heard()
    monitor.control.listeners.append(listening)

    @jax.jit
    def epoch(carry, losses):
        return jax.lax.scan(lambda carry, loss: (step(*carry, loss), None), carry, losses)[0]

    params, state = PARAMS, optimizer.init(PARAMS)
    for first in range(0, 40, 20):
        params, state = epoch((params, state), jnp.array(LOSSES[first : first + 20]))
        state = monitor.follow(state)
    alone = Run().go(LOSSES).done()
    # In a loop a compiler may round the LR in another way.
    np.testing.assert_allclose(
        [row.lr for row in listening.updates], [row.lr for row in alone.listening.updates], rtol=2.5e-7
    )
    assert monitor.schedule == alone.monitor.schedule


@pytest.mark.shows("jax", "control")
@pytest.mark.shows("jax", "record")
def test_a_run_that_is_interrupted_records_and_uses_the_same():
    through = Run(every=1)
    through.monitor.request(Scale(0.3))
    through.go(LOSSES)
    place = random.Random(3).randrange(5, 35)
    before = Run(every=1)
    before.monitor.request(Scale(0.3))
    before.go(LOSSES[:place])
    saved = pickle.dumps(jax.tree.map(np.asarray, (before.params, before.state)))
    text = json.dumps(before.monitor.state_dict())
    after = Run(every=1)
    after.params, after.state = jax.tree.map(jnp.asarray, pickle.loads(saved))
    after.monitor.load_state_dict(json.loads(text))
    after.go(LOSSES[place:])
    assert {**before.used, **after.used} == through.used
    assert after.monitor.schedule == through.monitor.schedule
    after.monitor.request(Undo())  # of a change before the interruption
    after.done()
    assert float(lr.jax.control_of(after.state).hand) == 1.0


def test_a_cooldown_by_hand_and_back():
    run = Run(controlled(ScaleEvery(3, by=0.7), schedule=lr.constant(0.5)), every=1)
    run.go([1.0] * 5)
    run.monitor.request(Cooldown(8, end=0.125))
    run.go([1.0] * 5)
    cooling = dict(run.used)
    run.monitor.request(Undo())
    run.go([1.0] * 5)
    assert run.step._cache_size() == 1
    assert cooling[9] < 0.8 * 0.7**3 * 0.5
    assert run.used[11] == pytest.approx(0.7**3 * 0.5)  # applied after update 10, which was made before the monitor looked
    np.testing.assert_allclose(evaluated(run.monitor.schedule, run.used), list(run.used.values()), rtol=2.5e-7)


def test_a_cooldown_from_inside_is_recorded():
    run = Run(controlled(ScaleEvery(4, by=0.7), CoolAt(5, 7)), every=3).go([1.0] * 16).done()
    np.testing.assert_allclose(evaluated(run.monitor.schedule, run.used), list(run.used.values()), rtol=2.5e-7)
    assert [event.update for event in run.monitor.control.events if event.kind == "cooldown"] == [6]
    assert run.used[13] == 0.0


def test_evaluations_inside_of_jit_and_outside():
    optimizer, step = controlled(ByAccuracy(), metrics=("accuracy",))
    run = Run((optimizer, step), every=1)
    for accuracy in (1.0, 2.0, 0.0, 3.0):
        run.go([1.0, 1.0])
        evaluate = optimizer.evaluated if accuracy else jax.jit(optimizer.evaluated)
        run.state = evaluate(run.state, {"accuracy": accuracy})
    run.go([1.0]).done()
    assert [entry.metrics for entry in run.listening.evaluations] == [{"accuracy": a} for a in (1.0, 2.0, 0.0, 3.0)]
    assert [entry.update for entry in run.listening.evaluations] == [1, 3, 5, 7]
    assert [(event.update, event.evidence["accuracy"]) for event in run.listening.events] == [(6, 0.0)]
    assert len(run.listening.updates) == 9
    assert evaluated(run.monitor.schedule, run.used) == list(run.used.values())


def test_the_end_by_hand_and_from_inside():
    run = Run(every=1).go([1.0] * 3)
    run.monitor.request(Stop())
    run.go([1.0] * 4)
    assert (run.monitor.stopped.who, run.monitor.stopped.update) == ("by hand", 4)
    assert int(run.state.count) == 4  # nothing is trained after the end
    run = Run(every=1).go([1.0, 1.0, 2000.0, 1.0, 1.0])
    assert (run.monitor.stopped.who, run.monitor.stopped.update) == ("LeaveOut", 2)
    assert int(run.state.count) == 2


def test_what_cannot_be_is_refused():
    run = Run(every=1)
    wrong = [run.monitor.request(Replace("constant(0.1)")), run.monitor.request(Cooldown(5, shape="cosine"))]
    run.go([1.0])
    for future, words in zip(wrong, (("compiled",), ("linear", "cosine")), strict=True):
        with pytest.raises(ArgumentError, match=facts(*words)):
            future.result(0)
    with pytest.raises(ArgumentError, match="compiled"):
        run.monitor.control.preview(Replace("constant(0.1)"), 3)
    run.state = lr.jax.scale(run.state, 0.5)
    with pytest.raises(ArgumentError, match=facts("by hand", "request", 0.5)):
        run.go([1.0])
    with pytest.raises(ArgumentError, match=facts("first update")):
        Run(controlled(ScaleEvery(4, by=0.7), CoolAt(5, 7), history=4), every=5).go([1.0] * 5)
    with pytest.raises(ArgumentError, match="history"):
        Run(controlled(ScaleEvery(4), history=0), every=1).go([1.0])
    with pytest.raises(ArgumentTypeError, match="controlled"):
        lr.jax.Monitor(optax.sgd(0.1))
    with pytest.raises(ArgumentError, match="state_dict"):
        run.monitor.load_state_dict({"read": 3})
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), run.state)
    with pytest.raises(ArgumentError, match="vmap"):
        run.monitor.read(several)
