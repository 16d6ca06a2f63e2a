"""Trainings in JAX, to be stopped in one process and resumed in another.

python -c "from tests.jax.resuming import main; main()" FOLDER
"""

import json
import pickle
import random
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import learnrate as lr

UPDATES = 40
ROWS = np.random.default_rng(0).standard_normal((48, 6)).astype(np.float32)


def drawn():
    """Batches whose order and noise are random numbers of the whole process."""
    rows = np.random.permutation(len(ROWS))
    for first in range(0, 48, 8):
        yield ROWS[rows[first : first + 8]] + np.float32(0.1 * np.random.standard_normal() + 0.1 * random.random())


class Noisy:
    """Batches with a generator of their own."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def __iter__(self):
        return (rows + self.generator.standard_normal(6, np.float32) for rows in ROWS.reshape(6, 8, 6))


def loss(params, batch, key):
    kept = jax.random.bernoulli(key, 0.8, batch.shape)
    predicted = jnp.tanh((batch * kept) @ params["w"]) @ params["v"].astype(jnp.float32)
    return {"loss": ((predicted - batch.sum(1)) ** 2).mean(), "size": predicted.mean()}


def params(key):
    first, second = jax.random.split(key)
    return {"w": 0.1 * jax.random.normal(first, (6, 4)), "v": jax.random.normal(second, (4,), jnp.bfloat16)}


def noisy(learning_rate):
    return optax.chain(optax.add_noise(0.01, 0.55, jax.random.key(3)), optax.adamw(learning_rate))


def recipe(optimizer, batches):
    return lr.jax.Recipe(params, optimizer, batches, loss, with_key=True)


CASES = {
    "noise": recipe(noisy, lambda seed: drawn),
    "accumulated": recipe(
        optax.inject_hyperparams(lambda learning_rate: optax.MultiSteps(optax.adam(learning_rate), 3))(learning_rate=0.1),
        Noisy,
    ),
}


def build(name):
    np.random.seed(0), random.seed(0)
    return CASES[name].trainable(seed=1)


def losses_of(training, first, last=UPDATES):
    """What these updates returned, as exact texts."""
    rows = [training.update(0.01 * (1 + update % 5)) for update in range(first, last)]
    return [repr({name: float(value) for name, value in row.items()}) for row in rows]


def main():
    jax.config.update("jax_disable_most_optimizations", True)
    outcome = {}
    for name in CASES:
        random.seed(99)
        training = build(name)
        update, checkpoint = pickle.loads((Path(sys.argv[1]) / f"{name}.pickle").read_bytes())
        training.resume(checkpoint)
        outcome[name] = [losses_of(training, update), training.fingerprint()]
    print(json.dumps(outcome))
