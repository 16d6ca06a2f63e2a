"""The controllers of learnrate inside of `jax.jit`: they decide as they do in the control of a program."""

import json
import pickle
import random

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

import learnrate as lr  # noqa: E402
from learnrate import control  # noqa: E402
from learnrate.control import Control, Observation, Scale, Undo  # noqa: E402
from precision import in_64_bits  # noqa: E402

pytestmark = [pytest.mark.xdist_group("jax"), pytest.mark.slow]

SCHEDULE = lr.warmup(0.25, 20) >> lr.constant(0.25)
RANDOM = np.random.default_rng(0)
FALL = np.concatenate([np.exp(-np.arange(150) / 40), np.full(250, np.exp(-150 / 40))])
LOSSES = (1 + FALL + 0.02 * RANDOM.standard_normal(400)).astype(np.float32)
NORMS = (1 + np.arange(400) / 50 + 0.1 * RANDOM.random(400)).astype(np.float32)


@pytest.mark.shows("jax", "control")
def test_they_decide_the_same_at_the_same_updates():
    """In 64 bits: in 32 a threshold that is nearly reached may be reached some updates earlier or later."""
    controllers = [control.plateau(40), control.gradient_size(20)]
    outside, used = Control([SCHEDULE], controllers), []
    for n, (loss, norm) in enumerate(zip(LOSSES.tolist(), NORMS.tolist(), strict=True)):
        used.append(outside.schedules[0](n))
        outside.observe(Observation(n, used[-1], loss, norm, restarts=outside.restarts(n)))
        outside.settle(n + 1)
    optimizer = lr.jax.controlled(optax.sgd, SCHEDULE, controllers, history=400)
    monitor = lr.jax.Monitor(optimizer, every=1)
    with in_64_bits():
        weights = jnp.ones(2)

        def update(state, numbers):
            _, state = optimizer.update(weights, state, weights, value=numbers[0], gradient_norm=numbers[1])
            return state, lr.jax.lr_of(state)

        train = jax.jit(lambda state, numbers: jax.lax.scan(update, state, numbers))
        state, lrs = train(optimizer.init(weights), (LOSSES, NORMS))
        assert lrs.dtype == jnp.float64
        np.testing.assert_allclose(lrs, used, rtol=1e-12)
        monitor.follow(state)
    assert [(e.update, e.kind, e.who) for e in monitor.control.events] == [(e.update, e.kind, e.who) for e in outside.events]
    assert {event.who for event in outside.events} == {"plateau", "gradient_size"}


CYCLE = lr.warmup(0.1, 20) >> lr.one_cycle(max_lr=0.1, length=380)
FAULTY = (1 + np.exp(-np.minimum(np.arange(400), 100) / 30) + 0.02 * RANDOM.standard_normal(400)).astype(np.float32)
FAULTY[[60, 300, 301, 302]], FAULTY[200] = np.nan, 500.0
GIVEN_UP = FAULTY.copy()
GIVEN_UP[[*range(350, 353), *range(357, 360), *range(364, 367)]] = np.nan
OPTIMIZER = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0, momentum=0.5)
PARAMS = jnp.zeros(3)


def controllers(**settings):
    return {"plateau": control.plateau(40), "guard": control.guard(every=20, recovery=40, **settings)}


@jax.jit
def update(run):
    steps, state = OPTIMIZER.update(jnp.ones(3), run[1], run[0])
    return optax.apply_updates(run[0], steps), state


def train(follow, losses, run=None, first=0):
    """The run after each batch, and the LRs that were used: of an update that was left out, those when it was made."""
    run, used, runs = follow.start((PARAMS, OPTIMIZER.init(PARAMS)) if run is None else run), {}, []
    for number, loss in enumerate(losses, start=first):
        if number in (50, 100):
            follow.request(Scale(0.5) if number == 50 else Undo())
        after = update(run)
        used[follow.updates] = float(after[1].hyperparams["learning_rate"])
        run = follow.step(run, after, loss=loss)
        runs.append(run)
        if follow.stopped is not None:
            break
    used.pop(follow.updates, None)
    return runs, used


