"""A loop of JAX whose LR a `Follow` writes: nothing is compiled again, and what was before an update is its snapshot."""

import json
import pickle
import random

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402
from tests.jax.controllers import AfterRestarts, ByAccuracy, ByGradient, LeaveOut, ScaleEvery  # noqa: E402

import learnrate as lr  # noqa: E402
from facts import facts  # noqa: E402
from learnrate.control import Replace, Scale, Stop, Undo  # noqa: E402
from learnrate.errors import AlreadyDrivenError, ArgumentError, ArgumentTypeError, PastEndWarning  # noqa: E402

pytestmark = pytest.mark.xdist_group("jax")

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.003, 60)
PARAMS = jnp.array([1.0, 2.0, 3.0])
NAN = float("nan")
LOSSES = [NAN if n % 11 == 7 else 150.0 if n == 20 else 3.0 - n / 32 for n in range(30)]
OPTIMIZER = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0, momentum=0.5)


def update(run, loss):
    params, state = run
    steps, state = OPTIMIZER.update(jnp.ones(3), state, params)
    return (optax.apply_updates(params, steps), state), loss


step = jax.jit(update)


def new():
    return PARAMS, OPTIMIZER.init(PARAMS)


def train(follow, losses, run=None):
    """The run after each update, and the LR that each update really used."""
    run, used, runs = follow.start(new() if run is None else run), [], []
    for loss in losses:
        after, loss = step(run, loss)
        used.append((follow.updates, float(after[1].hyperparams["learning_rate"])))
        run = follow.step(run, after, loss=loss)
        runs.append(run)
    return runs, used


@pytest.mark.shows("jax", "control")
@pytest.mark.shows("jax", "record")
def test_the_schedule_of_the_record_is_what_was_used_bit_for_bit():
    follow = lr.jax.Follow(SCHEDULE, [ScaleEvery(3, by=0.7), LeaveOut()])
    future = follow.request(Scale(0.3), "too high")
    _, used = train(follow, LOSSES)
    assert step._cache_size() == 1
    # Of an update that was left out, the LR with which it was made in the end.
    lrs = {n: rate for n, rate in used if n < follow.updates}
    assert list(lrs.values()) == [float(np.float32(follow.schedule(n))) for n in lrs]
    assert (future.result(0).who, future.result(0).update) == ("by hand", 1)
    assert list(lrs) == list(range(len(LOSSES) - 4))
    assert lr.parse(repr(follow.schedule)) == follow.schedule


def test_it_decides_as_the_same_controllers_do_inside_of_jit():
    controllers = [ScaleEvery(3, by=0.5), LeaveOut(every=3)]
    _, used = train(lr.jax.Follow(SCHEDULE, controllers), LOSSES)
    inside = lr.jax.controlled(lambda rate: optax.sgd(rate, momentum=0.5), SCHEDULE, controllers)

    @jax.jit
    def update(run, loss):
        steps, state = inside.update(jnp.ones(3), run[1], run[0], value=loss)
        return lr.jax.put_back(optax.apply_updates(run[0], steps), state), state

    run, expected, outside = (
        (PARAMS, inside.init(PARAMS)),
        [],
        train(lr.jax.Follow(SCHEDULE, controllers), LOSSES),
    )
    for loss, other in zip(LOSSES, outside[0], strict=True):
        number = int(run[1].count)
        run = update(run, loss)
        expected.append((number, float(run[1].lr)))
        np.testing.assert_allclose(run[0], other[0], rtol=1e-6)
    np.testing.assert_allclose(used, expected, rtol=1e-6)


def test_what_is_left_out_and_what_is_put_back_are_the_arrays_themselves():
    follow = lr.jax.Follow(SCHEDULE, LeaveOut(every=9))
    runs, _ = train(follow, [3.0, 2.0, 2.0, NAN, *[2.0] * 40, 150.0, 150.0, 1.0])
    assert runs[3][0] is runs[2][0]
    # Update 43 is at fault: the snapshot of update 36 is so young that it may be from the explosion; that of update 27.
    assert runs[44][0] is runs[27][0]
    np.testing.assert_array_equal(runs[44][1].inner_state[0].trace, runs[27][1].inner_state[0].trace)
    assert runs[45][0] is runs[27][0]
    assert [event.evidence["restored"] for event in follow.control.events if event.kind == "rollback"] == [27, 27]
    assert follow.updates == 44


