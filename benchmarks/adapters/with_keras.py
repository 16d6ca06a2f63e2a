"""Keras: a small network on Fashion-MNIST, at the default LR of Adam and tuned in place; the time of an update under `fit`.

The backend is that of KERAS_BACKEND. Needs the data sets in the folder that LEARNRATE_DATA names.
"""

import functools
import os
import statistics
import time
from pathlib import Path

import keras
import numpy as np

import learnrate as lr
from benchmarks.adapters.outcome import Outcome, Overhead

if keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(1)

TRAINED, HELD_OUT, BATCH, EPOCHS = 16_000, 2_000, 64, 2
"""Examples to train on and to choose by, examples of a batch, epochs of a run: 500 updates."""

UPDATES, TURNS = 20, 10
"""Updates in a row, and how often each contender makes them."""


@functools.cache
def data():
    """Training data, data that decides between trials, and test data."""
    arrays = np.load(Path(os.environ["LEARNRATE_DATA"]) / "fashion_mnist.npz")

    def part(name, chosen):
        return (arrays[f"x_{name}"][chosen] / np.float32(255), arrays[f"y_{name}"][chosen].astype("int32"))

    stop = TRAINED + HELD_OUT
    return part("train", slice(TRAINED)), part("train", slice(TRAINED, stop)), part("test", slice(None))


def network(optimizer, width=128):
    """A network with one hidden layer."""
    layers = [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(width, activation="relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model


def trained(model, seed, spent, peak):
    """The outcome of a training run."""
    (x, y), _, test = data()
    keras.utils.set_random_seed(seed)
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    score = model.evaluate(*test, batch_size=1000, verbose=0, return_dict=True)["accuracy"]
    return Outcome(score, peak, int(model.optimizer.iterations), spent)


def default(seed):
    """A run with `Adam()` as Keras gives it: a constant LR of 0.001."""
    keras.utils.set_random_seed(seed)
    model = network(keras.optimizers.Adam())
    return trained(model, seed, spent=0, peak=float(model.optimizer.learning_rate))


def tuned(seed):
    """The same run, tuned in place before it starts."""
    keras.utils.set_random_seed(seed)
    model = network(keras.optimizers.Adam())
    training, held_out, _ = data()
    plan = lr.keras.tune(
        model,
        training,
        epochs=EPOCHS,
        batch_size=BATCH,
        validation_data=held_out,
        seed=seed,
        require=True,
        report=lambda text: None,
    )
    return trained(model, seed, spent=plan.spent, peak=plan.max_lr)


@functools.cache
def models():
    """Two models whose update takes some 5 ms: with a schedule of Keras, and with the same of learnrate."""
    schedules = (
        keras.optimizers.schedules.CosineDecay(1e-3, 1_000_000),
        lr.keras.Schedule(lr.cosine(1e-3, 0.0, 1_000_000)),
    )
    return [network(keras.optimizers.Adam(schedule), width=512) for schedule in schedules]


class Timer(keras.callbacks.Callback):
    """The processor time of each batch, which does not depend on what else runs on the machine."""

    def __init__(self):
        super().__init__()
        self.seconds, self.start = [], 0.0

    def on_train_batch_begin(self, batch, logs=None):
        """Start the watch."""
        self.start = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        """Stop it; `logs` are numbers, so the batch is done."""
        self.seconds.append(time.process_time() - self.start)


def overhead():
    """The median time of an update under `fit`, in turns of both."""
    (x, y), _, _ = data()
    x, y = x[: UPDATES * BATCH], y[: UPDATES * BATCH]
    timers = Timer(), Timer()
    for _ in range(TURNS):
        for model, timer in zip(models(), timers, strict=True):
            model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, shuffle=False, callbacks=[timer])
    return Overhead(*(statistics.median(timer.seconds) for timer in timers))
