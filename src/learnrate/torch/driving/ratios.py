"""The ratios between the LRs of parameter groups."""

import math

from torch import Tensor

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.torch.driving.writing import Group


def record_initial_lrs(groups: list[Group]) -> list[float]:
    """Each group's initial LR.

    It is recorded in the group under torch's own name for it, "initial_lr", so that it is saved with the optimizer's
    checkpoint: in the middle of a run the LRs no longer show the ratios, least of all when they have reached 0.
    """
    recorded: dict[int, float] = {}
    for group in groups:
        # A group that is added with the optimizer's default gets the tensor that another group has, with its present LR.
        tensor = id(group["lr"]) if isinstance(group["lr"], Tensor) else 0
        group.setdefault("initial_lr", recorded.get(tensor, float(group["lr"])))
        if tensor:
            recorded[tensor] = float(group["initial_lr"])
    return [float(group["initial_lr"]) for group in groups]


def scales(groups: list[Group]) -> list[float]:
    """The factor "lr_scale" of each group, 1 where there is none: timm's layer decay writes it into the groups."""
    return [float(group.get("lr_scale", 1.0)) for group in groups]


def ratios_of(lrs: list[float], reference: float | None = None) -> list[float]:
    """Each LR as a share of `reference`, or of the largest.

    Raises:
        ArgumentError: if none is above 0, or one is negative or not finite.
    """
    if not all(math.isfinite(lr) and lr >= 0 for lr in lrs):
        checks.refuse("each group's LR", "finite and at least 0 where their ratios are to be kept", lrs)
    largest = max(lrs) if reference is None else reference
    if not largest > 0:
        raise ArgumentError(
            f"the groups' LRs must not all be 0 where their ratios are to be kept, received {lrs}: "
            "build the optimizer with LRs that have these ratios"
        )
    return [lr / largest for lr in lrs]
