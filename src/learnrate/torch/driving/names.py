"""Names of hyper-parameters, as the parameter groups of an optimizer have them."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.torch.driving.writing import Group, entry_of, in_betas

OTHER_ARGUMENTS = ("relative", "start")
"""What `attach` takes beside hyper-parameters; a misspelt one is taken for the name of a hyper-parameter."""


def check_names(keys: Iterable[str], optimizer: Optimizer) -> None:
    """Refuse names that are not hyper-parameters of every parameter group.

    Raises:
        ArgumentError: if a group has nothing of this name, or something else than a number.
    """
    for key in keys:
        for group in optimizer.param_groups:
            if key not in group and not in_betas(key, group):
                raise ArgumentError(_unknown(key, optimizer))
            if not _is_number(entry_of(key, group)):
                remedy = "its first entry is driven as 'momentum'" if key == "betas" else "drive a number"
                raise ArgumentError(
                    f"a driven hyper-parameter must be a number, the optimizer's {checks.shown(key)} is "
                    f"a {type(entry_of(key, group)).__name__}: {remedy}"
                )


def _unknown(key: str, optimizer: Optimizer) -> str:
    names = sorted(set.intersection(*(_numbers(group) for group in optimizer.param_groups)))
    remedy = checks.did_you_mean(key, [*names, *OTHER_ARGUMENTS], f"its hyper-parameters are {', '.join(names)}")
    needed = "'momentum' or 'betas'" if key == "momentum" else checks.shown(key)
    return f"the optimizer must have {needed} in its parameter groups, {type(optimizer).__name__} does not: {remedy}"


def _numbers(group: Group) -> set[str]:
    names = {key for key, entry in group.items() if _is_number(entry)}
    return names | ({"momentum"} if in_betas("momentum", group) else set())


def _is_number(entry: Any) -> bool:
    if isinstance(entry, Tensor):
        return entry.numel() == 1
    return isinstance(entry, Real) and not isinstance(entry, bool)
