"""What the optimizers have in common: checks of a parameter group, and its parameters with gradients, in lists."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from learnrate import checks
from learnrate.checks import Check
from learnrate.errors import ArgumentError

Group = Mapping[str, Any]
Rules = Mapping[str, Check[Any]]
"""The check of each setting of a group."""

BLOCK = 2**15
"""Elements of a block. A step of AdaSecant on 2.5 million elements takes 65 ms, and 150 ms on the tensor as a whole (AMD
EPYC, one thread). In blocks of 2 ** 12 it takes 165 ms: calls cost more than the arithmetic there."""


def learning_rate(name: str, value: object) -> object:
    """A number of at least 0, or a tensor with one, which schedules change in place."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            checks.refuse(name, "a tensor with one element", value)
        checks.rate(name, float(value))
        return value
    return checks.rate(name, value)


def flag(name: str, value: object) -> object:
    """True or False."""
    checks.flag(name, value)
    return value


def flag_or_none(name: str, value: object) -> object:
    """True, False or None."""
    checks.flag(name, value, or_none=True)
    return value


def check_group(optimizer: str, group: Group, rules: Rules) -> None:
    """Refuse a parameter group that the optimizer cannot train.

    Raises:
        ArgumentError: if a setting breaks its rule, or a parameter is complex.
        ArgumentTypeError: if a setting is of the wrong type.
    """
    for name, rule in rules.items():
        rule(name, group[name])
    for parameter in group["params"]:
        if not parameter.is_floating_point():
            checks.refuse(
                f"the parameters of {optimizer}", "real", parameter.dtype, "train torch.view_as_real of a complex one"
            )


def with_gradients(optimizer: str, group: Group) -> list[Tensor]:
    """The parameters of a group that have a gradient.

    Raises:
        ArgumentError: if a gradient is sparse.
    """
    parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
    for parameter in parameters:
        if parameter.grad.layout != torch.strided:
            raise ArgumentError(
                f"gradients must be dense, {optimizer} received a sparse one of shape {tuple(parameter.shape)}: what it "
                "keeps of a weight changes also where the gradient is 0. Build the layer with sparse=False"
            )
    return parameters


def gradients_of(parameters: Iterable[Tensor], group: Group) -> list[Tensor]:
    """The gradients to descend: negated for `maximize`, and with weight decay."""
    parameters = list(parameters)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if group["maximize"]:
        gradients = list(torch._foreach_neg(gradients))
    if group["weight_decay"]:
        gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
    return gradients


def in_lists(parameters: list[Tensor], foreach: bool | None) -> Iterator[list[Tensor]]:
    """The parameters in the lists that are updated by one call of each operation.

    Args:
        parameters: The parameters.
        foreach: True for one list for each device and dtype, which costs fewer calls; False for one for each parameter,
            which needs less memory for what is computed on the way. None decides by the device: calls are what an
            accelerator waits for, and memory what a CPU does.
    """
    lists: dict[Any, list[Tensor]] = {}
    for number, parameter in enumerate(parameters):
        together = parameter.device.type != "cpu" if foreach is None else foreach
        lists.setdefault((parameter.device, parameter.dtype) if together else number, []).append(parameter)
    yield from lists.values()


def in_blocks(rows: list[list[Tensor]]) -> Iterator[list[list[Tensor]]]:
    """Tensors that belong together, each kind of them in a list: all of them, or blocks of a single large one.

    On a CPU some fifty operations on a block find it in the cache, where those on a whole tensor wait for the memory.
    """
    [first, *_], *others = rows
    if others or first.device.type != "cpu" or not all(tensor.is_contiguous() for tensor in rows[0]):
        yield [list(kind) for kind in zip(*rows, strict=True)]
        return
    blocks = [tensor.view(-1).split(BLOCK) for tensor in rows[0]]  # type: ignore[no-untyped-call]
    yield from ([[part] for part in block] for block in zip(*blocks, strict=True))
