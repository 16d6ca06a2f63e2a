"""Real data as tensors. Each loader takes the folder of data sets; what scikit-learn ships needs none."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Beside the project, unless LEARNRATE_DATA says otherwise."""

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "choice"
"""What is slow to decode or to train is kept here; git ignores it."""


class MissingDataError(Exception):
    """A data set that is not in the folder."""


@dataclass(frozen=True)
class Split:
    """Inputs and targets of the three parts of a data set: what trains, what chooses, what measures."""

    x: Tensor
    y: Tensor
    x_validation: Tensor
    y_validation: Tensor
    x_test: Tensor
    y_test: Tensor


@dataclass(frozen=True)
class Shuffled:
    """Batches in an order drawn anew for each pass, from the global random numbers; the last, smaller one is left out."""

    tensors: tuple[Tensor, ...]
    size: int

    def __len__(self) -> int:
        return len(self.tensors[0]) // self.size

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = torch.randperm(len(self.tensors[0]))
        for rows in order[: len(self) * self.size].split(self.size):
            yield tuple(tensor[rows] for tensor in self.tensors)


@dataclass(frozen=True)
class Windows:
    """Stretches of a running text and, as targets, what follows each of their characters."""

    text: Tensor
    length: int
    size: int

    def __len__(self) -> int:
        return (len(self.text) - 1) // (self.length * self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(len(self)):
            starts = torch.randint(len(self.text) - self.length, (self.size, 1))
            places = starts + torch.arange(self.length)
            yield self.text[places], self.text[places + 1]


def file(name: str) -> Path:
    """The path of a data set.

    Raises:
        MissingDataError: if it is not there.
    """
    path = Path(os.environ.get("LEARNRATE_DATA", FOLDER)) / name
    if not path.is_file():
        raise MissingDataError(f"{name} is not in {path.parent}: set LEARNRATE_DATA to the folder of data sets")
    return path


def parted(x: Tensor, y: Tensor, train: int, validation: int, test: int, seed: int = 0) -> Split:
    """Three parts, drawn at random."""
    rows = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    a, b, c = rows[:train], rows[train : train + validation], rows[train + validation : train + validation + test]
    return Split(x[a], y[a], x[b], y[b], x[c], y[c])


def standardised(split: Split) -> Split:
    """Inputs, and real-valued targets, with the training part's mean 0 and deviation 1; constant columns are left out."""
    mean, deviation = split.x.mean(0), split.x.std(0)
    kept = deviation > 1e-6 * (mean.abs() + 1e-6)

    def scaled(x: Tensor) -> Tensor:
        return ((x - mean) / deviation)[:, kept]

    y, y_validation, y_test = split.y, split.y_validation, split.y_test
    if y.is_floating_point():
        middle, scale = y.mean(0), y.std(0)
        y, y_validation, y_test = ((one - middle) / scale for one in (y, y_validation, y_test))
    return Split(scaled(split.x), y, scaled(split.x_validation), y_validation, scaled(split.x_test), y_test)


