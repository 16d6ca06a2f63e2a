"""lr.jax.range_test: the whole sweep under one scan, and the same curve as update by update."""

import dataclasses

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

import learnrate as lr  # noqa: E402
from facts import facts  # noqa: E402
from learnrate.errors import (  # noqa: E402
    AlreadyDrivenError,
    ArgumentError,
    ArgumentTypeError,
    DataError,
    LossError,
)

pytestmark = pytest.mark.xdist_group("jax")

SHORT = {"low": 1e-3, "high": 1e3, "updates": 40}


def batches(number=8, size=16):
    inputs = np.random.default_rng(0).standard_normal((number, size, 4)).astype(np.float32)
    return [(x, x.sum(1, keepdims=True)) for x in inputs]


def params_of(key):
    first, second = jax.random.split(key)
    return {"w": jax.random.normal(first, (4, 8)) / 2, "v": jax.random.normal(second, (8, 1)) / 3}


def loss(params, batch):
    return ((jnp.tanh(batch[0] @ params["w"]) @ params["v"] - batch[1]) ** 2).mean()


def state_of(key):
    params = params_of(key)
    return params, optax.adam(1.0).init(params)


def update(state, batch, rate):
    params, opt_state = state
    value, gradients = jax.value_and_grad(loss)(params, batch)
    steps, opt_state = optax.adam(rate).update(gradients, opt_state, params)
    return (optax.apply_updates(params, steps), opt_state), value


STATE = jax.jit(state_of)(jax.random.key(0))  # one program in place of one for each operation


@pytest.mark.slow
@pytest.mark.shows("jax", "range test")
def test_the_curve_is_that_of_the_updates_one_by_one():
    before = jax.tree.map(np.array, STATE)
    curve = lr.jax.range_test(update, STATE, batches(), **SHORT)
    training = lr.jax.Training(STATE[0], optax.adam, batches(), loss)
    expected = lr.range_test(training, **SHORT)
    assert curve.ended == expected.ended == "diverged"
    np.testing.assert_array_equal(curve.lrs, expected.lrs)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-3)
    assert curve.notes == expected.notes
    assert curve.updates_per_epoch == 8
    jax.tree.map(np.testing.assert_array_equal, STATE, before)


@pytest.mark.slow
def test_several_seeds_make_a_band_of_the_sweeps_that_each_would_make_alone():
    traces = []

    def traced(state, batch, rate):
        traces.append(rate)
        return update(state, batch, rate)

    curve = lr.jax.range_test(traced, state_of, batches(), seed=(3, 0, 7), stop=None, **SHORT)
    assert len(traces) < 10  # and not one for each of 40 updates, or more for more seeds
    assert curve.seeds == (3, 0, 7)
    assert [sweep.seeds for sweep in curve.sweeps] == [(3,), (0,), (7,)]
    starts = [float(loss(params_of(jax.random.key(seed)), batches()[0])) for seed in curve.seeds]
    np.testing.assert_allclose([sweep.losses[0] for sweep in curve.sweeps], starts, rtol=1e-4)
    low, high = curve.band()
    assert np.all(high[:20] > low[:20])
    np.testing.assert_allclose(curve.losses[0], np.mean([sweep.losses[0] for sweep in curve.sweeps]), rtol=1e-6)


@pytest.mark.slow
def test_metrics_stop_rules_and_the_form_of_the_sweep():
    def with_metrics(state, batch, rate):
        state, value = update(state, batch, rate)
        return state, {"loss": value, "double": 2 * value}

    asked = []

    def stop(lrs, losses):
        asked.append(len(lrs))
        return "it is enough" if len(lrs) == 15 else None

    curve = lr.jax.range_test(with_metrics, STATE, batches(), schedule="linear", low=0.0, high=1.0, updates=30, stop=stop)
    assert asked == [*range(1, 16)]
    assert curve.ended == "stopped"
    assert len(curve) == 15
    np.testing.assert_allclose(curve.metrics["double"], 2 * curve.losses, rtol=1e-6)
    np.testing.assert_allclose(curve.lrs, np.linspace(0, 1, 30)[:15])


@pytest.mark.slow
def test_a_loader_that_writes_every_batch_into_the_same_arrays():
    def loader():
        reused = tuple(np.empty_like(leaf) for leaf in batches()[0])
        for batch in batches():
            for array, leaf in zip(reused, batch, strict=True):
                array[...] = leaf
            yield reused

    curve = lr.jax.range_test(update, STATE, loader, low=1e-9, high=1e-8, updates=12, stop=None)
    expected = [float(loss(STATE[0], batch)) for batch in (batches() + batches())[:12]]
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-4)


@pytest.mark.slow
def test_an_iterator_that_runs_out_ends_the_curve():
    curve = lr.jax.range_test(update, STATE, iter(batches(15)), stop=None, **SHORT)
    assert len(curve) == 15
    assert curve.ended == "out of batches"


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_curve_and_the_rest_of_the_scan_has_no_part_in_it():
    def breaking(state, batch, rate):
        state, value = update(state, batch, rate)
        return state, jnp.where(rate > 1.0, jnp.nan, value)

    curve = lr.jax.range_test(breaking, STATE, batches(), stop=None, low=1e-4, high=1e2, updates=40)
    assert curve.ended == "not finite"
    assert np.isfinite(curve.losses[:-1]).all()
    assert curve.lrs[-2] < 1.0 < curve.lrs[-1]


