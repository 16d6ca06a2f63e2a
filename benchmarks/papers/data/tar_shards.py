"""Images in tar shards that are read in sequence: `key.jpg` and `key.cls`, its class as a number, one after the other.

Large sets are stored so because reading a shard from its beginning to its end is quick on any storage.
"""

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from benchmarks.papers.data.imagenet import View, decoded

IMAGE_SUFFIXES = ("jpg", "jpeg", "png")

Example = tuple[str, bytes, int]
"""Key, content of the image file, and class."""


@dataclass(frozen=True)
class TarShards:
    """The images of tar files. Each worker reads shards of its own.

    Attributes:
        shards: The files.
        view: What is seen of an image. A random view goes with a random order, and the last, smaller batch of each worker is
            left out.
        size: Images in a batch.
        seed: Of the order and the views. The order depends on the number of workers, too.
        workers: Processes that read and decode; 0 for this one.
        buffer: Images that wait in the shuffle buffer of a worker, from which the next one is drawn.
    """

    shards: tuple[Path, ...]
    view: View
    size: int
    seed: int = 0
    workers: int = 0
    buffer: int = 1000

    def __post_init__(self) -> None:
        if len(self.shards) < max(1, self.workers):
            raise ValueError(f"each of {max(1, self.workers)} workers needs a shard, received {len(self.shards)}")

    def loader(self, epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Images.loader`. Batches that are left out are still read."""
        own = torch.Generator().manual_seed(0)  # so that the loader does not draw from the global random numbers
        views = _Views(self, epoch)
        batches = DataLoader(views, self.size, num_workers=self.workers, drop_last=self.view.random, generator=own)
        for number, batch in enumerate(batches):
            if number >= skip:
                yield batch


class _Views(IterableDataset[tuple[Tensor, int]]):
    """The views of an epoch; in a worker, those of its own shards."""

    def __init__(self, images: TarShards, epoch: int) -> None:
        super().__init__()
        self.images, self.epoch = images, epoch

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        images, info = self.images, get_worker_info()
        shards = list(images.shards)
        examples: Iterable[Example]
        if images.view.random:
            np.random.default_rng((images.seed, self.epoch)).shuffle(shards)  # the same in all workers
        if info is not None:
            shards = shards[info.id :: info.num_workers]
        examples = (example for shard in shards for example in read(shard))
        if images.view.random:
            worker = 0 if info is None else info.id
            examples = shuffled(examples, images.buffer, images.seed, self.epoch, worker)
        for key, content, label in examples:
            yield images.view.of(decoded(content, key), images.seed, self.epoch, zlib.crc32(key.encode())), label


def read(shard: Path) -> Iterator[Example]:
    """The examples of a shard, in the order in which they are there.

    Raises:
        ValueError: if a key lacks its image or its class, or the shard is cut off.
    """
    key, parts = "", dict[str, bytes]()
    try:
        with tarfile.open(shard, "r|*") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                path = PurePosixPath(member.name)
                stem, _, suffix = path.name.partition(".")
                name = str(path.parent / stem)
                if parts and name != key:
                    yield _example(shard, key, parts)
                    parts = {}
                file = tar.extractfile(member)
                assert file is not None
                key, parts[suffix.lower()] = name, file.read()
    except tarfile.ReadError as error:
        raise ValueError(f"{shard} must be a whole tar file: {error}") from error
    if parts:
        yield _example(shard, key, parts)


def _example(shard: Path, key: str, parts: dict[str, bytes]) -> Example:
    images = [parts[suffix] for suffix in IMAGE_SUFFIXES if suffix in parts]
    if len(images) != 1 or "cls" not in parts:
        raise ValueError(
            f"{key} in {shard} must have one image and a class ({key}.jpg, {key}.cls) next to each other, it has "
            + ", ".join(sorted(parts))
        )
    return key, images[0], int(parts["cls"])


def shuffled(examples: Iterable[Example], buffer: int, *seed: int) -> Iterator[Example]:
    """Examples in a random order: each is drawn from as many as the buffer holds."""
    draws, waiting = np.random.default_rng(seed), list[Example]()
    for example in examples:
        waiting.append(example)
        if len(waiting) >= buffer:
            yield _drawn(waiting, draws)
    while waiting:
        yield _drawn(waiting, draws)


def _drawn(waiting: list[Example], draws: np.random.Generator) -> Example:
    row = int(draws.integers(len(waiting)))
    waiting[row], waiting[-1] = waiting[-1], waiting[row]
    return waiting.pop()
