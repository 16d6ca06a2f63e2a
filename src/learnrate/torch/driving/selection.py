"""Which parameter groups a sweep drives, and in which ratios."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from learnrate.errors import AlreadyDrivenError, ArgumentError, ArgumentTypeError
from learnrate.torch.driving.drive import Group, ratios, unshare, write

Only = str | int | tuple[str | int, ...] | list[str | int] | None
"""What to sweep: names of optimizers, or names or indices of the parameter groups of a single one; None for all."""


class Swept:
    """The groups that take the LR of a sweep; the others keep theirs.

    Groups keep the ratios of their LRs: an LR is given to the group whose LR was largest at the start, and the others
    follow.

    Raises:
        ArgumentError: if `only` names what is not there.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer], only: Only = None) -> None:
        self._groups = _picked(optimizers, only)
        lrs = [float(group["lr"]) for group in self._groups]
        if not any(lrs):
            # In mid-training: a schedule stands at 0, and its scheduler has noted what the ratios were.
            lrs = [float(group.get("initial_lr", 0.0)) for group in self._groups]
        self._ratios = ratios(lrs)
        self._all = [group for one in optimizers.values() for group in one.param_groups]
        self._shared = True

    def drives(self, optimizers: Iterable[Optimizer]) -> bool:
        """Whether any group of these optimizers is swept."""
        return any(group is own for one in optimizers for own in one.param_groups for group in self._groups)

    def write(self, lr: float) -> None:
        """Give the groups their share of this LR."""
        if self._shared:
            # Not before the first update: it may replace tensors, which are given back only once a snapshot was taken.
            unshare("lr", self._all)
            self._shared = False
        for group, ratio in zip(self._groups, self._ratios, strict=True):
            write("lr", group, lr * ratio)

    def require_untouched(self, lr: float) -> None:
        """Refuse an update in which something else gave the groups another LR: the curve would tell what was not so.

        Raises:
            AlreadyDrivenError: if something did.
        """
        for group, ratio in zip(self._groups, self._ratios, strict=True):
            found = group["lr"]
            if not isinstance(found, Tensor) and found != lr * ratio:  # looking at a tensor may be a wait
                raise AlreadyDrivenError(
                    f"the LR must be left alone during a sweep, within an update it was changed from {lr * ratio:.3g} to "
                    f"{found:.3g}: take schedulers and the like out of the loss"
                )


def _picked(optimizers: Mapping[str, Optimizer], only: Only) -> list[Group]:
    if only is None:
        return [group for one in optimizers.values() for group in one.param_groups]
    wanted = only if isinstance(only, (list, tuple)) else (only,)
    found: dict[Any, list[Group]]
    if len(optimizers) > 1:
        found = {name: one.param_groups for name, one in optimizers.items()}
        what = "optimizers"
    else:
        [(own_name, one)] = optimizers.items()
        groups = one.param_groups
        found = {index: [group] for index, group in enumerate(groups)} | ({} if own_name == "0" else {own_name: groups})
        found |= {group["name"]: [group] for group in groups if "name" in group}
        what = "parameter groups"
    picked: list[Group] = []
    for name in wanted:
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise ArgumentTypeError(f"only must hold names or indices, received {name!r} of type {type(name).__name__}")
        key = str(name) if len(optimizers) > 1 else name
        if key not in found:
            raise ArgumentError(f"only must name {what}, received {name!r}, and not one of {', '.join(map(repr, found))}")
        picked += [group for group in found[key] if not any(group is other for other in picked)]
    if not picked:
        raise ArgumentError(f"only must name at least one of the {what}, received {only!r}")
    return picked
