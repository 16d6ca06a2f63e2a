"""Writes a value of a hyper-parameter into a parameter group."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from learnrate import checks

Group = dict[str, Any]
"""An entry of `optimizer.param_groups`."""


class HasGroups(Protocol):
    """An optimizer, or what stands for one: its present list of parameter groups, and the defaults of added groups."""

    param_groups: list[Group]
    defaults: Group


def write(key: str, group: Group, value: float) -> None:
    """Write one value into one group, in place if the group has a tensor there.

    Raises:
        ArgumentError: if the tensor is not a floating-point tensor.
    """
    writer = writer_for(key, group)
    if writer is None:
        group[key] = value
    else:
        writer(group, value)


def writer_for(key: str, group: Group) -> Callable[[Group, float], None] | None:
    """How to write into a group where plain assignment would replace a tensor or a tuple; None if assignment is right.

    Raises:
        ArgumentError: if the group has a tensor there that is not a floating-point tensor.
    """
    if in_betas(key, group):
        return _write_first_beta
    if not isinstance(group[key], Tensor):
        return None
    if not group[key].is_floating_point():
        checks.refuse(f"the tensor of {key}", "of floats", group[key], "build the optimizer with torch.tensor(0.1)")
    return partial(_fill, key)


def in_betas(key: str, group: Group) -> bool:
    """Whether this group has the hyper-parameter as the first of its "betas": the momentum of Adam and its relatives."""
    return key == "momentum" and "momentum" not in group and "betas" in group


def entry_of(key: str, group: Group) -> Any:
    """What the group has there, a float or a tensor; None if it has nothing."""
    return group["betas"][0] if in_betas(key, group) else group.get(key)


def as_stored(value: float, entry: Any) -> float:
    """The value as `entry` holds it after it was written: a tensor rounds it to its own precision."""
    return torch.tensor(value, dtype=entry.dtype).item() if isinstance(entry, Tensor) else value


def unshare(key: str, groups: list[Group]) -> None:
    """Give each group its own tensor: an optimizer that is built with one tensor LR puts this tensor into every group."""
    tensors: set[int] = set()
    for group in groups:
        entry = entry_of(key, group)
        if not isinstance(entry, Tensor):
            continue
        if id(entry) in tensors:
            entry = entry.clone()
            group |= {"betas": (entry, *group["betas"][1:])} if in_betas(key, group) else {key: entry}
        tensors.add(id(entry))


def _write_first_beta(group: Group, value: float) -> None:
    first, *others = group["betas"]
    if isinstance(first, Tensor):
        first.fill_(value)
    else:
        group["betas"] = (value, *others)


def _fill(key: str, group: Group, value: float) -> None:
    # In place, because a compiled or captured optimizer reads this very tensor.
    group[key].fill_(value)
