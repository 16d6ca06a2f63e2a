"""Recipes of JAX in comparisons: paired trainings, controllers, and what goes on after its process was killed."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

import learnrate as lr  # noqa: E402
from killed import killed_and_gone_on  # noqa: E402
from learnrate.control import gradient_size, guard, plateau  # noqa: E402

pytestmark = [pytest.mark.xdist_group("jax"), pytest.mark.slow]

UPDATES = 60
CONTROL = [plateau(patience=12), guard(every=5, recovery=20), gradient_size(smoothing=6, step=0.05, max_factor=2.0)]


def params(key):
    return {"w": jax.random.normal(key, (4, 8)) / 2, "v": jnp.zeros((8, 1))}


def loss(params, batch, key):
    kept = jax.random.bernoulli(key, 0.9, (8,))
    outputs = (jnp.tanh(batch[0] @ params["w"]) * kept) @ params["v"]
    return {"loss": ((outputs - batch[1]) ** 2).mean(), "outputs": outputs.mean()}


def batches(seed):
    numbers = np.random.default_rng(seed)
    inputs = [numbers.standard_normal((16, 4)).astype(np.float32) for _ in range(100)]
    pairs = [(x, np.tanh(x.sum(1, keepdims=True))) for x in inputs]
    pairs[30] = (pairs[30][0], pairs[30][1] * np.float32(np.nan))  # a batch at fault, which comes once
    return pairs


def evaluate(params):
    x = jnp.linspace(-1, 1, 64).reshape(16, 4)
    outputs = jnp.tanh(x @ params["w"]) @ params["v"]
    return -((outputs - jnp.tanh(x.sum(1, keepdims=True))) ** 2).mean()


RECIPE = lr.jax.Recipe(
    params, optax.adam, batches, loss, evaluate, with_key=True, updates=UPDATES, metric="negated error", name="jax"
)


@pytest.fixture(scope="module")
def comparison():
    arms = {"plain": lr.constant(0.02), "guarded": lr.Arm("constant(0.02)", control=CONTROL)}
    return lr.compare(arms, RECIPE, seeds=2, evaluate_every=20)


@pytest.mark.shows("jax", "compare")
def test_arms_are_paired_by_seed(comparison):
    first = [[training.first_loss for training in comparison[name].trainings] for name in ("plain", "guarded")]
    assert first[0] == first[1]
    assert first[0][0] != first[0][1]
    starts = {(training.seed, training.start) for arm in comparison for training in arm.trainings}
    assert len(starts) == 2
    assert not any("first" in note for note in comparison.notes)


def test_controllers_act_by_the_loss_and_the_norm_of_the_gradient(comparison):
    plain, guarded = comparison["plain"].trainings[0], comparison["guarded"].trainings[0]
    assert plain.updates == 31
    assert math.isnan(plain.losses[-1])
    assert guarded.updates == UPDATES
    assert np.isfinite(guarded.losses).all()
    assert guarded.metric == "negated error"
    assert len(guarded.scores) == 3
    assert any("left out (1 times)" in note for note in guarded.notes)
    assert any("gradient_size" in note for note in guarded.notes)


def test_a_training_that_is_killed_ends_as_the_run_through(comparison, tmp_path):
    expected, end = comparison["guarded"].trainings[1], random.Random(5).randrange(35, UPDATES)
    training, updates, kind = killed_and_gone_on(
        lambda: RECIPE.trainable(1, test=True), end, tmp_path / "file", UPDATES, CONTROL
    )
    assert updates == (UPDATES + 2 if "checkpoint" in vars(kind) else end + UPDATES + 1)  # one was left out, one was killed
    same = {"seconds": 0, "times": (), "notes": ()}
    assert replace(training, **same) == replace(expected, **same)
