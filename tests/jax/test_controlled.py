"""Controllers inside of `jax.jit`: what they do to the LR, the weights and the optimizer, in every form of a loop."""

import functools
import pickle
import random

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402
from tests.jax.controllers import AfterRestarts, ByGradient, CoolAt, LeaveOut, ScaleEvery  # noqa: E402

import learnrate as lr  # noqa: E402
from facts import facts  # noqa: E402
from learnrate.control import (  # noqa: E402
    Control,
    Observation,
    plateau,
)
from learnrate.errors import AlreadyDrivenError, ArgumentError, ArgumentTypeError  # noqa: E402

pytestmark = pytest.mark.xdist_group("jax")

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.003, 60)
NAN = float("nan")
LOSSES = [3.0, 2.5, NAN, 2.0, 150.0, 1.5, 1.25, 1.0, NAN, 1.0, 200.0, 0.5, 0.5, 0.25, 0.25, 0.25]
PARAMS = {"w": jnp.array([1.0, 2.0, 3.0]), "v": jnp.full(2, 2.0, jnp.float32)}


@functools.cache
def controlled(optimizer, *control, schedule=SCHEDULE, **options):
    """The same object for the same arguments, so that tests share what is compiled."""
    return lr.jax.controlled(optimizer, schedule, list(control), **options)


@functools.cache
def stepping(optimizer):
    @jax.jit
    def step(params, state, loss, size=1.0):
        gradients = jax.tree.map(lambda leaf: size * jnp.ones_like(leaf), params)
        steps, state = optimizer.update(gradients, state, params, value=loss)
        return lr.jax.put_back(optax.apply_updates(params, steps), state), state

    return step


def run(optimizer, losses, params=PARAMS, state=None):
    """The weights and the state after each update."""
    step, state, after = stepping(optimizer), optimizer.init(params) if state is None else state, []
    compiled = max(step._cache_size(), 1)
    for loss in losses:
        params, state = step(params, state, loss)
        after.append((params, state))
    assert step._cache_size() == compiled
    return after


def lrs(after):
    return [float(lr.jax.lr_of(state)) for _, state in after]


BOTH = controlled(optax.adam, ScaleEvery(3), LeaveOut())
GUARDED = controlled(optax.adam, LeaveOut(every=3))


@pytest.mark.shows("jax", "control")
def test_controllers_decide_the_same_inside_of_jit_as_outside():
    controllers = [ScaleEvery(3), LeaveOut()]
    control, update, expected = Control([SCHEDULE], controllers), 0, []
    for loss in LOSSES:
        rate = control.schedules[0](update)
        decision = control.observe(Observation(update, rate, loss, finite=np.isfinite(loss)))
        left_out = decision.skip or decision.rollback
        update += not left_out
        control.settle(update)
        expected.append((rate, left_out, decision.rollback, update, control.factor))
    after = run(controlled(optax.adam, *controllers), LOSSES)
    parts = [lr.jax.control_of(state) for _, state in after]
    got = [(float(p.lr), bool(p.skipped), bool(p.rolled_back), int(p.count), float(p.factor)) for p in parts]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert sum(left_out for _, left_out, *_ in expected) == 4
    assert int(lr.jax.updates_of(after[-1][1])) == len(LOSSES) - 4


