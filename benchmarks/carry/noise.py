"""The noise scale of the gradient of a base set-up, where the tuner measures it: at the end of a trial."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch import Tensor

from benchmarks.carry.problems import PROBLEMS
from benchmarks.carry.setups import SetUp
from benchmarks.carry.training import UPDATES, built, stream_of, trained
from learnrate.torch.training.noise_scale import noise_scale
from learnrate.trainable import NOISE_BATCHES

TRIALS = {"an eighth": 8, "a quarter": 4, "the whole": 1}
"""Lengths of the training after which it is measured, as parts of a run."""

MANY = 100
"""Batches of a measurement that is much more exact than that of the tuner."""


def noise_scales(setup: SetUp, max_lr: float, seed: int) -> dict[str, float | None]:
    """The noise scales in examples after trainings of several lengths, from as many batches as the tuner takes, and more."""
    scales: dict[str, float | None] = {}
    for name, parts in TRIALS.items():
        model, optimizer = built(setup, seed)
        stream = stream_of(setup)
        trained(setup, model, optimizer, max_lr, round(UPDATES / parts), stream)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for number in (NOISE_BATCHES, MANY):
            batches: Iterator[Any] = islice(stream, number)
            scales[f"{name}, {number} batches"] = noise_scale(parameters, batches, _loss(setup, model))
    return scales


def _loss(setup: SetUp, model: Any) -> Any:
    criterion = PROBLEMS[setup.problem].criterion

    def loss(batch: Any) -> Tensor:
        x, y = batch
        return criterion(model(x), y)

    return loss
