"""Reading and writing the states of optax, in every wrapper: what `lr_of` says is what the optimizer used."""

import functools
import pickle
import random

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
pytest.importorskip("optax.contrib")
import jax.numpy as jnp  # noqa: E402

import learnrate as lr  # noqa: E402
from facts import facts  # noqa: E402
from learnrate.errors import (  # noqa: E402
    AlreadyDrivenError,
    ArgumentError,
    ArgumentTypeError,
    LostRatiosWarning,
    OtherScheduleWarning,
)
from precision import in_64_bits  # noqa: E402

# In one worker, which compiles what they share once.
pytestmark = pytest.mark.xdist_group("jax")

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 12)
PARAMS = {"w": jnp.ones(3), "v": jnp.full(2, 2.0, jnp.float32)}
LABELS = {"w": "a", "v": "b"}
INT32 = 2**31 - 1


def injected(rate, inner=optax.sgd):
    return optax.inject_hyperparams(inner)(learning_rate=rate)


WRAPPERS = {
    "sgd": optax.sgd,
    "chain with momentum": lambda s: optax.chain(optax.clip_by_global_norm(1e3), optax.sgd(s, momentum=0.9)),
    "adamw": lambda s: optax.adamw(s, weight_decay=0.1),
    "inject": injected,
    "chain of inject": lambda s: optax.chain(optax.clip(10.0), injected(s)),
    "MultiSteps": lambda s: optax.MultiSteps(optax.sgd(s), 2).gradient_transformation(),
    "MultiSteps of inject": lambda s: optax.MultiSteps(injected(s), 2).gradient_transformation(),
    "apply_if_finite": lambda s: optax.apply_if_finite(optax.sgd(s), 3),
    "apply_if_finite of inject": lambda s: optax.apply_if_finite(injected(s), 3),
    "partition": lambda s: optax.partition({"a": optax.sgd(s), "b": optax.sgd(s)}, LABELS),
    "partition of inject": lambda s: optax.partition({"a": injected(s), "b": injected(s)}, LABELS),
    "inject of partition": lambda s: injected(
        s, lambda learning_rate: optax.partition({"a": optax.sgd(learning_rate), "b": optax.sgd(learning_rate)}, LABELS)
    ),
    "plateau": lambda s: optax.chain(optax.sgd(s), optax.contrib.reduce_on_plateau(patience=4, factor=0.5)),
}
"""Functions from a schedule to a transformation whose step is proportional to its LR."""

OF_INJECT = [name for name in WRAPPERS if "inject" in name]
CALLS = {name: 2 if "MultiSteps" in name else 1 for name in WRAPPERS}
"""Calls of an update."""


@functools.cache
def updating(name):
    optimizer = optax.with_extra_args_support(WRAPPERS[name](SCHEDULE))
    gradients = jax.tree.map(jnp.ones_like, PARAMS)

    traces = []

    def update(state):
        traces.append(name)
        for _ in range(CALLS[name]):
            steps, state = optimizer.update(gradients, state, PARAMS, value=1.0)
        return steps["w"][0], state, lr.jax.lr_of(state, None if name in OF_INJECT else SCHEDULE)

    return optimizer.init(PARAMS), jax.jit(update), traces


def train(name, updates, state=None):
    """The step of each update, the LR that is read after it, and the state at the end."""
    start, update, _ = updating(name)
    state, steps, read = start if state is None else state, [], []
    for _ in range(updates):
        step, state, rate = update(state)
        steps.append(float(step))
        read.append(float(rate))
    return steps, read, state


UNITS = {"chain with momentum": lambda n: (1 - 0.9 ** (n + 1)) / 0.1, "adamw": lambda n: 1.1}
"""The size of step n for gradients of 1 at an LR of 1, where it is not 1: a sum of gradients; a decay of 0.1 of a weight of 1."""


def used(name, updates, state=None):
    """The LRs that were really used."""
    first = 0 if state is None else int(lr.jax.updates_of(state))
    steps, _, after = train(name, updates, state)
    unit = UNITS.get(name, lambda n: 1.0)
    return [-step / unit(first + number) for number, step in enumerate(steps)], after


EXPECTED = [SCHEDULE(n) for n in range(16)]


