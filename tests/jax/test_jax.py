"""learnrate for JAX: a training as a Trainable, and its probe, which agrees with that of torch."""

import functools
from itertools import pairwise

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
torch = pytest.importorskip("torch")
import jax.numpy as jnp  # noqa: E402

import learnrate as lr  # noqa: E402
from facts import facts  # noqa: E402
from learnrate.errors import ArgumentError, ArgumentTypeError, DataError, LossError, NoAnswerError  # noqa: E402
from learnrate.jax.kinds import kind_of  # noqa: E402
from learnrate.jax.optimizers import Adjustable  # noqa: E402

SIZES = (8, 16, 1)


def problem():
    """Data, batches and the weights of a small network, in single precision."""
    random = np.random.default_rng(0)
    inputs = (random.standard_normal((512, 8)) * np.logspace(-0.5, 0.5, 8)).astype(np.float32)
    targets = np.tanh(inputs.sum(1, keepdims=True) / 2)
    batches = [(inputs[i : i + 32], targets[i : i + 32]) for i in range(0, 512, 32)]
    weights = {
        f"{name}{layer}": (random.uniform(-1, 1, shape) / np.sqrt(fan)).astype(np.float32)
        for layer, (fan, out) in enumerate(pairwise(SIZES))
        for name, shape in (("w", (fan, out)), ("b", (out,)))
    }
    return batches, weights


def loss(params, batch):
    hidden = jnp.tanh(batch[0] @ params["w0"] + params["b0"])
    return ((hidden @ params["w1"] + params["b1"] - batch[1]) ** 2).mean()


def torch_probe(build):
    batches, weights = problem()
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    with torch.no_grad():
        for layer in (0, 1):
            model[2 * layer].weight.copy_(torch.tensor(weights[f"w{layer}"].T))
            model[2 * layer].bias.copy_(torch.tensor(weights[f"b{layer}"]))
    batches = [(torch.tensor(x), torch.tensor(y)) for x, y in batches]
    optimizer = build(model.parameters())
    return lr.torch.probe(model, optimizer, batches, torch.nn.MSELoss(), updates=800)


@functools.cache
def jax_probe(optimizer):
    batches, weights = problem()
    return lr.jax.probe(weights, optimizer, batches, loss, updates=800)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (torch.optim.Adam, optax.adam),
        (lambda p: torch.optim.AdamW(p, betas=(0.9, 0.99)), lambda rate: optax.adamw(rate, b2=0.99, weight_decay=1e-2)),
        (lambda p: torch.optim.SGD(p, lr=0.1), optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), lambda rate: optax.sgd(rate, momentum=0.9)),
    ],
    ids=["Adam", "AdamW", "SGD", "SGD with momentum"],
)
def test_both_frameworks_find_the_same_steps_on_the_same_problem(theirs, ours):
    of_torch, of_jax = torch_probe(theirs), jax_probe(ours)
    assert of_torch.steps[-1] > 100 * of_torch.steps[0]
    # The first steps, of 1e-6, are known to a hundredth: weights of single precision are. Later rounding errors grow.
    np.testing.assert_allclose(of_jax.steps, of_torch.steps, rtol=5e-3)
    np.testing.assert_allclose(of_jax.losses, of_torch.losses, rtol=2e-2)
    assert (of_jax.lr, of_jax.interval, of_jax.method) == (of_torch.lr, of_torch.interval, of_torch.method)


@pytest.mark.slow
def test_nesterovs_momentum_and_clipping_have_no_part_in_the_steps_of_sgd():
    plain = jax_probe(optax.sgd)
    nesterov = jax_probe(lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True))
    np.testing.assert_allclose(nesterov.losses, plain.losses, rtol=1e-4)
    assert nesterov.lr == pytest.approx(plain.lr / 10 / 1.9, rel=0.1)
    clipped = jax_probe(lambda rate: optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(rate)))
    assert clipped.lr > 1.5 * plain.lr


@pytest.mark.slow
def test_steps_begin_at_a_size_that_weights_of_half_precision_take():
    batches, weights = problem()
    half = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), weights)
    probe = lr.jax.probe(half, optax.adam, batches, loss, updates=800)
    assert probe.steps[0] > 1e-4
    assert probe.lr == pytest.approx(jax_probe(optax.adam).lr, rel=0.5)


CHAINS = {
    "adam": (optax.adam, 0.999, 0.0),
    "adamw with a mask": (
        lambda rate: optax.adamw(rate, b2=0.95, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p)),
        0.95,
        0,
    ),
    "clipped": (lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, b2=0.98)), 0.98, 0.0),
    "adamax": (optax.adamax, 0.999, 0.0),
    "rmsprop": (lambda rate: optax.rmsprop(rate, decay=0.97, momentum=0.8), 0.97, 0.8),
    "injected": (optax.inject_hyperparams(optax.nadam)(learning_rate=1e-3, b2=0.9), 0.9, 0.0),
    "sgd": (optax.sgd, None, 0.0),
    "sgd with momentum": (lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True), None, 0.9),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_the_settings_of_an_optimizer_show_in_its_answers(chain):
    optimizer, beta2, momentum = CHAINS[chain]
    kind = kind_of(Adjustable(optimizer), problem()[1])
    assert kind.beta2 == (None if beta2 is None else pytest.approx(beta2, rel=1e-3))
    assert kind.momentum == pytest.approx(momentum, abs=1e-3)
    assert kind.gain == pytest.approx(1.9 if chain == "sgd with momentum" else 1.0, rel=1e-3)
    assert all(ratio == pytest.approx(1.0, rel=1e-2) for ratio in jax.tree.leaves(kind.ratios))