@pytest.mark.shows("jax", "control")
def test_a_run_that_is_interrupted_uses_the_same_lrs():
    def following():
        follow = lr.jax.Follow(SCHEDULE, [ScaleEvery(3, by=0.7), LeaveOut(every=2)])
        follow.request(Scale(0.3))
        return follow

    whole = following()
    _, through = train(whole, LOSSES)
    place = random.Random(5).randrange(1, 20)  # before the rollback, whose snapshot is in memory alone
    before = following()
    runs, _ = train(before, LOSSES[:place])
    saved = pickle.dumps(jax.tree.map(np.asarray, runs[-1]))
    after = lr.jax.Follow(SCHEDULE, [ScaleEvery(3, by=0.7), LeaveOut(every=2)])
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    _, used = train(after, LOSSES[place:], jax.tree.map(jnp.asarray, pickle.loads(saved)))
    assert used == through[place:]
    assert after.schedule == whole.schedule


def test_a_schedule_and_the_end_by_hand():
    follow = lr.jax.Follow(lr.constant(0.5), ScaleEvery(2))
    run = follow.start(new())
    follow.request(Replace("linear(1, 0, 10)"))
    used = []
    for n in range(8):
        after, loss = step(run, 1.0)
        used.append(float(after[1].hyperparams["learning_rate"]))
        if n == 3:
            follow.request(Undo())
        if n == 6:
            follow.request(Stop())
        run = follow.step(run, after, loss=loss)
    # The controller begins again with the schedule; after the undo its factors stand.
    assert used == [float(np.float32(follow.schedule(n))) for n in range(8)]
    assert used[:3] == [0.5, 1.0, pytest.approx(0.9)]
    assert (follow.stopped.who, follow.stopped.update) == ("by hand", 7)


def test_accumulated_calls_are_one_update_with_their_mean_loss():
    optimizer = optax.MultiSteps(optax.inject_hyperparams(optax.sgd)(learning_rate=0.0), 2)
    update = jax.jit(lambda state: optimizer.update(PARAMS, state, PARAMS)[1])
    follow, losses = lr.jax.Follow(SCHEDULE, ScaleEvery(2)), []
    follow.control.listeners.append(Noting(losses))
    state = follow.start(optimizer.init(PARAMS))
    for n in range(8):
        state = follow.step(state, update(state), loss=float(n))
    assert losses == [0.5, 2.5, 4.5, 6.5]
    assert follow.updates == 4
    assert float(lr.jax.lr_of(state)) == np.float32(SCHEDULE(4) * 0.25)


def test_an_update_is_left_out_with_all_that_it_accumulated():
    optimizer = optax.apply_if_finite(optax.MultiSteps(optax.inject_hyperparams(optax.sgd)(learning_rate=0.0), 2), 9)

    @jax.jit
    def update(run, loss, size):
        steps, state = optimizer.update(size * PARAMS, run[1], run[0])
        return optax.apply_updates(run[0], steps), state

    follow, losses = lr.jax.Follow(SCHEDULE, LeaveOut()), []
    follow.control.listeners.append(Noting(losses))
    run = begun = follow.start((PARAMS, optimizer.init(PARAMS)))
    for loss, size in [(NAN, 1.0), (1.0, 1.0)]:
        run = follow.step(run, update(run, loss, size), loss=loss)
    np.testing.assert_array_equal(run[0], begun[0])
    assert not np.any(run[1].inner_state.acc_grads)  # that of the call with the loss that is not finite
    for loss, size in [(1.0, 1.0), (NAN, NAN), (3.0, 1.0)]:  # optax leaves the second out
        run = follow.step(run, update(run, loss, size), loss=loss)
    assert (follow.updates, losses) == (1, [2.0])
    np.testing.assert_allclose(run[0], PARAMS - SCHEDULE(0) * PARAMS, rtol=1e-6)


class Noting:
    def __init__(self, losses):
        self.losses = losses
        self.is_closed = False

    def on_update(self, observation):
        self.losses.append(observation.loss)

    def on_evaluation(self, observation):
        self.losses.append(observation.metrics)

    def on_event(self, event):
        pass

    def on_resume(self, events):
        pass

    def close(self):
        self.is_closed = True