@pytest.mark.slow
@pytest.mark.shows("jax", "schedule")
@pytest.mark.shows("jax", "LR in its logs")
@pytest.mark.parametrize("name", WRAPPERS)
def test_the_lr_that_is_read_is_the_one_that_was_used(name):
    lrs, after = used(name, 12)
    _, read, _ = train(name, 12)
    np.testing.assert_allclose(read, lrs, rtol=1e-5)
    if name == "plateau":
        assert min(np.array(read) / EXPECTED[:12]) < 0.6  # it did reduce
    else:
        np.testing.assert_allclose(lrs, EXPECTED[:12], rtol=1e-5)
    assert int(lr.jax.updates_of(after)) == 12
    assert len(updating(name)[2]) == 1


@pytest.mark.slow
@pytest.mark.shows("jax", "resume")
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_run_that_is_stopped_at_a_random_update_goes_on_as_if_it_had_not_been(name):
    stop = random.Random(name).randint(1, 11)
    whole, _ = used(name, 12)
    _, state = used(name, stop)
    saved = pickle.dumps(jax.device_get(state))
    rest, _ = used(name, 12 - stop, pickle.loads(saved))
    assert rest == whole[stop:]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WRAPPERS if name != "plateau"])
def test_at_sets_the_count_of_every_schedule(name):
    start, _, traces = updating(name)
    state = lr.jax.at(start, 7)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, start)
    _, read, after = train(name, 3, state)
    np.testing.assert_allclose(read, EXPECTED[7:10], rtol=1e-5)
    assert int(lr.jax.updates_of(after)) == 10
    # The counts that optax's own function leaves at 0 are the reason why there is `at`.
    assert int(lr.jax.updates_of(lr.jax.at(after, 0))) == 0
    assert len(traces) == 1


def test_at_leaves_the_count_of_moments_where_it_is():
    state = lr.jax.at(optax.adam(SCHEDULE).init(PARAMS), 1000)
    assert int(state[0].count) == 0
    assert int(state[1].count) == 1000


def test_at_sets_the_schedules_of_weight_decay_and_of_schedule_free():
    decayed = optax.adamw(SCHEDULE, weight_decay=lambda n: 0.1).init(PARAMS)
    assert [int(part.count) for part in lr.jax.at(decayed, 9)[1:]] == [9, 9]
    state = optax.contrib.schedule_free(optax.sgd(SCHEDULE), SCHEDULE).init(PARAMS)
    assert int(lr.jax.updates_of(state)) == 0
    later = lr.jax.at(state, 9)
    assert int(later.step_count) == int(state.step_count) + 9
    assert float(lr.jax.lr_of(later, SCHEDULE)) == pytest.approx(SCHEDULE(8), rel=1e-6)


@pytest.mark.parametrize("count", [0, INT32])
def test_the_lowest_and_the_highest_count(count):
    schedule = lr.inverse_sqrt(0.1, 100)
    state = lr.jax.at(optax.sgd(schedule).init(PARAMS), count)
    steps, _ = optax.sgd(schedule).update(jax.tree.map(jnp.ones_like, PARAMS), state)
    assert -float(steps["w"][0]) == pytest.approx(schedule(count), rel=1e-4)


def test_counts_of_64_bits():
    with in_64_bits():
        state = (optax.ScaleByScheduleState(jnp.zeros((), jnp.int64)),)
        later = lr.jax.at(state, 2**40)
        assert int(lr.jax.updates_of(later)) == 2**40
        assert later[0].count.dtype == jnp.int64
        assert float(lr.jax.lr_of(later, lr.inverse_sqrt(0.1, 100))) == pytest.approx(
            lr.inverse_sqrt(0.1, 100)(2**40 - 1), rel=1e-9
        )


def test_states_inside_of_scan_vmap_and_jit():
    optimizer = injected(SCHEDULE)
    gradients = jax.tree.map(jnp.ones_like, PARAMS)

    def update(state, _):
        _, state = optimizer.update(gradients, state)
        return state, (lr.jax.lr_of(state), lr.jax.updates_of(state))

    def run(start):
        return jax.lax.scan(update, lr.jax.at(optimizer.init(PARAMS), start), length=4)[1]

    lrs, counts = jax.jit(jax.vmap(run))(jnp.array([0, 8]))
    np.testing.assert_allclose(lrs, [EXPECTED[:4], EXPECTED[8:12]], rtol=1e-5)
    np.testing.assert_array_equal(counts, [[1, 2, 3, 4], [9, 10, 11, 12]])


