"""ImageNet's format: JPEG files in class folders, or in tar shards. What is read is the same, and so are the batches."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.papers.data.sources import MissingDataError, folder

STORED_SIDE = 256
"""Caffe stores all images at 256 x 256, whatever their shape (examples/imagenet/create_imagenet.sh, RESIZE)."""

MEAN = (123.0, 117.0, 104.0)
"""Mean of red, green and blue, as bvlc_googlenet subtracts it."""


@dataclass(frozen=True)
class View:
    """What a net sees of an image.

    Attributes:
        side: Side of the crop in pixels.
        random: Whether the crop is anywhere and mirrored in half of the cases, as in training; otherwise it is the centre.
    """

    side: int = 224
    random: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.side <= STORED_SIDE:
            raise ValueError(f"side must be from 1 to {STORED_SIDE}, received {self.side}")

    def of(self, pixels: NDArray[np.uint8], *seed: int) -> Tensor:
        """The crop about mean 0, (3, side, side); a random one follows from the seed alone, whichever worker makes it."""
        space = STORED_SIDE - self.side
        top, left, mirrored = space // 2, space // 2, 0
        if self.random:
            draws = np.random.default_rng(seed)
            (top, left), mirrored = draws.integers(space + 1, size=2), draws.integers(2)
        crop = pixels[top : top + self.side, left : left + self.side]
        crop = crop[:, ::-1] if mirrored else crop
        return torch.from_numpy((crop - np.array(MEAN, np.float32)).transpose(2, 0, 1).copy())


def decoded(content: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels of an image file, (256, 256, 3), red, green and blue.

    Raises:
        MissingDataError: if Pillow is not installed.
        ValueError: if the file holds no image.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingDataError("ImageNet's JPEG files need Pillow: install pillow") from None
    try:
        image = Image.open(io.BytesIO(content)).convert("RGB")  # some files are grey, or in CMYK
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{name} must hold an image: {error}") from error
    return np.asarray(image.resize((STORED_SIDE, STORED_SIDE), Image.Resampling.BILINEAR))


class Images(Protocol):
    """Images on disk, from which a loader is made for each epoch."""

    def loader(self, epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, without the first `skip`."""
        ...


class EpochBatches:
    """The batches of one epoch after the other, which another process can take up where one stopped.

    Args:
        images: Where they come from.
    """

    def __init__(self, images: Images) -> None:
        self._images = images
        self._epoch, self._position, self._continues = 0, 0, False

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        skip = self._position if self._continues else 0
        if self._position and not self._continues:  # the last iteration was left in mid-epoch
            self._epoch, self._position = self._epoch + 1, 0
        self._continues = False
        for batch in self._images.loader(self._epoch, skip):
            self._position += 1
            yield batch
        ended_at_once = skip == self._position > 0
        self._epoch, self._position = self._epoch + 1, 0
        if ended_at_once:  # the state was that after the last batch of an epoch
            yield from self

    def state_dict(self) -> dict[str, Any]:
        """Epoch, and batches of it that were given out."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there with the next iteration."""
        self._epoch, self._position = state["epoch"], state["position"]
        self._continues = self._position > 0


def imagenet(part: str, view: View, size: int, seed: int = 0, workers: int = 0) -> EpochBatches:
    """The batches of a part, "train" or "val": from the class folders `imagenet/<part>`, or `imagenet/<part>-*.tar`.

    Raises:
        MissingDataError: if there is neither.
    """
    from benchmarks.papers.data import class_folders, tar_shards

    place = folder() / "imagenet"
    if (place / part).is_dir():
        return EpochBatches(class_folders.ClassFolders(place / part, view, size, seed, workers))
    shards: list[Path] = sorted(place.glob(f"{part}-*.tar"))
    if shards:
        return EpochBatches(tar_shards.TarShards(tuple(shards), view, size, seed, workers))
    raise MissingDataError(
        f"ImageNet ({part}/ or {part}-*.tar) is not in {place}: set LEARNRATE_DATA to the folder above it"
    )