def test_evaluations_restarts_and_gradients():
    follow = lr.jax.Follow(lr.triangular(0.125, 1.0, step_size=2), [ByAccuracy(), AfterRestarts(), ByGradient(2.0)])
    noted = Noting([])
    follow.control.listeners.append(noted)
    with follow:
        run = follow.start(new())
        for norm in (1.0, 3.0, 1.0, 1.0, 1.0):
            run = follow.step(run, step(run, 1.0)[0], loss=1.0, gradient_norm=jnp.float32(norm))
            if norm == 3.0:
                assert follow.control.factor == 0.5
                run = follow.evaluated(run, {"accuracy": jnp.float32(1.0)})
                run = follow.evaluated(run, {"accuracy": 0.0})
    assert noted.losses == [1.0, 1.0, {"accuracy": 1.0}, {"accuracy": 0.0}, 1.0, 1.0, 1.0]
    assert noted.is_closed
    assert follow.control.factors == {"by hand": 1.0, "ByAccuracy": 0.3, "AfterRestarts": 0.5, "ByGradient": 1.0}


def test_a_state_of_flax_linen():
    flax = pytest.importorskip("flax.training.train_state")
    state = flax.TrainState.create(apply_fn=None, params={"w": PARAMS}, tx=OPTIMIZER)
    update = jax.jit(lambda state: state.apply_gradients(grads={"w": jnp.ones(3)}))
    follow = lr.jax.Follow(SCHEDULE, LeaveOut())
    state = follow.start(state)
    for loss in (1.0, NAN, 1.0):
        state = follow.step(state, update(state), loss=loss)
    assert int(state.step) == 2
    assert float(lr.jax.lr_of(state)) == np.float32(SCHEDULE(2))
    # Inside of jit.
    tx = lr.jax.controlled(optax.sgd, SCHEDULE, LeaveOut())
    state = flax.TrainState.create(apply_fn=None, params={"w": PARAMS}, tx=tx)

    @jax.jit
    def controlled_update(state, loss):
        steps, opt_state = state.tx.update({"w": jnp.ones(3)}, state.opt_state, state.params, value=loss)
        return state.replace(step=state.step + 1, params=optax.apply_updates(state.params, steps), opt_state=opt_state)

    for loss in (1.0, NAN, 1.0):
        state = lr.jax.scale(controlled_update(state, loss), 0.5)
    assert int(lr.jax.updates_of(state)) == 2
    assert float(lr.jax.lr_of(state)) == pytest.approx(SCHEDULE(1) * 0.25)


def test_wrong_use_is_refused():
    with pytest.raises(AlreadyDrivenError):
        lr.jax.Follow(SCHEDULE).start(optax.inject_hyperparams(optax.sgd)(learning_rate=SCHEDULE).init(PARAMS))
    with pytest.raises(AlreadyDrivenError, match="controlled"):
        lr.jax.Follow(SCHEDULE).start(lr.jax.controlled(optax.sgd, SCHEDULE).init(PARAMS))
    with pytest.raises(ArgumentError, match="inject_hyperparams"):
        lr.jax.Follow(SCHEDULE).start(optax.sgd(0.1).init(PARAMS))
    with pytest.raises(ArgumentError, match="resolved"):
        lr.jax.Follow(lr.linear(0.1, 0.0))
    with pytest.raises(ArgumentTypeError, match="schedule"):
        lr.jax.Follow(0.1)
    follow = lr.jax.Follow(SCHEDULE, [LeaveOut(), ByGradient()])
    with pytest.raises(ArgumentError, match="start"):
        follow.step(new(), new(), loss=1.0)
    run = follow.start(new())
    with pytest.raises(ArgumentError, match=facts("loss", "controller")):
        follow.step(run, step(run, 1.0)[0])
    with pytest.raises(ArgumentError, match=facts("gradient_norm", "controller")):
        follow.step(run, step(run, 1.0)[0], loss=1.0)
    with pytest.raises(ArgumentTypeError, match="loss"):
        follow.step(run, step(run, 1.0)[0], loss=jnp.ones(3), gradient_norm=1.0)
    with pytest.raises(ArgumentTypeError, match="metrics"):
        follow.evaluated(run, 0.5)
    with pytest.raises(ArgumentError, match="state_dict"):
        follow.load_state_dict({"count": 3})
    follow = lr.jax.Follow(SCHEDULE, LeaveOut())
    donated = follow.start(jax.tree.map(jnp.copy, new()))
    after = jax.jit(lambda run: run, donate_argnums=0)(donated)
    with pytest.raises(ArgumentError, match="donate_argnums"):
        follow.step(donated, jax.jit(lambda run: update(run, 1.0)[0])(after), loss=1.0)


def test_the_end_of_the_schedule_is_said_once():
    follow = lr.jax.Follow(lr.linear(1.0, 0.5, 2))
    with pytest.warns(PastEndWarning) as caught:
        runs, _ = train(follow, [1.0] * 5)
    assert len(caught) == 1
    assert float(lr.jax.lr_of(runs[-1])) == 0.5