def test_another_number_is_used_from_the_next_update_on_and_nothing_is_compiled_again():
    optimizer = optax.chain(optax.clip(10.0), optax.MultiSteps(injected(0.1), 1).gradient_transformation())
    gradients = jax.tree.map(jnp.ones_like, PARAMS)
    update = jax.jit(lambda state: optimizer.update(gradients, state, PARAMS))
    state = optimizer.init(PARAMS)
    for rate in (0.1, 0.25, jnp.float32(0.5), 1, np.float64(0.125)):
        state = lr.jax.replace(state, rate)
        assert float(lr.jax.lr_of(state)) == pytest.approx(float(rate))
        steps, state = update(state)
        assert -float(steps["w"][0]) == pytest.approx(float(rate))
    assert update._cache_size() == 1


def test_a_loop_writes_a_schedule_and_changes_it_in_mid_run():
    optimizer = injected(1.0)
    gradients = jax.tree.map(jnp.ones_like, PARAMS)
    other = lr.constant(0.5)

    def update(state, schedule):
        return optimizer.update(gradients, lr.jax.replace(state, schedule))

    update, state, lrs = jax.jit(update, static_argnums=1), optimizer.init(PARAMS), []
    for n in range(12):
        steps, state = update(state, SCHEDULE if n < 8 else other)
        lrs.append(-float(steps["w"][0]))
    np.testing.assert_allclose(lrs, EXPECTED[:8] + [0.5] * 4, rtol=1e-5)
    assert update._cache_size() == 2


def test_several_lrs_become_one_or_keep_their_ratios():
    optimizer = optax.partition({"a": injected(0.1), "b": injected(0.4)}, LABELS)
    state = optimizer.init(PARAMS)
    assert sorted(map(float, lr.jax.lrs_of(state).values())) == pytest.approx([0.1, 0.4])
    assert float(lr.jax.lr_of(state)) == pytest.approx(0.4)
    kept = lr.jax.replace(state, 0.2, relative=True)
    assert sorted(map(float, lr.jax.lrs_of(kept).values())) == pytest.approx([0.05, 0.2])
    with pytest.warns(LostRatiosWarning, match=facts(0.1, 0.4, "relative=True")):
        same = lr.jax.replace(state, 0.2)
    assert [*map(float, lr.jax.lrs_of(same).values())] == pytest.approx([0.2, 0.2])


@pytest.mark.shows("jax", "two owners")
@pytest.mark.parametrize("name", [name for name in WRAPPERS if name != "plateau"])
def test_a_number_does_not_overrule_a_schedule_in_silence(name):
    start, _, _ = updating(name)
    with pytest.raises(AlreadyDrivenError, match=facts("schedule", "overwrite", 0.5, "inject_hyperparams")):
        lr.jax.replace(start, 0.5)
    with pytest.raises(AlreadyDrivenError, match=facts("schedule", "go on with this state")):
        lr.jax.replace(start, lr.constant(0.5))


