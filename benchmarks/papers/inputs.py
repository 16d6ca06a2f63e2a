"""What trains and measures a net of the papers: batches of a data set, as the net receives them, and accuracies on it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.papers.data import ImageBatches, Split, Subset, folder
from benchmarks.papers.data.batches import channel_statistics, crop_and_flip, mean_image, prepared

Source = Callable[[], Split]
"""A function of `benchmarks.papers.data`: it can be pickled, and loads the data in the process that calls it."""

Part = Literal["train", "validation", "test"]

Centre = Literal["mean image", "channels", "none"]
"""How pixels are scaled: minus the mean image, as in Caffe; each channel to mean 0 and deviation 1; or divided by 256."""


@dataclass(frozen=True)
class Inputs:
    """A data set as a net receives it.

    Attributes:
        source: The data set.
        centre: How pixels are scaled, with statistics of the training images.
        augment: Whether random crops and mirror images train.
        validation: Images at the end of the training set that do not train.
        device: Where the images are.
    """

    source: Source
    centre: Centre = "mean image"
    augment: bool = False
    validation: int = 0
    device: str = "cpu"

    def batches(self, size: int) -> ImageBatches:
        """Training batches, with a seed from the global random numbers."""
        seed, (mean, deviation) = int(torch.randint(2**62, ())), _statistics(self, folder())
        train = self._subset("train")
        return ImageBatches(train, size, seed, mean, deviation, crop_and_flip if self.augment else None)

    def validation_accuracy(self, model: nn.Module) -> float:
        """Accuracy in percent on the images that do not train."""
        return accuracy(model, self._subset("validation"), self._prepare)

    def test_accuracy(self, model: nn.Module) -> float:
        """Accuracy in percent on the test images."""
        return accuracy(model, self._subset("test"), self._prepare)

    def test_batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The test images as the net receives them, in their order."""
        test = self._subset("test")
        for images, labels in zip(test.images.split(size), test.labels.split(size), strict=True):
            yield self._prepare(images), labels

    def _prepare(self, images: Tensor) -> Tensor:
        return prepared(images, *_statistics(self, folder()))

    def _subset(self, part: Part) -> Subset:
        return _on_device(self, part, folder())


def cut(data: Split, validation: int) -> tuple[Subset, Subset]:
    """The training set without, and then only, the last `validation` images of it."""
    if not 0 <= validation < len(data.train):
        raise ValueError(f"validation must be from 0 to below {len(data.train)}, received {validation}")
    trained = len(data.train) - validation
    return data.train[:trained], data.train[trained:]


def accuracy(model: nn.Module, subset: Subset, prepare: Callable[[Tensor], Tensor], at_once: int = 500) -> float:
    """Accuracy in percent, in evaluation mode."""
    model.eval()
    right = torch.zeros((), dtype=torch.long, device=subset.images.device)
    with torch.no_grad():
        for images, labels in zip(subset.images.split(at_once), subset.labels.split(at_once), strict=True):
            right += (model(prepare(images)).argmax(1) == labels).sum()
    return 100 * int(right) / len(subset)


# The folder is a part of the keys of these caches, because the next call may use another folder of data sets.


@cache
def _on_device(inputs: Inputs, part: Part, folder: Path) -> Subset:
    data = inputs.source()
    if part == "test":
        return data.test.to(inputs.device)
    return cut(data, inputs.validation)[part == "validation"].to(inputs.device)


@cache
def _statistics(inputs: Inputs, folder: Path) -> tuple[Tensor, Tensor | float]:
    """What is subtracted, and what is divided by."""
    if inputs.centre == "none":
        return torch.zeros((), device=inputs.device), 256.0
    train, _ = cut(inputs.source(), inputs.validation)
    if inputs.centre == "mean image":
        return mean_image(train).to(inputs.device), 1.0
    mean, deviation = channel_statistics(train)
    return mean.to(inputs.device), deviation.to(inputs.device)
