"""Images in a folder for each class, as ImageNet is usually laid out: `train/n01440764/n01440764_10026.JPEG`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.papers.data.imagenet import View, decoded

SUFFIXES = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class ClassFolders:
    """The images of all class folders of a folder; classes are numbered in the order of their names.

    Attributes:
        folder: The folder of the class folders.
        view: What is seen of an image. A random view goes with a random order, and the last, smaller batch is left out.
        size: Images in a batch.
        seed: Of the order and the views.
        workers: Processes that decode; 0 for this one.
    """

    folder: Path
    view: View
    size: int
    seed: int = 0
    workers: int = 0

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir())

    @cached_property
    def files(self) -> list[tuple[Path, int]]:
        """Each image with the number of its class.

        Raises:
            ValueError: if there is none, or fewer than a batch of training holds.
        """
        files = [
            (path, number)
            for number, name in enumerate(self.classes)
            for path in sorted((self.folder / name).iterdir())
            if path.suffix.lower() in SUFFIXES
        ]
        if len(files) < (self.size if self.view.random else 1):
            raise ValueError(
                f"{self.folder} must hold a batch of {self.size} images in class folders, it holds {len(files)}"
            )
        return files

    def loader(self, epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Images.loader`."""
        if self.view.random:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.files), generator=generator).tolist()
        else:
            order = list(range(len(self.files)))
        # A list of rows is a sampler. The generator keeps the loader from drawing from the global random numbers.
        rows, own = order[skip * self.size :], torch.Generator().manual_seed(0)
        views = _Views(self, epoch)
        return iter(
            DataLoader(views, self.size, sampler=rows, num_workers=self.workers, drop_last=self.view.random, generator=own)
        )


@dataclass(frozen=True)
class _Views(Dataset[tuple[Tensor, int]]):
    """The views of an epoch."""

    images: ClassFolders
    epoch: int

    def __len__(self) -> int:
        return len(self.images.files)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        path, label = self.images.files[row]
        pixels = decoded(path.read_bytes(), str(path))
        return self.images.view.of(pixels, self.images.seed, self.epoch, row), label
