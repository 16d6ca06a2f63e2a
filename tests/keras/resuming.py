"""A training with Keras that is stopped in the process of the scenarios and resumed in this one.

python resuming.py BACKEND FOLDER
"""

import json
import pickle
import random

from reporting import BACKEND, FOLDER, keras, lr, np

UPDATES, STOP = 20, 13


def network():
    """Dropout with and without a seed of its own, and batch norm."""
    layers = [keras.layers.Dense(8, "tanh"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2, seed=3)]
    more = [keras.layers.GaussianNoise(0.1), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((6,)), *layers, *more])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    return model


def arrays():
    rows = np.random.default_rng(0).standard_normal((52, 6)).astype("float32")
    return rows, rows.sum(1, keepdims=True)


RECIPE = lr.keras.Recipe(network, arrays, batch_size=8)


def losses_of(training, first, last=UPDATES):
    """What these updates returned, as exact texts."""
    rows = [training.update(0.01 * (1 + update % 5)) for update in range(first, last)]
    return [repr({name: float(value) for name, value in row.items()}) for row in rows]


def main():
    random.seed(99)
    training = RECIPE.trainable(seed=1)
    training.resume(pickle.loads((FOLDER / f"{BACKEND}.pickle").read_bytes()))
    print(json.dumps([losses_of(training, STOP), training.fingerprint()]))


if __name__ == "__main__":
    main()
