"""JAX and optax: a small network on Fashion-MNIST, at the usual LR of `optax.adam` and with `lr.jax.tuned`."""

import functools
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import learnrate as lr
from benchmarks.adapters.outcome import Outcome, Overhead

UPDATES = 1500
BATCH = 128
WIDTH = 128
DEFAULT = 1e-3
"""The LR of the examples of optax, and of Adam in most libraries."""

TRAINED, VALIDATED = 20_000, 5_000
"""Images of the training set that train, and that choose; the test set measures."""

TURNS, IN_A_TURN = 80, 5
"""Turns of a measurement of the overhead, and updates in each."""

Params = dict[str, jax.Array]
Array = np.ndarray[Any, Any]


@functools.cache
def images() -> dict[str, tuple[Array, Array]]:
    """Images in [0, 1] and labels: train, validation, test."""
    with np.load(Path(os.environ["LEARNRATE_DATA"]) / "fashion_mnist.npz") as data:
        inputs = {part: data[f"x_{part}"].reshape(-1, 784) / np.float32(255) for part in ("train", "test")}
        train, test = ((inputs[part], data[f"y_{part}"]) for part in ("train", "test"))
    last = TRAINED + VALIDATED
    return {
        "train": (train[0][:TRAINED], train[1][:TRAINED].astype(np.int32)),
        "validation": (train[0][TRAINED:last], train[1][TRAINED:last].astype(np.int32)),
        "test": (test[0], test[1].astype(np.int32)),
    }


def network(seed: int, width: int = WIDTH) -> Params:
    """Weights of 784-width-10."""
    first, second = jax.random.split(jax.random.key(seed))
    return {
        "w0": jax.random.normal(first, (784, width)) * (2 / 784) ** 0.5,
        "b0": jnp.zeros(width),
        "w1": jax.random.normal(second, (width, 10)) * width**-0.5,
        "b1": jnp.zeros(10),
    }


def logits(params: Params, inputs: Any) -> jax.Array:
    """The outputs of the network."""
    return jax.nn.relu(inputs @ params["w0"] + params["b0"]) @ params["w1"] + params["b1"]


def loss(params: Params, batch: tuple[Any, Any]) -> jax.Array:
    """Cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, batch[0]), batch[1]).mean()


def accuracy(params: Params, part: str) -> float:
    """Share of the images that are classified right."""
    inputs, labels = images()[part]
    return float((logits(params, inputs).argmax(1) == labels).mean())


def batches(seed: int) -> Iterator[tuple[Array, Array]]:
    """One epoch in an order that follows from the seed."""
    inputs, labels = images()["train"]
    order = np.random.default_rng(seed).permutation(len(labels))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        yield inputs[rows], labels[rows]


def epochs(seed: int) -> Iterator[tuple[Array, Array]]:
    """Epochs without end."""
    epoch = 0
    while True:
        yield from batches(1000 * seed + epoch)
        epoch += 1


def train(schedule: lr.Schedule, seed: int) -> tuple[float, float]:
    """Accuracy on the test set and the highest LR that was used."""
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=schedule)
    params = network(seed)
    state = optimizer.init(params)
    update = update_with(optimizer)
    highest = 0.0
    for _, batch in zip(range(UPDATES), epochs(seed), strict=False):
        params, state, _ = update(params, state, batch)
        highest = max(highest, float(lr.jax.lr_of(state)))
    return accuracy(params, "test"), highest


def update_with(optimizer: optax.GradientTransformation) -> Any:
    """The update of a training loop, compiled."""

    @jax.jit
    def update(params: Params, state: Any, batch: Any) -> tuple[Params, Any, jax.Array]:
        value, gradients = jax.value_and_grad(loss)(params, batch)
        steps, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, steps), state, value

    return update


def default(seed: int) -> Outcome:
    """A constant LR, the usual one."""
    score, highest = train(lr.constant(DEFAULT), seed)
    return Outcome(score, highest, UPDATES, 0)


def tuned(seed: int) -> Outcome:
    """Tuned at the start of the run."""
    spent = 0

    def progress(stage: str, done: int, planned: int) -> None:
        nonlocal spent
        spent += 1

    schedule = lr.jax.tuned(
        network(seed),
        optax.adam,
        lambda: batches(seed),
        loss,
        updates=UPDATES,
        before=DEFAULT,
        evaluate=lambda params: accuracy(params, "validation"),
        report=lambda text: None,
        progress=progress,
    )
    score, highest = train(schedule, seed)
    return Outcome(score, highest, UPDATES, spent)


def overhead() -> Overhead:
    """An update of about 5 ms with a schedule of optax, and with one of learnrate.

    In short turns, whose order alternates, and the median of them: speeds drift on a busy machine.
    """
    schedules = {
        "plain": optax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 1000),
        "ours": lr.warmup(1e-3, 100) >> lr.cosine(1e-3, 0.0, 900),
    }
    runs = {name: _Run(optax.adam(schedule)) for name, schedule in schedules.items()}
    turns = [*runs.values()]
    for _ in range(TURNS):
        turns.reverse()
        for run in turns:
            run.measure()
    return Overhead(*(statistics.median(run.seconds) for run in runs.values()))


class _Run:
    """A training whose updates are timed.

    Attributes:
        seconds: Mean time of an update in each turn.
    """

    def __init__(self, optimizer: optax.GradientTransformation) -> None:
        self._params, self._update = network(0, width=512), update_with(optimizer)
        self._state, self._batch = optimizer.init(self._params), next(batches(0))
        self.seconds: list[float] = []
        self._advance()  # compiles

    def _advance(self) -> None:
        self._params, self._state, value = self._update(self._params, self._state, self._batch)
        value.block_until_ready()

    def measure(self) -> None:
        """Make the updates of a turn."""
        begun = time.perf_counter()
        for _ in range(IN_A_TURN):
            self._advance()
        self.seconds.append((time.perf_counter() - begun) / IN_A_TURN)
