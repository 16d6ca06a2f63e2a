"""Range tests by accuracy as experiments: Figure 3 of the CLR paper."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

import learnrate as lr
from benchmarks.papers import records
from benchmarks.papers.data import ImageBatches, cifar10
from benchmarks.papers.inputs import Inputs
from benchmarks.papers.policies import Scale
from benchmarks.papers.recipes import cifar10_full
from learnrate.records import write_atomically
from learnrate.study.running.environment import environment

HELD_OUT = 10
"""Batches of 500 test images that measure the accuracy each time."""


@dataclass(frozen=True)
class RangeTest:
    """An LR range test by accuracy.

    Attributes:
        title: What it shows.
        source: The paper, with the figure.
        recipe: Creates what is trained.
        inputs: The data set, whose test images measure.
        high: LR at the end; it rises from 0.
        epochs: Length at full scale.
        seeds: Number of tests.
        paper: The bounds that the paper reads off its figure.
    """

    title: str
    source: str
    recipe: Callable[[], "lr.torch.Recipe"]
    inputs: Inputs
    high: float
    epochs: int
    seeds: int
    paper: tuple[float, float]


RANGE_TESTS: dict[str, RangeTest] = {
    "clr-figure-3": RangeTest(
        title="LR range test: accuracy against an LR that rises linearly over 8 epochs",
        source="Smith, Cyclical Learning Rates for Training Neural Networks, arXiv 1506.01186, Figure 3",
        recipe=cifar10_full,
        inputs=Inputs(cifar10),
        high=0.02,
        epochs=8,
        seeds=3,
        paper=(0.001, 0.006),
    )
}


class ShortEpochs:
    """The first batches of each epoch."""

    def __init__(self, batches: ImageBatches, length: int) -> None:
        self._batches, self._length = batches, length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return islice(iter(self._batches), self._length)

    def state_dict(self) -> dict[str, Any]:
        """Where the batches are."""
        return self._batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._batches.load_state_dict(state)


def run(name: str, scale: float, seeds: int | None, folder: Path, say: Callable[[str], object]) -> dict[str, Any]:
    """Make the tests that are not in the record yet, one after the other, and write the record after each.

    Args:
        name: Of the test in `RANGE_TESTS`.
        scale: Factor on its length.
        seeds: Number of tests; None for that of the experiment.
        folder: Of the record.
        say: Called with a line after each test.

    Raises:
        MissingDataError: if the data is not there.
    """
    test, path = RANGE_TESTS[name], records.path_of(name, scale, folder)
    record = json.loads(path.read_text()) if path.exists() else {"experiment": name, "scale": scale, "tests": []}
    for seed in range(seeds or test.seeds):
        if any(result["seed"] == seed for result in record["tests"]):
            continue
        curve = _curve(test, scale, seed)
        bounds = curve.bounds(lr.rules.accuracy)
        record["tests"].append({"seed": seed, **_points(curve), **_read_off(bounds)})
        record["environment"] = {name: value for name, value in environment().items() if name != "host"}
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(record) + "\n").encode())
        say(f"{name}, seed {seed}: {bounds}")
    return record


def _curve(test: RangeTest, scale: float, seed: int) -> lr.Curve:
    model, optimizer, batches = test.recipe().build(seed)
    shorter = ShortEpochs(batches, Scale(scale).updates(len(batches)))
    held_out = list(islice(test.inputs.test_batches(500), HELD_OUT))
    loss = test.recipe().loss
    return lr.torch.accuracy_test(
        *(model, optimizer, shorter, loss, held_out),
        low=0.0,
        high=test.high,
        epochs=test.epochs,
        held_out_batches=HELD_OUT,
        restore=False,
    )


def _points(curve: lr.Curve) -> dict[str, list[float]]:
    measured = curve.of("accuracy").finite()
    lrs, accuracies = ([float(value) for value in values] for values in (measured.lrs, measured.losses))
    return {"lrs": [round(rate, 7) for rate in lrs], "accuracies": [round(100 * value, 3) for value in accuracies]}


def _read_off(bounds: "lr.Bounds | lr.NoAnswer") -> dict[str, Any]:
    if isinstance(bounds, lr.Bounds):
        return {"base_lr": bounds.base_lr, "max_lr": bounds.max_lr, "reason": bounds.reason}
    return {"base_lr": None, "max_lr": None, "reason": str(bounds)}
