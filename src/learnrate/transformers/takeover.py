"""The scheduler that a Trainer has by itself: it stays in its place, and no longer writes LRs."""

import weakref
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import optimization

from learnrate.errors import AlreadyDrivenError, ArgumentError
from learnrate.torch import driving
from learnrate.torch.inputs import optimizers_within, stepping

REACTIVE = (ReduceLROnPlateau, *filter(None, [getattr(optimization, "GreedyLR", None)]))
"""Schedulers that the Trainer steps with a metric, after an evaluation. It reads the LR of these from the optimizer."""


IN_BACKWARD = ("Lomo", "AdaLomo")
"""Optimizers that update weights during the backward pass. Accelerate does not call their steps."""


def require_replaceable(scheduler: object, optimizer: Optimizer, name: str) -> None:
    """Refuse a scheduler of the Trainer that must not be replaced in silence, and an optimizer that cannot be followed.

    Raises:
        AlreadyDrivenError: if the scheduler reacts to a metric, or is one of learnrate.
        ArgumentError: if the optimizer does not update the weights in its step.
    """
    kind = type(scheduler).__name__
    if isinstance(scheduler, driving.Scheduler):
        raise AlreadyDrivenError(
            f"the LR must have one owner, it has two: {name}, and the learnrate {kind} in the trainer's optimizers=(..., "
            "scheduler): leave one of them out"
        )
    if isinstance(scheduler, REACTIVE):
        raise AlreadyDrivenError(
            f"the LR must have one owner, it has two: {name}, and the trainer's {kind}, which changes it after evaluations: "
            f"leave {name} out, or take another lr_scheduler_type"
        )
    inner = type(stepping(optimizer)).__name__
    if kind == "LayerWiseDummyScheduler" or inner in IN_BACKWARD:
        raise ArgumentError(
            f"{name} needs an optimizer that updates all weights in its step, {inner} updates each weight during the "
            "backward pass: take another `optim`"
        )


class Takeover:
    """While it lasts, the Trainer's `step()` of its own scheduler counts and writes nothing, and it logs the LR really used.

    The methods of this very object are replaced, because the Trainer, its callbacks and its checkpoints refer to it. What it
    saves is what it would have saved itself, so that a run without learnrate can resume from the checkpoint.

    Args:
        scheduler: The Trainer's scheduler.
        optimizer: The Trainer's optimizer, which is prepared by Accelerate.
    """

    def __init__(self, scheduler: Any, optimizer: Optimizer) -> None:
        # Weak, because the scheduler and the optimizer refer to the methods of this object.
        self._scheduler = weakref.ref(scheduler)
        self._state_dict = type(scheduler).state_dict
        self._optimizer = weakref.ref(stepping(optimizer))
        self._used: list[Any] | None = None
        self._handle: Any = None
        self._methods = {"step": self.step, "get_last_lr": self.get_last_lr, "state_dict": self.state_dict}
        patched = [inner for inner in optimizers_within(optimizer) if hasattr(vars(inner).get("step"), driving.STEP_MARK)]
        self._patches = [(weakref.ref(inner), vars(inner).pop("step")) for inner in patched]

    def begin(self) -> None:
        """Replace the methods; after the schedules are attached, so that their hook runs before this one."""
        optimizer, scheduler = self._optimizer(), self._scheduler()
        if optimizer is not None and scheduler is not None:
            self._handle = optimizer.register_step_pre_hook(self._record)
            vars(scheduler).update(self._methods)

    def end(self) -> None:
        """Give the scheduler its own methods back."""
        if self._handle is not None:
            self._handle.remove()
        scheduler = self._scheduler()
        if scheduler is not None:
            for name in self._methods:
                vars(scheduler).pop(name, None)
        for reference, step in self._patches:
            if (optimizer := reference()) is not None:
                vars(optimizer).setdefault("step", step)

    def _record(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        # After the step the groups have the LR of the next update, and the Trainer reads the one to log only then.
        self._used = [_copied(group["lr"]) for group in optimizer.param_groups]

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Count, as the scheduler itself would, and write nothing."""
        scheduler: Any = self._scheduler()
        self._used = None
        for name in ("last_epoch", "_step_count"):
            if hasattr(scheduler, name):
                setattr(scheduler, name, getattr(scheduler, name) + 1)
        if hasattr(scheduler, "_last_lr"):
            scheduler._last_lr = self.get_last_lr()

    def get_last_lr(self) -> list[Any]:
        """The LRs of the update just made, until `step` was called; after it those of the next one."""
        optimizer = self._optimizer()
        if self._used is not None or optimizer is None:
            return self._used or []
        return [_copied(group["lr"]) for group in optimizer.param_groups]

    def state_dict(self) -> Any:
        """What the scheduler itself saves."""
        state = self._state_dict(self._scheduler())
        return {key: value for key, value in state.items() if key not in self._methods} if isinstance(state, dict) else state


def _copied(lr: Any) -> Any:
    """A number stays, a tensor is written to in place."""
    return lr.clone() if isinstance(lr, Tensor) else lr
