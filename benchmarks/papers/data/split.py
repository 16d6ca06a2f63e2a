"""Images in memory, and their two subsets: one that trains, one that measures."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Subset:
    """Images with their labels.

    Attributes:
        images: uint8, (number, channels, height, width).
        labels: int64, (number,).
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            shape = tuple(self.images.shape)
            raise ValueError(
                f"images must be uint8 of (number, channels, height, width), received {self.images.dtype} {shape}"
            )
        if len(self.images) != len(self.labels):
            raise ValueError(f"each image must have a label, received {len(self.images)} images, {len(self.labels)} labels")

    @classmethod
    def of(cls, images: NDArray[np.uint8], labels: NDArray[np.generic]) -> "Subset":
        """A subset from arrays."""
        return cls(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))

    def to(self, device: torch.device | str) -> "Subset":
        """The subset on a device; itself if it is there."""
        return Subset(self.images.to(device), self.labels.to(device))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> "Subset":
        return Subset(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class Split:
    """A data set.

    Attributes:
        train: The images that train.
        test: The images on which the accuracy is measured.
        classes: Number of classes.
        source: Name of the form of the data on disk; it is part of every result.
    """

    train: Subset
    test: Subset
    classes: int
    source: str
