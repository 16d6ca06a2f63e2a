"""The ratios between the LRs of parameter groups."""

import math

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.torch.driving.writing import Group


def initial_ratios(groups: list[Group]) -> list[float]:
    """Each group's initial LR as a share of the largest.

    The initial LR is recorded in the group under torch's own name for it, "initial_lr", so that it is saved with the
    optimizer's checkpoint: in the middle of a run the LRs no longer show the ratios, least of all when they have reached 0.

    Raises:
        ArgumentError: if no initial LR is above 0, or one is negative or not finite.
    """
    for group in groups:
        group.setdefault("initial_lr", float(group["lr"]))
    return ratios_of([float(group["initial_lr"]) for group in groups])


def ratios_of(lrs: list[float]) -> list[float]:
    """Each LR as a share of the largest.

    Raises:
        ArgumentError: if none is above 0, or one is negative or not finite.
    """
    if not all(math.isfinite(lr) and lr >= 0 for lr in lrs):
        checks.refuse("each group's LR", "finite and at least 0 where their ratios are to be kept", lrs)
    largest = max(lrs)
    if not largest > 0:
        raise ArgumentError(
            f"the groups' LRs must not all be 0 where their ratios are to be kept, received {lrs}: "
            "build the optimizer with LRs that have these ratios"
        )
    return [lr / largest for lr in lrs]
