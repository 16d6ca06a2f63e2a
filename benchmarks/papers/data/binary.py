"""CIFAR-10 and CIFAR-100 in their binary form, as their page describes it: https://www.cs.toronto.edu/~kriz/cifar.html.

A record is the label, for CIFAR-100 the coarse and then the fine label, and 3,072 bytes: the red, the green and the blue
plane of 32 x 32 pixels, row by row.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.papers.data.split import Split, Subset

PIXELS = 3 * 32 * 32


def cifar10(folder: Path) -> Split:
    """CIFAR-10 from the folder `cifar-10-batches-bin`."""
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    return Split(_read(folder, names, 1), _read(folder, ["test_batch.bin"], 1), 10, "original, binary")


def cifar100(folder: Path) -> Split:
    """CIFAR-100 with its fine labels from the folder `cifar-100-binary`."""
    return Split(_read(folder, ["train.bin"], 2), _read(folder, ["test.bin"], 2), 100, "original, binary")


def _read(folder: Path, names: Sequence[str], labels: int) -> Subset:
    records = [_records(folder / name, labels + PIXELS) for name in names]
    table = np.concatenate(records)
    return Subset.of(table[:, labels:].reshape(-1, 3, 32, 32), table[:, labels - 1])


def _records(path: Path, size: int) -> np.ndarray:
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % size:
        raise ValueError(f"{path} must hold whole records of {size} bytes, it holds {len(content)}: is it cut off?")
    return content.reshape(-1, size)