@cache
def digits() -> Split:
    """1,797 handwritten digits of 8 x 8 pixels, from scikit-learn."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32).unsqueeze(1) / 16
    return parted(images, torch.tensor(found.target), train=800, validation=300, test=697)


@cache
def grey_images(name: str, train: int, validation: int = 1000, test: int = 5000) -> Split:
    """MNIST or Fashion-MNIST: images of 1 x 28 x 28 about mean 0 and deviation 1."""
    with np.load(file(f"{name}.npz")) as held:
        x = held["x_train"][: train + validation], held["x_test"][:test]
        y = held["y_train"][: train + validation], held["y_test"][:test]
    images, test_images = ((torch.from_numpy(one).float().unsqueeze(1) / 255 - 0.3) / 0.33 for one in x)
    labels, test_labels = (torch.from_numpy(one).long() for one in y)
    return Split(
        images[:train], labels[:train], images[train:], labels[train:], test_images, test_labels
    )  # fmt: skip


@cache
def cifar(train: int, validation: int = 1000, test: int = 4000) -> Split:
    """CIFAR-10: colour images of 3 x 32 x 32 about mean 0."""
    x, y = decoded("train", train + validation)
    x_test, y_test = decoded("test", test)
    return Split(x[:train], y[:train], x[train:], y[train:], x_test, y_test)


def decoded(part: str, rows: int) -> tuple[Tensor, Tensor]:
    """The first rows of a part of CIFAR-10, decoded once and kept."""
    kept = CACHE / f"cifar10_{part}_{rows}.npz"
    if not kept.is_file():
        import importlib.util

        path = file("load_dct.py")
        spec = importlib.util.spec_from_file_location("load_dct", path)
        assert spec is not None and spec.loader is not None  # noqa: PT018
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        images, labels = module.load_dct(file("cifar10_dct.npz"), part, np.arange(rows))
        write_npz(kept, images=images, labels=labels)
    with np.load(kept) as held:
        images = torch.from_numpy(held["images"]).permute(0, 3, 1, 2).float()
        return (images / 255 - 0.47) / 0.25, torch.from_numpy(held["labels"]).long()


def write_npz(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write arrays whole or not at all: two processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f"{path.name}.{os.getpid()}.npz")
    np.savez(begun, **arrays)  # type: ignore[arg-type]
    begun.replace(path)


@cache
def shakespeare() -> tuple[Tensor, Tensor, Tensor]:
    """The characters of tinyshakespeare as numbers below 65: train, validation, test, cut by position."""
    text = file("tinyshakespeare.txt").read_text(encoding="ascii")
    characters = {character: number for number, character in enumerate(sorted(set(text)))}
    numbers = torch.tensor([characters[character] for character in text])
    return numbers[:950_000], numbers[950_000:1_003_854], numbers[1_003_854:]


@cache
def reviews(name: str, words: int, length: int, train: int, validation: int = 1000, test: int = 5000) -> Split:
    """SST-2 or IMDB: the first words of each text as numbers, 0 for padding and 1 for words beyond the commonest."""
    from collections import Counter

    with np.load(file(f"{name}.npz")) as held:
        parts = {
            part: (held[f"text_{part}"].tobytes(), held[f"off_{part}"], held[f"y_{part}"]) for part in ("train", "test")
        }
    rows = np.random.default_rng(0).permutation(len(parts["train"][2]))[: train + validation]
    texts = {"train": _texts(*parts["train"][:2], rows), "test": _texts(*parts["test"][:2], None)}
    common = Counter(word for text in texts["train"][:train] for word in text[:length])
    numbers = {word: number for number, (word, _) in enumerate(common.most_common(words - 2), start=2)}

    def table(texts: list[list[str]]) -> Tensor:
        found = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in enumerate(texts):
            found[row, : len(text[:length])] = torch.tensor([numbers.get(word, 1) for word in text[:length]])
        return found

    x, x_test = table(texts["train"]), table(texts["test"][:test])
    y, y_test = torch.from_numpy(parts["train"][2][rows]).long(), torch.from_numpy(parts["test"][2][:test]).long()
    return Split(x[:train], y[:train], x[train:], y[train:], x_test, y_test)


def _texts(held: bytes, ends: NDArray[np.int64], rows: NDArray[np.int64] | None) -> list[list[str]]:
    chosen = range(len(ends) - 1) if rows is None else rows
    return [held[ends[row] : ends[row + 1]].decode().lower().replace("<br />", " ").split() for row in chosen]


@cache
def adult() -> Split:
    """Census income: 108 columns, numbers and indicators."""
    with np.load(file("adult.npz")) as held:
        x, y = torch.from_numpy(held["x_train"]), torch.from_numpy(held["y_train"]).long()
        x_test, y_test = torch.from_numpy(held["x_test"]), torch.from_numpy(held["y_test"]).long()
    return standardised(Split(x[:20_000], y[:20_000], x[20_000:22_000], y[20_000:22_000], x_test, y_test))


@cache
def california() -> Split:
    """House values in California."""
    with np.load(file("california_housing.npz")) as held:
        x, y = torch.from_numpy(held["x"]), torch.from_numpy(held["y"]).unsqueeze(1)
    return standardised(parted(x, y, train=14_000, validation=1640, test=5000))


@cache
def uci(name: str, train: int, validation: int, test: int) -> Split:
    """One of the UCI regression sets."""
    with np.load(file("uci_regression.npz")) as held:
        x, y = torch.from_numpy(held[f"{name}_x"]), torch.from_numpy(held[f"{name}_y"]).reshape(-1, 1)
    return standardised(parted(x, y, train, validation, test))
