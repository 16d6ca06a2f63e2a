"""Batches of torch: loaders whose workers live on, and batches that are moved to a device."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from learnrate.batches import Stream


class LoaderStream(Stream):
    """A `Stream` that leaves the workers of a loader to the user."""

    def _new_iterator(self) -> Iterator[Any]:
        if isinstance(self.source, DataLoader) and self.source.persistent_workers:
            # Iterating it again would reset the iterator that the user may be using: a copy has its own workers.
            loader = copy.copy(self.source)
            loader._iterator = None
            return iter(loader)
        return super()._new_iterator()


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
