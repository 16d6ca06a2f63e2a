"""A training that is stopped and goes on in a fresh process, and one with a checkpoint before every update."""

import pickle
import random

from reporting import BACKEND, FOLDER, afterwards, keras, lr, np, scenario

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


def new_training():
    return lr.keras.Recipe(network, arrays, batch_size=8).trainable(seed=1)


def losses_of(training, first, last=UPDATES):
    """What these updates returned, as exact texts."""
    rows = [training.update(0.01 * (1 + update % 5)) for update in range(first, last)]
    return [repr({name: float(value) for name, value in row.items()}) for row in rows]


@scenario
def resumed_training():
    undisturbed = new_training()
    beginning = undisturbed.fingerprint()
    losses = losses_of(undisturbed, 0)
    training, others = new_training(), []
    for update in range(UPDATES):
        checkpoint = training.checkpoint()
        if update == STOP:
            (FOLDER / f"{BACKEND}.pickle").write_bytes(pickle.dumps(checkpoint))
        others += losses_of(training, update, update + 1)
    return {
        "losses": losses,
        "with checkpoints": others,
        "fingerprints": [undisturbed.fingerprint(), training.fingerprint()],
        "beginning": beginning,
        "stop": STOP,
    }


@afterwards
def training_gone_on():
    random.seed(99)
    training = new_training()
    training.resume(pickle.loads((FOLDER / f"{BACKEND}.pickle").read_bytes()))
    return {"losses": losses_of(training, STOP), "fingerprint": training.fingerprint()}