def test_the_lr_that_is_said_is_the_one_that_was_used():
    after = run(controlled(optax.sgd, ScaleEvery(2), ScaleEvery(3, by=0.75)), [1.0] * 12)
    weights = np.array([3.0, *(params["w"][2] for params, _ in after)], np.float64)
    np.testing.assert_allclose(-np.diff(weights), lrs(after), atol=3e-7)
    expected = [SCHEDULE(n) * 0.5 ** (n // 2) * 0.75 ** (n // 3) for n in range(12)]
    np.testing.assert_allclose(lrs(after), expected, rtol=1e-6)


def test_what_is_left_out_changes_nothing():
    after = run(GUARDED, [3.0, 2.0, NAN, 2.0])
    (before, state_before), (left_out, state) = after[1], after[2]
    assert bool(lr.jax.control_of(state).skipped)
    for old, new in zip(*map(jax.tree.leaves, ((before, state_before.inner), (left_out, state.inner))), strict=True):
        np.testing.assert_array_equal(old, new)
    # As if it had not been there.
    without = run(GUARDED, [3.0, 2.0, 2.0])
    np.testing.assert_array_equal(after[3][0]["w"], without[2][0]["w"])


def test_gradients_that_are_not_finite_are_left_out_though_the_loss_is():
    params, state = stepping(BOTH)(PARAMS, BOTH.init(PARAMS), 1.0, NAN)
    assert bool(lr.jax.control_of(state).skipped)
    np.testing.assert_array_equal(params["w"], PARAMS["w"])
    # A norm that the program has measured is believed.
    steps, _ = jax.jit(BOTH.update)(PARAMS, state, PARAMS, value=1.0, gradient_norm=jnp.inf)
    assert not np.any(steps["w"])


def test_a_rollback_puts_weights_and_moments_back_bit_for_bit_and_counts_on():
    after = run(GUARDED, [3.0, *[2.0] * 39, 150.0, 150.0, 1.0])
    # The snapshot of update 39 is so young that it may be from the explosion; that of update 36, whose loss was fine, is
    # the older one that is kept.
    for params, state in after[40:42]:
        np.testing.assert_array_equal(params["w"], after[35][0]["w"])
        for old, new in zip(*map(jax.tree.leaves, (after[35][1].inner, state.inner)), strict=True):
            np.testing.assert_array_equal(old, new)
    assert (int(after[40][1].count), int(after[42][1].count)) == (40, 41)
    assert float(after[42][1].lr) == pytest.approx(0.75**2 * SCHEDULE(40))


def test_a_snapshot_that_did_not_help_is_not_put_back_again():
    guarded = controlled(optax.sgd, LeaveOut(every=40))
    after = run(guarded, [*[2.0] * 115, 150.0, 150.0, 1.0])
    np.testing.assert_array_equal(after[115][0]["w"], after[79][0]["w"])
    np.testing.assert_array_equal(after[116][0]["w"], after[39][0]["w"])


def test_a_rollback_from_weights_that_are_not_finite():
    step = stepping(BOTH)
    params, state = step(PARAMS, BOTH.init(PARAMS), 1.0)
    params, state = step(jax.tree.map(lambda leaf: leaf * jnp.inf, params), state, 150.0)
    np.testing.assert_array_equal(params["w"], PARAMS["w"])


def test_after_the_end_nothing_changes():
    after = run(BOTH, [3.0, 1500.0, 2.0, NAN, 2.0])
    assert [bool(lr.jax.control_of(state).stopped) for _, state in after] == [False, True, True, True, True]
    for params, state in after[2:]:
        np.testing.assert_array_equal(params["w"], after[1][0]["w"])
        ended = after[1][1]._replace(rolled_back=False)
        for old, new in zip(*map(jax.tree.leaves, (ended, state)), strict=True):
            np.testing.assert_array_equal(old, new)


def test_cycles_that_begin_are_seen():
    schedule = lr.triangular(0.125, 1.0, step_size=4)
    after = run(controlled(optax.sgd, AfterRestarts(), schedule=schedule), [1.0] * 20)
    control, used = Control([schedule], AfterRestarts()), []
    for n in range(20):
        used.append(control.schedules[0](n))
        control.observe(Observation(n, used[-1], 1.0, restarts=control.restarts(n)))
        control.settle(n + 1)
    np.testing.assert_allclose(lrs(after), used, rtol=1e-6)
    assert control.factor == 0.25


def test_the_norm_of_the_gradient_is_measured_before_it_is_clipped():
    def clipped(rate):
        return optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(rate))

    optimizer = controlled(clipped, ByGradient(above=2.0), schedule=lr.constant(0.5))
    step, state = stepping(optimizer), optimizer.init(PARAMS)
    factors = []
    for size in (0.8, 1.0, 0.8):  # norms are sqrt(5) times as large
        _, state = step(PARAMS, state, 1.0, size)
        factors.append(float(lr.jax.control_of(state).factor))
    assert factors == [1.0, 0.5, 1.0]


def test_a_cooldown_from_inside_falls_to_0():
    after = run(controlled(optax.sgd, ScaleEvery(3), CoolAt(5, 7), schedule=lr.constant(0.5)), [1.0] * 16)
    expected = Control([lr.constant(0.5)], [ScaleEvery(3), CoolAt(5, 7)])
    for n in range(16):
        expected.observe(Observation(n, 0.1, 1.0))
        expected.settle(n + 1)
    np.testing.assert_allclose(lrs(after), [expected.schedules[0](n) for n in range(16)], rtol=1e-6)
    assert lrs(after)[13:] == [0.0] * 3


@pytest.mark.shows("jax", "control")
def test_in_a_scan_and_for_each_seed_of_a_vmap():
    step = stepping(BOTH)

    @jax.jit
    @jax.vmap
    def train(losses):
        def update(carry, loss):
            params, state = step(*carry, loss)
            return (params, state), (lr.jax.lr_of(state), lr.jax.control_of(state).skipped)

        return jax.lax.scan(update, (PARAMS, BOTH.init(PARAMS)), losses)

    seeds = [LOSSES, LOSSES[::-1], [1.0] * len(LOSSES)]
    (params, _), (rates, skipped) = train(jnp.array(seeds))
    for seed, losses in enumerate(seeds):
        after = run(BOTH, losses)
        np.testing.assert_allclose(rates[seed], lrs(after), rtol=1e-6)
        np.testing.assert_allclose(params["w"][seed], after[-1][0]["w"], rtol=1e-6)
        assert int(skipped[seed].sum()) == (4 if seed < 2 else 0)


@pytest.mark.shows("jax", "control")
def test_a_run_that_is_interrupted_uses_the_same_lrs():
    optimizer = controlled(optax.adam, ScaleEvery(3), LeaveOut(every=2))
    through = run(optimizer, LOSSES)
    place = random.Random(17).randrange(1, len(LOSSES))
    saved = pickle.dumps(jax.tree.map(np.asarray, through[place - 1]))
    params, state = jax.tree.map(jnp.asarray, pickle.loads(saved))
    resumed = run(optimizer, LOSSES[place:], params, state)
    assert lrs(resumed) == lrs(through[place:])
    np.testing.assert_array_equal(resumed[-1][0]["w"], through[-1][0]["w"])
    assert lr.jax.resumed(state, SCHEDULE, saved=repr(SCHEDULE)) == SCHEDULE
    serialization = pytest.importorskip("flax.serialization")
    loaded = jax.tree.map(
        jnp.asarray, serialization.from_bytes(through[place - 1], serialization.to_bytes(through[place - 1]))
    )
    assert lrs(run(optimizer, LOSSES[place:], *loaded)) == lrs(through[place:])


def test_by_hand_without_another_compilation_and_with_donated_arrays():
    optimizer = controlled(optax.sgd, LeaveOut(), schedule=lr.constant(0.5))
    step = jax.jit(stepping(optimizer), donate_argnums=(0, 1))
    params = jax.tree.map(jnp.copy, PARAMS)
    state, used = optimizer.init(params), []
    for n in range(4):
        if n == 1:
            state = lr.jax.scale(state, 0.25)
        if n == 3:
            state = lr.jax.scale(state, 4)
        params, state = step(params, state, 1.0)
        used.append(float(lr.jax.lr_of(state)))
    assert used == [0.5, 0.125, 0.125, 0.5]
    assert step._cache_size() == 1
    for wrong in (0.0, -1.0, NAN, 1e9):
        with pytest.raises(ArgumentError, match="factor"):
            lr.jax.scale(state, wrong)
    with pytest.raises(ArgumentTypeError, match="factor"):
        lr.jax.scale(state, "0.5")


def test_the_functions_for_states_know_it():
    inject = optax.inject_hyperparams(optax.sgd)(learning_rate=9.0)
    for inner in (optax.sgd, inject):
        optimizer = lr.jax.controlled(inner, SCHEDULE, ScaleEvery(3))
        state = optimizer.init(PARAMS)
        assert list(lr.jax.lrs_of(state)) == [""]
        assert float(lr.jax.lr_of(state)) == pytest.approx(SCHEDULE(0))
        steps, state = jax.jit(optimizer.update)(PARAMS, lr.jax.at(state, 9), PARAMS, value=1.0)
        assert float(steps["w"][0]) == pytest.approx(-SCHEDULE(9), rel=1e-6)
        assert int(lr.jax.updates_of(state)) == 10
        with pytest.raises(AlreadyDrivenError, match=facts("controlled", "scale", 0.5)):
            lr.jax.replace(state, 0.5)
        with pytest.raises(ArgumentError, match="schedule must be left out"):
            lr.jax.lr_of(state, SCHEDULE)


def test_a_transformation_that_is_built_anew_says_what_it_follows():
    """`jax.tree.map` and the `nnx.jit` of flax 0.11 build tuples anew from their entries."""
    optimizer = controlled(optax.sgd, ScaleEvery(2))
    anew = jax.tree.map(lambda function: function, optimizer)
    assert anew is not optimizer
    assert anew.schedule == SCHEDULE
    assert list(anew.controllers) == ["ScaleEvery"]
    with lr.jax.Monitor(anew, every=1) as monitor:
        assert monitor.schedule == SCHEDULE


def test_accumulation_and_skips_of_optax_around_it():
    optimizer = optax.MultiSteps(lr.jax.controlled(optax.sgd, SCHEDULE, [ScaleEvery(2), LeaveOut()]), 2)
    update = jax.jit(lambda state, loss: optimizer.update(PARAMS, state, PARAMS, value=loss))
    state = optimizer.init(PARAMS)
    for n in range(8):
        _, state = update(state, NAN if n == 3 else 1.0)
    assert int(lr.jax.updates_of(state)) == 3  # the second is left out; optax counts it
    assert float(lr.jax.lr_of(state)) == pytest.approx(SCHEDULE(2) * 0.5)
    guarded = optax.apply_if_finite(lr.jax.controlled(optax.sgd, SCHEDULE, ScaleEvery(2)), 5)
    state = guarded.init(PARAMS)
    update = jax.jit(guarded.update)
    for size in (1.0, NAN, 1.0):
        _, state = update(optax.tree.scale(size, PARAMS), state, PARAMS, value=1.0)
    assert int(lr.jax.updates_of(state)) == 2


class Integers(ScaleEvery):
    def update(self, state, observation):
        state, action = super().update(state, observation)
        return state._replace(updates=0.5 * state.updates), action


class Unannounced(LeaveOut):
    needs_snapshots = False


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: lr.jax.controlled(optax.adam, lr.linear(0.1, 0.0)), ArgumentError, ("resolved",)),
        (lambda: lr.jax.controlled(optax.adam, 0.1), ArgumentTypeError, ("schedule", "constant")),
        (lambda: lr.jax.controlled(optax.adam(0.1), SCHEDULE).init(PARAMS), ArgumentTypeError, ("function from an LR",)),
        (lambda: lr.jax.controlled(optax.adam, SCHEDULE, ScaleEvery), ArgumentTypeError, ("ScaleEvery(...)",)),
        (
            lambda: lr.jax.controlled(optax.adam, SCHEDULE, plateau(10, monitor="accuracy"), metrics=["acuracy"]),
            ArgumentError,
            ("monitor", "accuracy", "acuracy"),
        ),
        (lambda: lr.jax.controlled(optax.adam, SCHEDULE, history=True), ArgumentTypeError, ("history",)),
        (lambda: lr.jax.controlled(optax.adam, SCHEDULE, metrics="accuracy"), ArgumentTypeError, ("['accuracy']",)),
        (lambda: lr.jax.controlled(lambda rate: optax.adam(0.1), SCHEDULE).init(PARAMS), AlreadyDrivenError, ("LR",)),
        (
            lambda: lr.jax.controlled(
                lambda rate: optax.MultiSteps(optax.sgd(rate), 2).gradient_transformation(), SCHEDULE
            ).init(PARAMS),
            ArgumentError,
            ("MultiSteps",),
        ),
        (
            lambda: lr.jax.controlled(
                lambda rate: optax.chain(optax.sgd(rate), lr.jax.controlled(optax.sgd, SCHEDULE)), SCHEDULE
            ).init(PARAMS),
            ArgumentError,
            ("control",),
        ),
    ],
)
def test_wrong_arguments_are_refused_when_it_is_built(build, error, words):
    with pytest.raises(error, match=facts(*words)):
        build()


