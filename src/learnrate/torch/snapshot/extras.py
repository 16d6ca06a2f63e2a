"""State in places of its own: extra state of modules, attributes, optimizers inside of optimizers."""

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate.errors import NotRestoredWarning
from learnrate.torch.inputs import optimizers_within
from learnrate.torch.snapshot import functions, sources
from learnrate.torch.snapshot.parts import Undo, is_stateful
from learnrate.torch.snapshot.storage import TensorStorage
from learnrate.user_code import own_line, warn

OWN_PARTS = ("state", "param_groups", "step")
"""Attributes of every optimizer that have parts of their own in a snapshot, or stay: a `step` that a scheduler patched."""


def with_inner(optimizers: Iterable[Optimizer]) -> list[Optimizer]:
    """These optimizers and those that they keep in their attributes (SAM, Lookahead, accelerate), each state once."""
    outermost_first = (inner for optimizer in optimizers for inner in reversed(optimizers_within(optimizer)))
    parts: dict[tuple[int, int], Optimizer] = {}
    for optimizer in outermost_first:
        parts.setdefault((id(optimizer.state), id(optimizer.param_groups)), optimizer)
    return list(parts.values())


def of_optimizer(optimizer: Optimizer, storage: TensorStorage, copied: Collection[int] = ()) -> Iterator[Undo]:
    """How to put back the attributes that an optimizer has beside state and groups: counters, slow weights, a scaler.

    Warns:
        NotRestoredWarning: if an attribute with a state_dict cannot be copied.
    """
    if functions.is_framework(type(optimizer)):
        return
    name = type(optimizer).__name__

    def own_entries() -> dict[str, Any]:
        return {k: v for k, v in vars(optimizer).items() if k not in OWN_PARTS and not k.startswith("_optimizer_")}

    yield functions.entries_undo(vars(optimizer), own_entries)
    yield from functions.undos_of_entries(name, own_entries(), storage, copied)
    yield from of_stateful(name, own_entries(), storage, copied)


def of_stateful(owner: str, entries: dict[str, Any], storage: TensorStorage, copied: Collection[int] = ()) -> Iterator[Undo]:
    """How to put back the attributes of an object that have a state_dict.

    Warns:
        NotRestoredWarning: if one cannot be copied.
    """
    for key, value in entries.items():
        if is_stateful(value) and not isinstance(value, (nn.Module, Optimizer)) and id(value) not in copied:
            try:
                yield from list(sources.undos(value, storage, copied))
            except Exception as error:
                _warn_of(f"{owner}.{key}", f"its state cannot be copied ({own_line(error)})")


def of_module(module: nn.Module, storage: TensorStorage, copied: Collection[int] = ()) -> Iterator[Undo]:
    """How to put back what a module returns from `get_extra_state`, and its attributes that have a state_dict.

    Warns:
        NotRestoredWarning: if it cannot be copied; when state is put back, if it has changed and cannot be set.
    """
    kind = type(module)
    if not functions.is_framework(kind):
        own = {k: v for k, v in vars(module).items() if not isinstance(v, functions.LEFT_ALONE)}
        yield from of_stateful(kind.__name__, own, storage, copied)
    if kind.get_extra_state is nn.Module.get_extra_state:
        return
    name = f"the extra state of {kind.__name__}"
    try:
        before = copy.deepcopy(module.get_extra_state())
    except Exception as error:
        _warn_of(name, f"it cannot be copied ({own_line(error)})")
        return

    def undo() -> None:
        if kind.set_extra_state is not nn.Module.set_extra_state:
            module.set_extra_state(copy.deepcopy(before))
        elif not _equal(module.get_extra_state(), before):
            _warn_of(name, "it has changed, and there is no set_extra_state")

    yield undo


def _warn_of(name: str, reason: str) -> None:
    warn(f"{name} is not given back: {reason}", NotRestoredWarning)


def _equal(present: Any, before: Any) -> bool:
    if type(present) is not type(before):
        return False
    if isinstance(before, Tensor):
        return torch.equal(present, before)
    if isinstance(before, np.ndarray):
        return np.array_equal(present, before)
    if isinstance(before, Mapping):
        return present.keys() == before.keys() and all(_equal(present[key], before[key]) for key in before)
    if isinstance(before, (list, tuple)):
        return len(present) == len(before) and all(map(_equal, present, before))
    return bool(present == before)
