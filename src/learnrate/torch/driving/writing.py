"""Writes a value of a hyper-parameter into a parameter group."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from learnrate import checks

Group = dict[str, Any]
"""An entry of `optimizer.param_groups`."""


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
    if key == "betas":
        return _write_first_beta
    if not isinstance(group[key], Tensor):
        return None
    if not group[key].is_floating_point():
        checks.refuse(f"the tensor of {key}", "of floats", group[key], "build the optimizer with torch.tensor(0.1)")
    return partial(_fill, key)


def unshare(key: str, groups: list[Group]) -> None:
    """Give each group its own tensor: an optimizer that is built with one tensor LR puts this tensor into every group."""
    tensors: set[int] = set()
    for group in groups:
        if isinstance(group[key], Tensor):
            if id(group[key]) in tensors:
                group[key] = group[key].clone()
            tensors.add(id(group[key]))


def _write_first_beta(group: Group, value: float) -> None:
    first, *others = group["betas"]
    if isinstance(first, Tensor):
        first.fill_(value)
    else:
        group["betas"] = (value, *others)


def _fill(key: str, group: Group, value: float) -> None:
    # In place, because a compiled or captured optimizer reads this very tensor.
    group[key].fill_(value)
