"""What the tuner has to know about the optimizers of torch."""

from collections.abc import Iterable

from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from learnrate.torch.driving import SweptGroups
from learnrate.torch.inputs import stepping
from learnrate.torch.optimizers import ESGD
from learnrate.torch.training.update import Updater
from learnrate.traits import ADAGRAD_DRIFT, LR_DRIFT, OptimizerKind, OptimizerTraits


def traits_of(optimizers: Iterable[Optimizer], swept: SweptGroups, updater: Updater) -> OptimizerTraits:
    """The traits of those of the optimizers that receive the LR.

    A step of SGD grows with its gradient without limit unless gradients are clipped, and so does one of ESGD.
    """
    driven = [stepping(optimizer) for optimizer in optimizers if swept.drives([optimizer])]
    drift = LR_DRIFT + ADAGRAD_DRIFT if all(isinstance(optimizer, Adagrad) for optimizer in driven) else LR_DRIFT
    unbounded = not updater.clips and any(isinstance(optimizer, (SGD, ESGD)) for optimizer in driven)
    kinds = {_kind(optimizer, updater) for optimizer in driven}
    return OptimizerTraits(drift, unbounded, kinds.pop() if len(kinds) == 1 else None)


def _kind(optimizer: Optimizer, updater: Updater) -> OptimizerKind | None:
    """The kind of an optimizer for which `learnrate/tuner/carry.py` has rules.

    Clipping makes the length of a step of SGD independent of its gradient, and its LR follow other rules.
    """
    groups = optimizer.param_groups
    if any(group.get("maximize") or group.get("dampening") for group in groups):
        return None
    if isinstance(optimizer, (Adam, AdamW)):
        return "adam"
    return "sgd" if isinstance(optimizer, SGD) and not updater.clips else None
