"""flax NNX: the functions for states of optax take an `nnx.Optimizer`, and change it in place."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
nnx = pytest.importorskip("flax.nnx")
import jax.numpy as jnp  # noqa: E402
from tests.jax.controllers import LeaveOut, ScaleEvery  # noqa: E402

import learnrate as lr  # noqa: E402
from facts import facts  # noqa: E402
from learnrate.control import Scale  # noqa: E402
from learnrate.errors import AlreadyDrivenError, ArgumentError  # noqa: E402

pytestmark = [pytest.mark.xdist_group("jax"), pytest.mark.slow]

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 12)
INPUTS = np.random.default_rng(0).standard_normal((8, 16, 2)).astype(np.float32)
BATCHES = [(x, x.sum(1, keepdims=True)) for x in INPUTS]


def new(transformation):
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    return model, nnx.Optimizer(model, transformation, wrt=nnx.Param)


def loss(model, batch):
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def stepping():
    """An update whose gradient of the bias is 1, and the number of its compilations."""
    traces = []

    @nnx.jit
    def step(model, optimizer):
        traces.append(None)
        before = model.bias[...]
        optimizer.update(model, nnx.grad(lambda model: model(jnp.ones((1, 2))).sum())(model))
        return (before - model.bias[...])[0]

    return step, traces


@pytest.mark.shows("jax", "resume")
@pytest.mark.parametrize("is_injected", [False, True])
def test_counts_and_lrs_of_an_optimizer_in_place(is_injected):
    transformation = optax.inject_hyperparams(optax.sgd)(learning_rate=SCHEDULE) if is_injected else optax.sgd(SCHEDULE)
    schedule = () if is_injected else (SCHEDULE,)
    model, optimizer = new(transformation)
    step, traces = stepping()
    for n in range(3):
        assert float(step(model, optimizer)) == pytest.approx(SCHEDULE(n), rel=1e-4)
        assert float(lr.jax.lr_of(optimizer, *schedule)) == pytest.approx(SCHEDULE(n), rel=1e-6)
    assert lr.jax.at(optimizer, 9) is optimizer
    assert float(step(model, optimizer)) == pytest.approx(SCHEDULE(9), rel=1e-4)
    assert int(lr.jax.updates_of(optimizer)) == 10
    with pytest.raises(AlreadyDrivenError, match=facts("schedule", 0.5)):
        lr.jax.replace(optimizer, 0.5)
    # The state alone, with its variables.
    optimizer.opt_state = lr.jax.at(optimizer.opt_state, 5)
    assert float(step(model, optimizer)) == pytest.approx(SCHEDULE(5), rel=1e-4)
    # A run that is saved and loaded.
    restored, rebuilt = new(transformation)
    nnx.update((restored, rebuilt), jax.tree.map(np.array, nnx.state((model, optimizer))))
    assert float(step(restored, rebuilt)) == float(step(model, optimizer)) == pytest.approx(SCHEDULE(6), rel=1e-4)
    assert len(traces) == 1


def test_a_number_is_replaced_in_place_also_inside_of_jit():
    model, optimizer = new(optax.inject_hyperparams(optax.sgd)(learning_rate=0.1))
    step, traces = stepping()
    assert float(step(model, optimizer)) == pytest.approx(0.1, rel=1e-4)
    assert lr.jax.replace(optimizer, 0.5) is optimizer
    assert float(step(model, optimizer)) == pytest.approx(0.5, rel=1e-4)
    nnx.jit(lr.jax.replace)(optimizer, jnp.float32(0.25))
    assert float(lr.jax.lr_of(optimizer)) == 0.25
    lr.jax.replace(optimizer, SCHEDULE)
    assert float(step(model, optimizer)) == pytest.approx(SCHEDULE(2), rel=1e-4)
    assert len(traces) == 1


def test_a_module_is_swept_by_its_state():
    model, optimizer = new(optax.inject_hyperparams(optax.adam)(learning_rate=0.1))
    graph, state = nnx.split((model, optimizer))

    def update(state, batch, rate):
        model, optimizer = nnx.merge(graph, state)
        lr.jax.replace(optimizer, rate)
        value, gradients = nnx.value_and_grad(loss)(model, batch)
        optimizer.update(model, gradients)
        return nnx.state((model, optimizer)), value

    before = np.array(model.kernel[...])
    curve = lr.jax.range_test(update, state, BATCHES, low=1e-4, high=1.0, updates=30, stop=None)
    assert curve.losses[-8:].mean() < 0.5 * curve.losses[:8].mean()
    np.testing.assert_array_equal(model.kernel[...], before)
    graph, weights = nnx.split(model)
    training = lr.jax.Training(weights, optax.adam, BATCHES, lambda weights, batch: loss(nnx.merge(graph, weights), batch))
    expected = lr.range_test(training, low=1e-4, high=1.0, updates=30, stop=None)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-3)


@pytest.mark.shows("jax", "control")
def test_controllers_inside_of_an_optimizer():
    controllers = [ScaleEvery(2), LeaveOut(every=1)]
    model, optimizer = new(lr.jax.controlled(optax.sgd, SCHEDULE, controllers, metrics=("accuracy",)))
    traces = []

    @nnx.jit
    def step(model, optimizer, value):
        traces.append(None)
        gradients = nnx.grad(lambda model: model(jnp.ones((1, 2))).sum())(model)
        optimizer.update(model, gradients, value=value)
        nnx.update(model, lr.jax.put_back(nnx.state(model, nnx.Param), optimizer))

    with lr.jax.Monitor(optimizer.tx, every=1) as monitor:
        biases, used = [float(model.bias[...][0])], []
        for n, value in enumerate([1.0, np.nan, 1.0, 1.0, 150.0, 1.0]):
            step(model, optimizer, value)
            biases.append(float(model.bias[...][0]))
            used.append(float(lr.jax.lr_of(optimizer)))
            if n == 2:
                monitor.request(Scale(0.25))
            assert monitor.follow(optimizer) is optimizer
    assert biases[2] == biases[1]  # left out
    assert biases[5] == biases[2]  # rolled back, and not to the last update, which may belong to the explosion
    assert -np.diff(biases)[[0, 2, 3, 5]] == pytest.approx([used[0], used[2], used[3], used[5]], rel=1e-4)
    assert used[-1] == pytest.approx(SCHEDULE(3) * 0.25 * 0.25 * 0.75)
    assert float(jax.jit(monitor.schedule)(jnp.int32(3))) == used[-1]
    assert int(lr.jax.updates_of(optimizer)) == 4
    assert lr.jax.scale(optimizer, 2.0) is optimizer
    assert optimizer.tx.evaluated(optimizer, {"accuracy": 0.5}) is optimizer
    assert bool(lr.jax.control_of(optimizer).stopped) is False
    step(model, optimizer, 1.0)
    assert float(lr.jax.lr_of(optimizer)) == pytest.approx(2 * SCHEDULE(4) * 0.25 * 0.125 * 0.75)
    assert len(traces) == 1
    follow = lr.jax.Follow(SCHEDULE, LeaveOut())
    with pytest.raises(ArgumentError, match="in place"):
        follow.start(new(optax.inject_hyperparams(optax.sgd)(learning_rate=0.1))[1])