def test_wrong_updates_are_refused():
    def update(control, params=PARAMS, **given):
        optimizer = lr.jax.controlled(optax.sgd, SCHEDULE, control)
        return jax.eval_shape(lambda: optimizer.update(PARAMS, optimizer.init(PARAMS), params, **given))

    with pytest.raises(ArgumentError, match=facts("value", "apply_gradients")):
        update(ScaleEvery())
    with pytest.raises(ArgumentTypeError, match="value"):
        update(ScaleEvery(), value=jnp.ones(3))
    with pytest.raises(ArgumentTypeError, match=facts("Integers", "float", "updates")):
        update(Integers(), value=1.0)
    with pytest.raises(ArgumentTypeError, match=facts("Unannounced", "needs_snapshots")):
        update(Unannounced(), value=1.0)
    with pytest.raises(ArgumentError, match="params"):
        update(LeaveOut(), params=None, value=1.0)
    optimizer = lr.jax.controlled(optax.sgd, SCHEDULE, ScaleEvery())
    with pytest.raises(ArgumentError, match=facts("metrics", "accuracy", "none")):
        optimizer.evaluated(optimizer.init(PARAMS), {"accuracy": 0.5})
    for function in (
        lr.jax.control_of,
        lambda state: lr.jax.scale(state, 0.5),
        lambda state: lr.jax.put_back(PARAMS, state),
    ):
        with pytest.raises(ArgumentError, match="controlled"):
            function(optax.sgd(0.1).init(PARAMS))
