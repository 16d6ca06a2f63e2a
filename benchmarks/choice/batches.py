"""Batches with noise: what the tasks added later need beside data.py, which the records of the first tasks depend on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class SizedBatches(Protocol):
    """Batches whose number is known."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Mapped:
    """Batches after a function, which may draw from the global random numbers: noise, or random views of images."""

    batches: SizedBatches
    function: Callable[..., tuple[Tensor, Tensor]]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.batches:
            yield self.function(*batch)


@dataclass(frozen=True)
class Drawn:
    """New batches from a function of the batch size, which draws from the global random numbers."""

    function: Callable[[int], tuple[Tensor, Tensor]]
    size: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.count):
            yield self.function(self.size)


def fixed(function: Callable[..., Any], *arguments: Any, seed: int) -> Any:
    """The result of a random function that is the same in every training run: for validation and test data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(*arguments)