def test_a_run_that_is_resumed_under_another_schedule():
    state = lr.jax.at(optax.adam(SCHEDULE).init(PARAMS), 6)
    longer = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 28)
    with pytest.raises(ArgumentError, match=facts("update 6", "on_change")):
        lr.jax.resumed(state, longer, saved=repr(SCHEDULE))
    with pytest.warns(OtherScheduleWarning):
        rebased = lr.jax.resumed(state, longer, saved=repr(SCHEDULE), on_change="rebase")
    assert rebased(6) == pytest.approx(SCHEDULE(6))
    optimizer = optax.adam(rebased)
    _, state = optimizer.update(PARAMS, state, PARAMS)
    assert float(lr.jax.lr_of(state, rebased)) == pytest.approx(SCHEDULE(6), rel=1e-5)
    with pytest.raises(ArgumentTypeError, match=facts("schedule", 0.1)):
        lr.jax.resumed(state, 0.1, saved=repr(SCHEDULE))


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda: lr.jax.lr_of(optax.adam(0.1).init(PARAMS)), ArgumentError, ("opt_state", "inject_hyperparams")),
        (lambda: lr.jax.lr_of(optax.adam(SCHEDULE).init(PARAMS)), ArgumentError, ("lr_of(opt_state, schedule)",)),
        (lambda: lr.jax.lr_of(optax.adam(0.1).init(PARAMS), SCHEDULE), ArgumentError, ("count", "leave out schedule")),
        (lambda: lr.jax.lr_of(injected(0.1).init(PARAMS), 0.1), ArgumentTypeError, ("schedule", 0.1)),
        (
            lambda: lr.jax.lr_of(optax.inject_hyperparams(optax.scale)(step_size=0.1).init(PARAMS)),
            ArgumentError,
            ("learning_rate", "step_size"),
        ),
        (lambda: lr.jax.at(optax.adam(0.1).init(PARAMS), 3), ArgumentError, ("opt_state", "count", "number")),
        (lambda: lr.jax.at(optax.sgd(SCHEDULE).init(PARAMS), -1), ArgumentError, ("n", -1)),
        (lambda: lr.jax.at(optax.sgd(SCHEDULE).init(PARAMS), 2**31), ArgumentError, ("n", INT32)),
        (lambda: lr.jax.at(optax.sgd(SCHEDULE).init(PARAMS), 2.5), ArgumentTypeError, ("n", 2.5)),
        (lambda: lr.jax.at(optax.sgd(SCHEDULE).init(PARAMS), jnp.ones(2)), ArgumentTypeError, ("n", "integer")),
        (lambda: lr.jax.at(optax.sgd(SCHEDULE).init(PARAMS), jnp.int32(-3)), ArgumentError, ("n", -3)),
        (lambda: lr.jax.updates_of(optax.adam(0.1).init(PARAMS)), ArgumentError, ("count",)),
        (lambda: lr.jax.replace(injected(0.1).init(PARAMS), -1.0), ArgumentError, ("lr", -1.0)),
        (lambda: lr.jax.replace(injected(0.1).init(PARAMS), float("nan")), ArgumentError, ("lr", "nan")),
        (lambda: lr.jax.replace(injected(0.1).init(PARAMS), jnp.float32(jnp.nan)), ArgumentError, ("lr", "nan")),
        (lambda: lr.jax.replace(injected(0.1).init(PARAMS), "0.1"), ArgumentTypeError, ("lr", "0.1")),
        (lambda: lr.jax.replace(injected(0.1).init(PARAMS), jnp.ones(2)), ArgumentTypeError, ("lr",)),
        (lambda: lr.jax.replace(optax.adam(0.1).init(PARAMS), 0.1), ArgumentError, ("opt_state", "inject_hyperparams")),
        (lambda: lr.jax.replace(None, 0.1), ArgumentError, ("opt_state",)),
    ],
)
def test_what_cannot_be_read_or_written_is_refused(call, error, named):
    with pytest.raises(error, match=facts(*named)):
        call()


@pytest.mark.shows("jax", "accumulation")
def test_accumulated_batches_are_no_updates():
    optimizer = optax.MultiSteps(optax.sgd(SCHEDULE), 4)
    state, lrs, counts = optimizer.init(PARAMS), [], []
    update = jax.jit(optimizer.update)
    for _ in range(12):
        steps, state = update(jax.tree.map(jnp.ones_like, PARAMS), state, PARAMS)
        lrs.append(-float(steps["w"][0]))
        counts.append(int(lr.jax.updates_of(state)))
    assert counts == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    np.testing.assert_allclose([rate for rate in lrs if rate], EXPECTED[:3], rtol=1e-5)


@pytest.mark.shows("jax", "skipped updates")
def test_skipped_updates_do_not_count():
    optimizer = optax.apply_if_finite(injected(SCHEDULE), 3)
    state, lrs = optimizer.init(PARAMS), []
    update = jax.jit(optimizer.update)
    for gradient in (1.0, jnp.nan, jnp.inf, 1.0, 1.0):
        steps, state = update(jax.tree.map(lambda leaf, g=gradient: jnp.full_like(leaf, g), PARAMS), state, PARAMS)
        lrs.append(-float(steps["w"][0]))
    np.testing.assert_allclose(lrs, [EXPECTED[0], 0, 0, EXPECTED[1], EXPECTED[2]], rtol=1e-5)
    assert int(lr.jax.updates_of(state)) == 3
    assert float(lr.jax.lr_of(state)) == pytest.approx(EXPECTED[2], rel=1e-5)


@pytest.mark.shows("jax", "config text")
def test_a_schedule_from_a_configuration():
    schedule = lr.parse("warmup(0.1, '25%') >> cosine(0.1, 0)").resolve(16)
    assert schedule == SCHEDULE
    optimizer = injected(schedule)
    _, state = optimizer.update(PARAMS, lr.jax.at(optimizer.init(PARAMS), 5))
    assert float(lr.jax.lr_of(state)) == pytest.approx(EXPECTED[5], rel=1e-6)