@pytest.mark.shows("jax", "control")
@pytest.mark.shows("jax", "record")
def test_warm_up_plateau_guard_and_hand_over_one_cycle_resumed_in_mid_run(tmp_path):
    with lr.jax.Follow(CYCLE, controllers(), record=tmp_path / "through.sqlite") as through:
        runs, used = train(through, FAULTY)
    acts = [(event.who, event.kind) for event in through.control.events]
    assert [kind for who, kind in acts if who == "by hand"] == ["scale", "undo"]
    assert acts.count(("guard", "skip")) == 4
    assert acts.count(("guard", "rollback")) == 1
    assert {("plateau", "scale"), ("guard", "scale")} < set(acts)
    assert list(used) == list(range(400 - 5))
    restored = next(event.evidence["restored"] for event in through.control.events if event.kind == "rollback")
    assert restored == 260  # the older one of two; it is of batch 262, because two batches were left out before
    assert runs[302][0] is runs[261][0]
    place = random.Random(3).randrange(35, 395)
    path = tmp_path / "run.sqlite"
    with lr.jax.Follow(CYCLE, controllers(), record=path) as before:
        runs, first = train(before, FAULTY[:place])
        saved = pickle.dumps(jax.tree.map(np.asarray, runs[-1])), json.dumps(before.state_dict())
    with lr.jax.Follow(CYCLE, controllers(), record=path) as after:
        after.load_state_dict(json.loads(saved[1]))
        _, later = train(after, FAULTY[place:], jax.tree.map(jnp.asarray, pickle.loads(saved[0])), place)
    assert first | later == used
    assert after.schedule == through.schedule
    for schedule in (through.schedule, *(lr.Record.load(file).schedule() for file in (tmp_path / "through.sqlite", path))):
        assert [float(np.float32(schedule(n))) for n in used] == list(used.values())


def test_a_run_that_is_given_up_says_so_and_has_good_weights():
    with lr.jax.Follow(CYCLE, controllers(tries=2)) as follow:
        runs, _ = train(follow, GIVEN_UP)
    assert follow.stopped.who == "guard"
    report = control.report(follow.control.events).splitlines()
    assert "given up" in report[-1]
    assert any("put back" in line for line in report)
    assert len(runs) < 400
    assert bool(jnp.isfinite(runs[-1][0]).all())


@pytest.mark.shows("jax", "control")
def test_they_compose_inside_of_jit_and_a_run_is_resumed(tmp_path):
    optimizer = lr.jax.controlled(lambda rate: optax.sgd(rate, momentum=0.5), CYCLE, controllers(tries=2))

    @jax.jit
    def step(params, state, loss):
        steps, state = optimizer.update(jnp.ones(3), state, params, value=loss)
        return lr.jax.put_back(optax.apply_updates(params, steps), state), state

    def go(monitor, losses, params=PARAMS, state=None, first=0):
        used, state = {}, optimizer.init(PARAMS) if state is None else state
        for number, loss in enumerate(losses, start=first):
            if number in (50, 100):
                monitor.request(Scale(0.5) if number == 50 else Undo())
            params, state = step(params, state, loss)
            if not bool(lr.jax.control_of(state).skipped):
                used[int(state.count) - 1] = float(state.lr)
            state = monitor.follow(state)
        return params, state, used

    with lr.jax.Monitor(optimizer, record=tmp_path / "through.sqlite", every=1) as through:
        params, state, used = go(through, GIVEN_UP)
    acts = [(event.who, event.kind) for event in through.control.events]
    assert [kind for who, kind in acts if who == "by hand"] == ["scale", "undo"]
    assert acts.count(("guard", "rollback")) == 3
    assert acts[-1] == ("guard", "stop")
    assert ("plateau", "scale") in acts
    assert bool(jnp.isfinite(params).all())
    place = random.Random(4).randrange(35, 345)
    with lr.jax.Monitor(optimizer, record=tmp_path / "run.sqlite", every=1) as before:
        params, state, first = go(before, GIVEN_UP[:place])
        saved = pickle.dumps(jax.tree.map(np.asarray, (params, state))), json.dumps(before.state_dict())
    with lr.jax.Monitor(optimizer, record=tmp_path / "run.sqlite", every=1) as after:
        after.load_state_dict(json.loads(saved[1]))
        _, _, later = go(after, GIVEN_UP[place:], *jax.tree.map(jnp.asarray, pickle.loads(saved[0])), place)
    assert first | later == used
    assert after.schedule == through.schedule
    for schedule in (
        through.schedule,
        *(lr.Record.load(tmp_path / f"{name}.sqlite").schedule() for name in ("through", "run")),
    ):
        compiled = jax.jit(schedule)
        assert [float(compiled(jnp.int32(n))) for n in used] == list(used.values())
