"""Recipes of Keras in comparisons: paired trainings, a guard, and a training that goes on after its process was killed."""

import math
from dataclasses import replace

import keras
import numpy as np
from reporting import FOLDER, scenario

import learnrate as lr
from killed import killed_and_gone_on
from learnrate.control import guard, plateau

UPDATES = 40
CONTROL = [plateau(patience=12), guard(every=5, recovery=20)]
SAME = {"seconds": 0.0, "times": (), "notes": ()}


def network():
    layers = [keras.Input((4,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dropout(0.1), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(optimizer=keras.optimizers.Adam(9.0), loss="mse")
    return model


def batches():
    numbers = np.random.default_rng(np.random.randint(1000))
    inputs = [numbers.standard_normal((8, 4)).astype("float32") for _ in range(50)]
    pairs = [(x, np.tanh(x.sum(1, keepdims=True))) for x in inputs]
    pairs[25] = (pairs[25][0], pairs[25][1] * np.float32(np.nan))  # a batch at fault, which comes once
    return pairs


INPUTS = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)


def held_out():
    return INPUTS, np.tanh(INPUTS.sum(1, keepdims=True))


RECIPE = lr.keras.Recipe(network, batches, held_out(), updates=UPDATES, metric="negated loss", name="keras")


@scenario
def compared():
    arms = {"plain": lr.constant(0.02), "guarded": lr.Arm("constant(0.02)", control=CONTROL), "other": "cosine(0.05, 0)"}
    comparison = lr.compare(arms, RECIPE, seeds=2, evaluate_every=20)
    plain, guarded = comparison["plain"].trainings[0], comparison["guarded"].trainings
    path = FOLDER / f"{keras.backend.backend()}-training"
    gone_on, updates, kind = killed_and_gone_on(lambda: RECIPE.trainable(1, test=True), 33, path, UPDATES, CONTROL)
    return {
        "first": [[training.first_loss for training in comparison[name].trainings] for name in arms],
        "starts": len({(training.seed, training.start) for arm in comparison for training in arm.trainings}),
        "failures": [str(failure) for arm in comparison for failure in arm.failures.values()],
        "plain": [plain.updates, math.isnan(plain.losses[-1])],
        "guarded": [guarded[0].updates, bool(np.isfinite(guarded[0].losses).all()), guarded[0].metric],
        "scores": len(guarded[0].scores),
        "notes": " ".join(guarded[0].notes),
        "same": replace(gone_on, **SAME) == replace(guarded[1], **SAME),
        "made": updates == (UPDATES + 2 if "checkpoint" in vars(kind) else 33 + UPDATES + 1),
    }
