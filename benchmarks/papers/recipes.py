"""The experiments of the papers as recipes: everything about a training except its learning rate.

The recipes can be pickled, and are small: what they refer to loads the data in the process that trains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

import learnrate as lr
from benchmarks.papers.data import ImageBatches, Split, Subset, cifar10
from benchmarks.papers.data.batches import mean_image, prepared
from benchmarks.papers.nets.caffe_sgd import CaffeSGD
from benchmarks.papers.nets.cifar10_full import Cifar10Full, groups

Momentum = Literal["caffe", "torch"]

OPTIMIZERS: dict[Momentum, type[SGD]] = {"caffe": CaffeSGD, "torch": SGD}
"""SGD by where the LR is: inside the velocity, or outside."""


def cifar10_full(
    momentum: Momentum = "caffe",
    *,
    optimizer: Callable[[list[dict[str, Any]]], Optimizer] | None = None,
    validation: int = 0,
    batch: int = 100,
    updates: int = 70_000,
) -> "lr.torch.Recipe":
    """Caffe's cifar10_full on CIFAR-10, as in Tables 1 to 3 of the CLR paper: mean image, no augmentation.

    Args:
        momentum: Which SGD: Caffe's, or torch's.
        optimizer: Another optimizer instead: a function from the parameter groups, with Caffe's multipliers in them.
        validation: Images at the end of the training set that do not train, but decide between trials; the papers have none.
        batch: Images in a batch.
        updates: Length of a training.

    Raises:
        MissingDataError: if the data is not there.
    """
    build = optimizer or partial(OPTIMIZERS[momentum], lr=0.001, momentum=0.9)
    centred = CaffeInputs(validation)
    return lr.torch.Recipe(
        model=Cifar10Full,
        optimizer=partial(_on_groups, build),
        batches=partial(centred.batches, batch),
        loss=functional.cross_entropy,
        evaluate=centred.validation_accuracy if validation else None,
        test=centred.test_accuracy,
        updates=updates,
        name=f"cifar10_full ({cifar10().source})",
    )


def _on_groups(build: Callable[[list[dict[str, Any]]], Optimizer], model: Cifar10Full) -> Optimizer:
    return build(groups(model))


@dataclass(frozen=True)
class CaffeInputs:
    """CIFAR-10 minus the mean image of what trains.

    Attributes:
        validation: Images at the end of the training set that do not train.
    """

    validation: int = 0

    def batches(self, size: int) -> ImageBatches:
        """Training batches, with a seed from the global random numbers."""
        train, _ = cut(cifar10(), self.validation)
        return ImageBatches(train, size, drawn_seed(), _mean_image(self.validation))

    def validation_accuracy(self, model: nn.Module) -> float:
        """Accuracy in percent on the images that do not train."""
        return accuracy(model, cut(cifar10(), self.validation)[1], self._prepare)

    def test_accuracy(self, model: nn.Module) -> float:
        """Accuracy in percent on the 10,000 test images."""
        return accuracy(model, cifar10().test, self._prepare)

    def _prepare(self, images: Tensor) -> Tensor:
        return prepared(images, _mean_image(self.validation))


@cache
def _mean_image(validation: int) -> Tensor:
    return mean_image(cut(cifar10(), validation)[0])


def cut(data: Split, validation: int) -> tuple[Subset, Subset]:
    """The training set without, and then only, the last `validation` images of it."""
    if not 0 <= validation < len(data.train):
        raise ValueError(f"validation must be from 0 to below {len(data.train)}, received {validation}")
    trained = len(data.train) - validation
    return data.train[:trained], data.train[trained:]


def drawn_seed() -> int:
    """A seed from torch's random numbers, which a recipe seeds."""
    return int(torch.randint(2**62, ()))


def accuracy(model: nn.Module, subset: Subset, prepare: Callable[[Tensor], Tensor], at_once: int = 500) -> float:
    """Accuracy in percent, in evaluation mode."""
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in zip(subset.images.split(at_once), subset.labels.split(at_once), strict=True):
            right += int((model(prepare(images)).argmax(1) == labels).sum())
    return 100 * right / len(subset)
