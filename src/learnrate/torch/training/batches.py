"""Batches that never run out: from a loader, a list, or a function that makes an iterator."""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from learnrate import checks
from learnrate.errors import DataError
from learnrate.trainable import ExhaustedError

Batches = Iterable[Any] | Callable[[], Iterator[Any]]


class Stream:
    """Batches without end: when the source ends, it is started again, unless it is an iterator.

    Attributes:
        drawn: Number of batches drawn so far.
        restarts: Numbers of the batches at which the source was started again.
        once: Whether the source is an iterator, which cannot be started again.
    """

    def __init__(self, batches: Batches) -> None:
        if not (checks.is_iterable(batches) or callable(batches) or _has_items(batches)):
            checks.refuse_type("batches", "iterable, or a function that returns an iterator", batches)
        self._batches = batches
        self.once = isinstance(batches, Iterator)
        self._iterator: Iterator[Any] | None = None
        self.drawn = 0
        self.restarts: list[int] = []
        self._epoch: int | None = None

    def take(self, number: int) -> list[Any]:
        """The next batches: `number` of them, or those that are left before the source ends, but at least one.

        Raises:
            ExhaustedError: if the source is an iterator and has ended.
            DataError: if the source holds none.
        """
        if self._iterator is None:
            self._iterator = self._new_iterator()
        batches = list(islice(self._iterator, number))
        if not batches and self.once:
            raise ExhaustedError(f"batches ran out after {self.drawn}, and an iterator cannot be started again")
        if not batches and self.drawn:
            self._epoch = self._epoch or self.drawn
            self.restarts.append(self.drawn)
            self._iterator = self._new_iterator()
            batches = list(islice(self._iterator, number))
        if not batches:
            raise DataError(
                f"batches must hold at least one batch each time they are iterated, received none after {self.drawn}: "
                "is the data set smaller than one batch, with drop_last=True, "
                "or does a function return the same iterator twice?"
            )
        self.drawn += len(batches)
        return batches

    def rewind(self) -> None:
        """Start the source again with the next batch."""
        self._iterator = None
        self.drawn = 0
        self.restarts = []

    def epoch(self) -> int | None:
        """Batches in an epoch: those counted up to its first end, or the source's length; None if neither is known."""
        if self._epoch is not None:
            return self._epoch
        return len(self._batches) or None if self.has_length else None  # type: ignore[arg-type]

    @property
    def has_length(self) -> bool:
        """Whether the source has a length."""
        try:
            len(self._batches)  # type: ignore[arg-type]
        except TypeError:
            return False
        return True

    def _new_iterator(self) -> Iterator[Any]:
        if isinstance(self._batches, DataLoader) and self._batches.persistent_workers:
            # Iterating it again would reset the iterator that the user may be using: a copy has its own workers.
            loader = copy.copy(self._batches)
            loader._iterator = None
            return iter(loader)
        if isinstance(self._batches, Iterable) or not callable(self._batches):
            return iter(self._batches)
        batches = self._batches()
        if not checks.is_iterable(batches) and not _has_items(batches):
            checks.refuse_type("the result of the function batches", "an iterator", batches)
        return iter(batches)


def _has_items(batches: object) -> bool:
    """Whether batches are numbered, as those of a data set without an iterator are."""
    return hasattr(batches, "__getitem__") and getattr(batches, "ndim", 1) != 0


def check_rewindable(batches: object) -> None:
    """Refuse what can be iterated only once.

    Raises:
        ArgumentTypeError: if it is an iterator.
    """
    if isinstance(batches, Iterator):
        remedy = "give the loader itself, a list, or a function that returns a new iterator"
        checks.refuse_type("batches", "something that can be iterated again", batches, remedy)


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with every tensor in it on `device`, whatever its structure."""

    def moved(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.device == device:
            return value
        return value.to(device, non_blocking=device.type != "cpu")

    return mapped(batch, moved)


def mapped(batch: Any, of_leaf: Callable[[Any], Any]) -> Any:
    """The batch with a function applied to all that is no container, whatever its structure."""
    if isinstance(batch, Tensor):
        return of_leaf(batch)
    if type(batch) is tuple or type(batch) is list:  # what most batches are, before the slower checks
        return type(batch)([mapped(value, of_leaf) for value in batch])
    if isinstance(batch, Mapping):
        # A copy, because a defaultdict, for example, cannot be built from its items alone.
        changed = copy.copy(batch) if isinstance(batch, MutableMapping) else dict(batch)
        changed.update({key: mapped(value, of_leaf) for key, value in batch.items()})
        return changed
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(mapped(value, of_leaf) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(mapped(value, of_leaf) for value in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        values = {f.name: mapped(getattr(batch, f.name), of_leaf) for f in dataclasses.fields(batch) if f.init}
        return dataclasses.replace(batch, **values)
    return of_leaf(batch)


def examples(batch: Any) -> int | None:
    """Examples in a batch: the length of the first dimension of all tensors in it.

    None if they differ, or if there is something else in it, of which it is not known whether it belongs to an example.

    Example:
        >>> examples((torch.ones(4, 2), {"label": torch.ones(4)})), examples((torch.ones(4, 2), ["a", "b", "c", "d"]))
        (4, None)
    """
    sizes: set[int | None] = set()
    mapped(batch, lambda value: sizes.add(len(value) if isinstance(value, Tensor) and value.ndim else None))
    return sizes.pop() if len(sizes) == 1 else None
