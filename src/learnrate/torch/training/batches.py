"""Batches of torch: loaders whose workers live on, and batches that are moved to a device."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from learnrate.batches import Stream


class LoaderStream(Stream):
    """A `Stream` that leaves the workers of a loader to the user."""

    def _new_iterator(self) -> Iterator[Any]:
        if isinstance(self._batches, DataLoader) and self._batches.persistent_workers:
            # Iterating it again would reset the iterator that the user may be using: a copy has its own workers.
            loader = copy.copy(self._batches)
            loader._iterator = None
            return iter(loader)
        return super()._new_iterator()


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with every tensor in it on `device`, whatever its structure."""
    if isinstance(batch, Tensor):
        return batch if batch.device == device else batch.to(device, non_blocking=device.type != "cpu")
    if type(batch) is tuple or type(batch) is list:  # what most batches are, before the slower checks
        return type(batch)([to_device(value, device) for value in batch])
    if isinstance(batch, Mapping):
        # A copy, because a defaultdict, for example, cannot be built from its items alone.
        moved = copy.copy(batch) if isinstance(batch, MutableMapping) else dict(batch)
        moved.update({key: to_device(value, device) for key, value in batch.items()})
        return moved
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(value, device) for value in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        changed = {f.name: to_device(getattr(batch, f.name), device) for f in dataclasses.fields(batch) if f.init}
        return dataclasses.replace(batch, **changed)
    return batch
