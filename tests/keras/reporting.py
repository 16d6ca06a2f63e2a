"""What the scenarios share: the backend, how facts are collected, and a line, whose weight shows the LR of each update."""

import gc
import os
import sys
import warnings
from pathlib import Path

BACKEND, FOLDER = sys.argv[1], Path(sys.argv[2])
os.environ["KERAS_BACKEND"] = BACKEND
# Keras and torch themselves, with NumPy 2 and torch 2.13.
warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated", DeprecationWarning)

gc.disable()  # there is no garbage while modules are imported

import keras  # noqa: E402
import numpy as np  # noqa: E402

import learnrate as lr  # noqa: E402

gc.freeze()
gc.enable()

if BACKEND == "torch":
    import torch

    torch.set_num_threads(1)
else:
    import jax

    jax.config.update("jax_disable_most_optimizations", True)  # it compiles for longer than it runs

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 20)
SCENARIOS, AFTERWARDS = {}, {}
"""Functions without arguments that return facts, by their names; the second ones in a fresh process after all others."""


def scenario(function):
    assert function.__name__ not in SCENARIOS, f"two scenarios are named {function.__name__}"
    SCENARIOS[function.__name__] = function
    return function


def afterwards(function):
    AFTERWARDS[function.__name__] = function
    return function


# A line: its weight falls by exactly the LR at each update of SGD.


CALLS = []
"""A call of the loss for each update on torch, and for each compilation on JAX."""


@keras.saving.register_keras_serializable(package="tests")
def mean_output(y, outputs):
    CALLS.append(outputs)
    return keras.ops.mean(outputs)


ONES = np.ones((24, 1), dtype="float32")


def line(optimizer, **options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer=optimizer, loss=mean_output, **options)
    return model


class Steps(keras.callbacks.Callback):
    """The LR that each batch really used: the difference that it made to the weight; and the LR that stands there."""

    def __init__(self, stop_at=None, at_batch=None):
        super().__init__()
        self.weights, self.lrs, self.stop_at, self.at_batch = [0.0], [], stop_at, at_batch

    def on_train_begin(self, logs=None):
        self.weights = [self.weight()]

    def weight(self):
        return float(self.model.get_weights()[0][0, 0])

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.weight())
        self.lrs.append(float(self.model.optimizer.learning_rate))
        if self.at_batch:
            self.at_batch(self.model, len(self.lrs))
        if len(self.lrs) == self.stop_at:
            self.model.stop_training = True

    @property
    def used(self):
        return [before - after for before, after in zip(self.weights, self.weights[1:], strict=False)]


def fit(model, *callbacks, x=ONES, epochs=1, steps=None, **options):
    steps = steps or Steps()
    history = model.fit(
        x, x, batch_size=1, epochs=epochs, verbose=0, shuffle=False, callbacks=[*callbacks, steps], **options
    )
    return steps, history.history


def caught(function):
    """The error of a call, as its class and text, or None."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def warned(function):
    """What a call returns, and its warnings."""
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        returned = function()
    return returned, [f"{issue.category.__name__}: {issue.message}" for issue in issued]
