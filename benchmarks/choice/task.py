"""What a task is, and how its models are measured."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.choice.data import Split

Measure = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Task:
    """All that a training is but its learning rate.

    Attributes:
        about: Model, data and optimizer, in a few words.
        updates: Length of a training.
        model: Makes a new model from the global random numbers.
        optimizer: Makes its optimizer, with the LR that is usual for it.
        batches: Makes what batches come from, in an order drawn from the global random numbers.
        criterion: Of output and target.
        validate: From a model to its metric on validation data, in points: 100 is perfect. It chooses.
        test: The same on test data. It measures, and chooses nothing.
        metric: What is measured.
        clip_norm: Most norm of the gradients.
    """

    about: str
    updates: int
    model: Callable[[], nn.Module]
    optimizer: Callable[[nn.Module], Optimizer]
    batches: Callable[[], Iterable[Any]]
    criterion: Callable[..., Tensor]
    validate: Measure
    test: Measure
    metric: str = "accuracy"
    clip_norm: float | None = None


def measures(split: Split, how: Callable[[Tensor, Tensor], float]) -> dict[str, Measure]:
    """`validate` and `test` of a task, as keywords."""
    return {
        "validate": lambda model: how(outputs(model, split.x_validation), split.y_validation),
        "test": lambda model: how(outputs(model, split.x_test), split.y_test),
    }


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """What a model says, in evaluation mode, a thousand rows at a time."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(rows) for rows in x.split(1000)])


def accuracy(output: Tensor, target: Tensor) -> float:
    """Points: right answers in a hundred."""
    return 100 * float((output.argmax(-1) == target).double().mean())


def explained(output: Tensor, target: Tensor) -> float:
    """Points: percent of the variance that is explained, R2; not below -100, where a diverged model would decide a mean."""
    left = (output - target).double().square().mean() / (target.double() - target.double().mean(0)).square().mean()
    return max(-100.0, 100 * (1 - float(left))) if bool(torch.isfinite(left)) else -100.0