def test_the_ratios_of_parts_are_those_of_their_lrs():
    def build(rate):
        labels = {"w0": "slow", "b0": "slow", "w1": "fast", "b1": "fast"}
        return optax.partition({"slow": optax.adam(0.1 * rate), "fast": optax.adam(rate)}, labels)

    ratios = kind_of(Adjustable(build), problem()[1]).ratios
    assert ratios["w0"] == pytest.approx(0.1, rel=1e-3)
    assert ratios["w1"] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("optimizer", "named"),
    [
        (optax.lion, ("ScaleByLionState", "tune")),
        (optax.adagrad, ("ScaleByRssState",)),
        (optax.radam, ("size of the LR",)),
        (optax.lamb, ("size of the LR",)),
        (lambda rate: optax.MultiSteps(optax.adam(rate), 2).gradient_transformation(), ("MultiStepsState",)),
        (
            lambda rate: optax.partition(
                {"a": optax.adam(rate), "b": optax.sgd(rate)}, {"w0": "a", "b0": "b", "w1": "a", "b1": "b"}
            ),
            ("mixture",),
        ),
    ],
    ids=["lion", "adagrad", "radam", "lamb", "MultiSteps", "mixture"],
)
def test_an_optimizer_without_a_probe_says_so(optimizer, named):
    with pytest.raises(NoAnswerError, match=facts(*named)):
        jax_probe(optimizer)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [optax.adam, optax.inject_hyperparams(optax.adam)(learning_rate=0.5)])
def test_updates_are_those_of_optax(optimizer):
    batches, params = problem()
    training = lr.jax.Training(params, optimizer, batches, loss)
    start = training.save()
    plain = optax.adam(0.01)

    @jax.jit
    def update(state, params, batch):
        value, gradients = jax.value_and_grad(loss)(params, batch)
        steps, state = plain.update(gradients, state, params)
        return state, optax.apply_updates(params, steps), value

    state, expected, losses = plain.init(params), params, []
    for batch in batches[:5]:
        state, expected, value = update(state, expected, batch)
        losses.append(float(value))
    for _ in range(2):
        assert [float(training.update(0.01)) for _ in batches[:5]] == pytest.approx(losses, rel=1e-5)
        for name, value in expected.items():
            np.testing.assert_allclose(training.params[name], value, rtol=1e-5, atol=1e-6)
        training.restore(start)
    np.testing.assert_array_equal(training.params["w0"], params["w0"])
    assert training.current_lr() in (None, 0.5)
    assert training.updates_per_epoch() == 16


@pytest.mark.slow
def test_a_training_can_be_tuned_and_range_tested():
    batches, params = problem()
    training = lr.jax.Training(params, optax.adam, batches, loss, lambda p: -float(loss(p, batches[0])))
    curve = lr.range_test(training)
    assert any("started again" in note for note in curve.notes)
    plan = lr.tune(training, updates=200)
    assert 1e-3 < plan.max_lr < 1
    np.testing.assert_array_equal(training.params["w0"], params["w0"])


def test_a_key_gives_each_update_its_own_random_numbers():
    batches, params = problem()
    draws = []

    def noisy(params, batch, key):
        noise = jax.random.normal(key, ())
        return {"loss": loss(params, batch), "noise": noise}

    training = lr.jax.Training(params, optax.sgd, batches, noisy, key=jax.random.key(0))
    start = training.save()
    for _ in range(2):
        draws.append([training.read([training.update(0.0)])[0]["noise"] for _ in range(3)])
        training.restore(start)
    assert draws[0] == draws[1]
    assert len(set(draws[0])) == 3


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"params": {}}, ArgumentError, ("params",)),
        ({"params": {"w": jnp.arange(3)}}, ArgumentTypeError, ("params", "floats")),
        ({"optimizer": optax.adam(0.1)}, ArgumentTypeError, ("optimizer", "inject_hyperparams", "lambda")),
        ({"optimizer": 0.1}, ArgumentTypeError, ("optimizer",)),
        ({"optimizer": lambda rate: rate}, ArgumentTypeError, ("optimizer", "GradientTransformation")),
        ({"loss": 3}, ArgumentTypeError, ("loss",)),
        ({"loss": lambda p, b: jnp.zeros(3) * p["w0"].sum()}, LossError, ("(3,)", "mean")),
        ({"loss": lambda p, b: {"error": p["w0"].sum()}}, LossError, ("loss",)),
        ({"batches": []}, DataError, ("batches",)),
        ({"batches": 3}, ArgumentTypeError, ("batches",)),
    ],
)
def test_what_cannot_be_trained_is_refused(changes, error, named):
    batches, params = problem()
    arguments = {"params": params, "optimizer": optax.sgd, "batches": batches, "loss": loss, **changes}
    with pytest.raises(error, match=facts(*named)):
        lr.jax.probe(**arguments, updates=200)
