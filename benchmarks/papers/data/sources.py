"""Which data there is in the folder of data sets, and in which form."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.choice.data import FOLDER, MissingDataError
from benchmarks.papers.data import binary, dct, pickles
from benchmarks.papers.data.split import Split, Subset

__all__ = ["MissingDataError", "cifar10", "cifar100", "folder", "mnist"]

Form = tuple[str, Callable[[Path], Split]]
"""Name of the file or folder, and what reads it."""


def folder() -> Path:
    """The folder of data sets: LEARNRATE_DATA, or `shared/data` beside the project."""
    return Path(os.environ.get("LEARNRATE_DATA", FOLDER))


def cifar10() -> Split:
    """CIFAR-10: the original, binary or pickled, or else its JPEG-compressed copy.

    Raises:
        MissingDataError: if none is there.
    """
    return _first(folder(), "CIFAR-10", CIFAR10)


def cifar100() -> Split:
    """CIFAR-100, binary or pickled, with fine labels, or else 100 classes of Tiny-ImageNet at 32 x 32 pixels.

    Raises:
        MissingDataError: if none is there.
    """
    return _first(folder(), "CIFAR-100", CIFAR100)


def mnist() -> Split:
    """MNIST from `mnist.npz`.

    Raises:
        MissingDataError: if it is not there.
    """
    return _first(folder(), "MNIST", MNIST)


def _npz(path: Path) -> Split:
    with np.load(path) as arrays:
        train, test = (Subset.of(arrays[f"x_{part}"][:, None], arrays[f"y_{part}"]) for part in ("train", "test"))
    return Split(train, test, 10, "original")


def _jpeg_copy(path: Path) -> Split:
    train, test = (Subset.of(*dct.decoded(path, part)) for part in ("train", "test"))
    return Split(train, test, 10, "JPEG copy of quality 75")


def _tiny_imagenet(path: Path) -> Split:
    train, test = (Subset.of(*_half_size(*dct.decoded(path, part))) for part in ("train", "test"))
    return Split(train, test, 100, "100 classes of Tiny-ImageNet at 32 x 32, JPEG of quality 75")


def _half_size(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images of 64 x 64 pixels at 32 x 32: the means of 2 x 2 pixels."""
    blocks = images.reshape(len(images), 3, 32, 2, 32, 2)
    return ((blocks.sum((3, 5), dtype=np.uint16) + 2) // 4).astype(np.uint8), labels


CIFAR10: Sequence[Form] = (
    ("cifar-10-batches-bin", binary.cifar10),
    ("cifar-10-batches-py", pickles.cifar10),
    ("cifar10_dct.npz", _jpeg_copy),
)

CIFAR100: Sequence[Form] = (
    ("cifar-100-binary", binary.cifar100),
    ("cifar-100-python", pickles.cifar100),
    ("tiny_imagenet100_dct.npz", _tiny_imagenet),
)

MNIST: Sequence[Form] = (("mnist.npz", _npz),)


@cache
def _first(folder: Path, name: str, forms: Sequence[Form]) -> Split:
    for entry, read in forms:
        if (folder / entry).exists():
            return read(folder / entry)
    entries = ", ".join(entry for entry, _ in forms)
    raise MissingDataError(f"{name} is not in {folder} ({entries}): set LEARNRATE_DATA to the folder of data sets")
