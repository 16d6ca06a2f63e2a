"""Batches of images in memory, in an order of their own seed, which another process can take up where one stopped."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.papers.data.split import Subset

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""From a batch of images, as the net receives them, to random views of them."""


class ImageBatches:
    """Batches in an order drawn again for each epoch; the last, smaller batch of an epoch is left out.

    All random numbers come from one generator. `state_dict` says where the batches are; after `load_state_dict` the next
    iteration goes on with the batch that would have followed, bit for bit. Every other iteration starts an epoch.

    Args:
        subset: Images and labels, on the device where they train; the random numbers are the same on all devices.
        size: Images in a batch.
        seed: Of the order and the augmentation.
        mean: What is subtracted from the pixels (0 to 255): a mean image, or a mean for each channel, (channels, 1, 1).
        deviation: What they are divided by then.
        augment: Random views of a batch.
    """

    def __init__(
        self,
        subset: Subset,
        size: int,
        seed: int,
        mean: Tensor,
        deviation: Tensor | float = 1.0,
        augment: Augment | None = None,
    ) -> None:
        if not 1 <= size <= len(subset):
            raise ValueError(f"size must be from 1 to the number of images, {len(subset)}, received {size}")
        self._subset, self._size = subset, size
        self._mean, self._deviation, self._augment = mean, deviation, augment
        self._generator = torch.Generator().manual_seed(seed)
        self._epoch, self._position = 0, 0
        self._epoch_start = self._generator.get_state()
        self._continues = False

    def __len__(self) -> int:
        return len(self._subset) // self._size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        present = self._generator.get_state()
        if self._continues:
            self._continues = False
            self._generator.set_state(self._epoch_start)
            order = self._order()
            self._generator.set_state(present)
        else:
            self._epoch_start, self._position = present, 0
            order = self._order()
        for number in range(self._position, len(self)):
            rows = order[number * self._size : (number + 1) * self._size].to(self._subset.images.device)
            batch = self._images(rows), self._subset.labels[rows]
            self._position = number + 1
            if self._position == len(self):  # before the batch is given out: a state saved after it begins the next epoch
                self._epoch += 1
                self._epoch_start, self._position = self._generator.get_state(), 0
            yield batch

    def orders(self) -> Iterator[Tensor]:
        """The rows of the images in each batch, an epoch after the other, as iterations give them from here on.

        Only without augmentation, which draws from the same random numbers.

        Yields:
            (batches, images in a batch), int64.
        """
        if self._augment is not None:
            raise ValueError("orders must be of batches without augmentation, these have it")
        while True:
            yield self._order()[: len(self) * self._size].reshape(len(self), self._size)

    def state_dict(self) -> dict[str, Any]:
        """Where the batches are: epoch, position in it, and the generator's states at its start and now."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "epoch_start": self._epoch_start.clone(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, with the next iteration, where the batches were when `state_dict` returned this."""
        self._epoch, self._position = state["epoch"], state["position"]
        self._epoch_start = state["epoch_start"].clone()
        self._generator.set_state(state["generator"])
        self._continues = self._position > 0

    def _order(self) -> Tensor:
        return torch.randperm(len(self._subset), generator=self._generator)

    def _images(self, rows: Tensor) -> Tensor:
        images = prepared(self._subset.images[rows], self._mean, self._deviation)
        return images if self._augment is None else self._augment(images, self._generator)


def prepared(images: Tensor, mean: Tensor, deviation: Tensor | float = 1.0) -> Tensor:
    """Images as a net receives them: float32, about mean 0."""
    centred = images - mean
    return centred if isinstance(deviation, float) and deviation == 1.0 else centred / deviation


def mean_image(subset: Subset) -> Tensor:
    """The mean of all images, as Caffe subtracts it: float32, (channels, height, width)."""
    return torch.stack([part.double().sum(0) for part in subset.images.split(5000)]).sum(0).div(len(subset)).float()


def channel_statistics(subset: Subset) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the pixels of each channel: float32, (channels, 1, 1)."""
    sums = torch.zeros(2, subset.images.shape[1], dtype=torch.float64)
    for part in subset.images.split(5000):
        pixels = part.double()
        sums += torch.stack([pixels.sum((0, 2, 3)), pixels.square().sum((0, 2, 3))])
    mean, square = sums / subset.images[:, 0].numel()
    return mean.float()[:, None, None], (square - mean.square()).sqrt().float()[:, None, None]


def crop_and_flip(images: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """A random crop of each image with a border of zeros, and its mirror image in half of the cases (He et al. 2015)."""
    number, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, [padding] * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (number, channels, top, left, height, width)
    top, left = torch.randint(2 * padding + 1, (2, number), generator=generator).to(images.device)
    crops = windows[torch.arange(number, device=images.device), :, top, left]
    mirrored = (torch.rand(number, generator=generator) < 0.5).to(images.device)
    return torch.where(mirrored[:, None, None, None], crops.flip(-1), crops)
