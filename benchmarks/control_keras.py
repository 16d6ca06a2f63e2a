"""What control costs an update in Keras: `python -m benchmarks.control_keras torch`, and `jax`.

CPU time of the thread that trains, in microseconds an update, beyond that with `Follow` alone: the lowest of several epochs,
in turn, because other processes disturb some of them. On JAX the time for which a controller waits for a loss is not in it;
without a controller the thread runs ahead of the device.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

UPDATES, EPOCHS = 200, 10


def main() -> None:
    """Print the table for the backend that is named on the command line."""
    os.environ["KERAS_BACKEND"] = sys.argv[1]
    import keras
    import numpy as np

    import learnrate as lr
    from learnrate.control import Action, Controller

    if sys.argv[1] == "torch":
        import torch

        torch.set_num_threads(1)

    class Count(NamedTuple):
        updates: int = 0

    @dataclass(frozen=True)
    class looks(Controller[Count]):  # noqa: N801 - as those of learnrate
        """Does nothing, so that what is measured is the way to it."""

        def init(self) -> Count:
            return Count()

        def update(self, state: Count, observation: Any) -> tuple[Count, Action]:
            return Count(state.updates + 1), Action()

    class norms(looks):  # noqa: N801
        needs_gradient_norm: ClassVar[bool] = True

    class guards(looks):  # noqa: N801
        needs_snapshots: ClassVar[bool] = True

    class Epochs(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.thread_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.last = time.thread_time() - self.began

    x = np.random.default_rng(0).standard_normal((UPDATES * 32, 64)).astype("float32")
    y = np.zeros(len(x), "int32")
    schedule = lr.warmup(1e-3, 100) >> lr.cosine(1e-3, 0.0, 10**6)
    options: dict[str, Callable[[], Any]] = {
        "Follow": lambda: lr.keras.Follow(schedule),
        "by hand alone": lambda: lr.keras.Follow(schedule, control=[]),
        "a controller": lambda: lr.keras.Follow(schedule, control=[looks()]),
        "with the norm of the gradient": lambda: lr.keras.Follow(schedule, control=[norms()]),
        "with snapshots every 500 updates": lambda: lr.keras.Follow(schedule, control=[guards()]),
    }
    if len(sys.argv) > 2:
        options["a controller and a record"] = lambda: lr.keras.Follow(schedule, control=[looks()], record=sys.argv[2])
    models = {name: (network(keras), option(), Epochs()) for name, option in options.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(EPOCHS):
        for name, (model, follow, epochs) in models.items():
            model.fit(x, y, batch_size=32, verbose=0, shuffle=False, callbacks=[follow, epochs])
            seconds[name].append(epochs.last)
    lowest = {name: 1e6 * min(values) / UPDATES for name, values in seconds.items()}
    print(f"{'Follow':36}{lowest['Follow']:8.0f} us an update")
    for name, value in list(lowest.items())[1:]:
        print(f"{name:36}{value - lowest['Follow']:+8.0f}")


def network(keras: Any) -> Any:
    """A network whose update takes about half a millisecond."""
    layers = [keras.Input((64,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


if __name__ == "__main__":
    main()