@pytest.mark.slow
def test_the_lr_as_an_injected_hyper_parameter_and_numbers_in_the_state():
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1.0)

    def injected(state, batch, rate):
        value, gradients = jax.value_and_grad(loss)(state["params"], batch)
        steps, opt_state = optimizer.update(gradients, lr.jax.replace(state["opt"], rate))
        params = optax.apply_updates(state["params"], steps)
        return {"params": params, "opt": opt_state, "n": state["n"] + 1}, value

    state = {"params": STATE[0], "opt": optimizer.init(STATE[0]), "n": 0}
    curve = lr.jax.range_test(injected, state, batches(), **SHORT)
    expected = lr.jax.range_test(update, STATE, batches(), **SHORT)
    np.testing.assert_allclose(curve.losses[:20], expected.losses[:20], rtol=1e-3)


@pytest.mark.shows("jax", "two owners")
def test_updates_that_do_not_depend_on_the_lr_are_refused():
    schedule = lr.constant(0.1)
    owned = optax.adam(schedule)
    driven = optax.inject_hyperparams(optax.adam)(learning_rate=schedule)

    @jax.jit
    def with_a_schedule_of_its_own(state, batch, rate):
        value, gradients = jax.value_and_grad(loss)(state[0], batch)
        steps, opt_state = owned.update(gradients, state[1])
        return (optax.apply_updates(state[0], steps), opt_state), value

    def with_a_driven_number(state, batch, rate):
        value, gradients = jax.value_and_grad(loss)(state[0], batch)
        opt_state = optax.tree_utils.tree_set(state[1], lambda path, leaf: isinstance(leaf, jax.Array), learning_rate=rate)
        steps, opt_state = driven.update(gradients, opt_state)
        return (optax.apply_updates(state[0], steps), opt_state), value

    for function, optimizer in ((with_a_schedule_of_its_own, owned), (with_a_driven_number, driven)):
        with pytest.raises(AlreadyDrivenError, match=facts("depend on the LR", "schedule")):
            lr.jax.range_test(function, (STATE[0], optimizer.init(STATE[0])), batches())


REFUSED = {
    "a training": (
        lambda a: a | {"update": lr.jax.Training(STATE[0], optax.sgd, batches(), loss)},
        ArgumentTypeError,
        "Training",
    ),
    "no tuple": (lambda a: a | {"update": lambda s, b, r: update(s, b, r)[1]}, ArgumentTypeError, "(state, loss)"),
    "no scalar": (
        lambda a: a | {"update": lambda s, b, r: (update(s, b, r)[0], jnp.zeros(3) * r)},
        LossError,
        "(3,)",
    ),
    "no loss": (lambda a: a | {"update": lambda s, b, r: (update(s, b, r)[0], None)}, LossError, "NoneType"),
    "a metric of many numbers": (
        lambda a: a | {"update": lambda s, b, r: (update(s, b, r)[0], {"loss": jnp.sum(r), "all": jnp.zeros(3)})},
        LossError,
        "'all'",
    ),
    "another state": (
        lambda a: a | {"update": lambda s, b, r: ({"params": update(s, b, r)[0]}, jnp.sum(r))},
        ArgumentError,
        "of the form",
    ),
    "another type": (
        lambda a: a | {"update": lambda s, b, r: (jax.tree.map(lambda x: x.astype("float16"), s), jnp.sum(r))},
        ArgumentError,
        "float16",
    ),
    "a text in the state": (lambda a: a | {"state": (STATE, "adam")}, ArgumentTypeError, "state[1]"),
    "a seed without a function": (lambda a: a | {"seed": 3}, ArgumentError, "function from a key"),
    "equal seeds": (lambda a: a | {"state": state_of, "seed": (1, 1)}, ArgumentError, "different"),
    "no seeds": (lambda a: a | {"state": state_of, "seed": ()}, ArgumentError, "different"),
    "a negative seed": (lambda a: a | {"state": state_of, "seed": -1}, ArgumentError, "seed"),
    "no batches": (lambda a: a | {"batches": []}, DataError, "batches"),
    "a number of batches": (lambda a: a | {"batches": 8}, ArgumentTypeError, "batches"),
    "texts": (lambda a: a | {"batches": [("a", "b")]}, ArgumentTypeError, "array of numbers"),
    "a short last batch": (lambda a: a | {"batches": batches(3) + batches(1, size=5)}, ArgumentError, "drop_last"),
    "too few updates": (lambda a: a | {"updates": 3}, ArgumentError, "updates"),
    "no rule": (lambda a: a | {"stop": 3}, ArgumentTypeError, "stop"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_cannot_be_swept_is_refused(change):
    changed, error, named = REFUSED[change]
    arguments = changed({"update": update, "state": STATE, "batches": batches()})
    with pytest.raises(error, match=facts(named)):
        lr.jax.range_test(**arguments)


@pytest.mark.slow
def test_sweeps_that_do_not_depend_on_their_seed_say_so():
    curve = lr.jax.range_test(update, lambda key: STATE, batches(), seed=(0, 1), **SHORT)
    assert any("all sweeps are the same" in note for note in curve.notes)
    assert dataclasses.replace(curve, notes=()).seeds == (0, 1)
