"""Which parameter groups a sweep drives, and in which ratios."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import AlreadyDrivenError
from learnrate.torch.driving.ratios import ratios_of, scales
from learnrate.torch.driving.writing import Group, unshare, write

Only = str | int | tuple[str | int, ...] | list[str | int] | None
"""What to sweep: names of optimizers, or names or indices of the parameter groups of a single optimizer; None for all."""


class SweptGroups:
    """The parameter groups that take the LR of a sweep; the others keep theirs.

    Groups keep the ratios of their LRs: the group whose LR was the largest at the start takes the LR of the sweep, and the
    others follow in proportion. A factor "lr_scale" in a group, as timm writes it, is applied too.

    Args:
        optimizers: Optimizers by name.
        only: What to sweep; None for all groups.

    Attributes:
        groups: The groups that take the LR.

    Raises:
        ArgumentError: if `only` names something that does not exist, or no LR is above 0.
        ArgumentTypeError: if `only` holds something else than names and indices.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer], only: Only = None) -> None:
        self.groups = _selected(optimizers, only)
        lrs = [float(group["lr"]) for group in self.groups]
        if not any(lrs):
            # In the middle of a training run whose schedule has reached 0; its scheduler has recorded the initial LRs.
            lrs = [float(group.get("initial_lr", 0.0)) for group in self.groups]
        self._ratios = [ratio * scale for ratio, scale in zip(ratios_of(lrs), _scales_to_apply(self.groups), strict=True)]
        self._all = [group for optimizer in optimizers.values() for group in optimizer.param_groups]
        self._shared = True

    def drives(self, optimizers: Iterable[Optimizer]) -> bool:
        """Whether any group of these optimizers is swept."""
        return any(group is swept for o in optimizers for group in o.param_groups for swept in self.groups)

    @property
    def ratios(self) -> list[tuple[Group, float]]:
        """Each group with its LR as a share of that of the sweep."""
        return list(zip(self.groups, self._ratios, strict=True))

    def write(self, lr: float, factors: Sequence[float] | None = None) -> None:
        """Write this LR, times each group's ratio, into the groups.

        Args:
            lr: The LR.
            factors: A further factor for each group.
        """
        if self._shared:
            # Not before the first update: it may replace tensors, which only a snapshot taken by then gives back.
            unshare("lr", self._all)
            self._shared = False
        for group, ratio in zip(self.groups, self._times(factors), strict=True):
            write("lr", group, lr * ratio)

    def require_untouched(self, lr: float, factors: Sequence[float] | None = None) -> None:
        """Refuse an update during which something else changed the LR, because the curve would show a wrong LR.

        Args:
            lr: The LR that was given to `write` for this update.
            factors: The factors that were given to it.

        Raises:
            AlreadyDrivenError: if the LR of a group has changed.
        """
        for group, ratio in zip(self.groups, self._times(factors), strict=True):
            value = group["lr"]
            if not isinstance(value, Tensor) and value != lr * ratio:  # reading a tensor may wait for the device
                raise AlreadyDrivenError(
                    "the LR must not be changed by anything else during a sweep, during an update it changed from "
                    f"{lr * ratio:.3g} to {value:.3g}: remove schedulers and the like from the loss function"
                )

    def _times(self, factors: Sequence[float] | None) -> list[float]:
        """The ratios, times a further factor for each group."""
        if factors is None:
            return self._ratios
        return [ratio * factor for ratio, factor in zip(self._ratios, factors, strict=True)]


def _scales_to_apply(groups: list[Group]) -> list[float]:
    """The factor "lr_scale" of each group, or 1 if its present LR contains it.

    Schedulers apply it, ours with `relative=True` and those of timm, and they leave "initial_lr" in the groups.
    """
    return [1.0 if "initial_lr" in group else scale for group, scale in zip(groups, scales(groups), strict=True)]


def _selected(optimizers: Mapping[str, Optimizer], only: Only) -> list[Group]:
    if only is None:
        return [group for optimizer in optimizers.values() for group in optimizer.param_groups]
    names = only if isinstance(only, (list, tuple)) else (only,)
    choices: dict[Any, list[Group]]
    if len(optimizers) > 1:
        choices = {name: optimizer.param_groups for name, optimizer in optimizers.items()}
        what = "optimizers"
    else:
        [(optimizer_name, optimizer)] = optimizers.items()
        groups = optimizer.param_groups
        choices = {index: [group] for index, group in enumerate(groups)}
        choices |= {} if optimizer_name == "0" else {optimizer_name: groups}
        choices |= {group["name"]: [group] for group in groups if "name" in group}
        what = "parameter groups"
    selected: list[Group] = []
    for name in names:
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            checks.refuse_type("an entry of only", "a name or an index", name)
        key = str(name) if len(optimizers) > 1 else name
        if key not in choices:
            checks.refuse("only", f"a selection of the {what} {', '.join(map(repr, choices))}", name)
        selected += [group for group in choices[key] if not any(group is other for other in selected)]
    if not selected:
        checks.refuse("only", f"at least one of the {what}", only)
    return selected
