"""A torch scheduler over a learnrate schedule."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.torch.driving.clock import Clock
from learnrate.torch.driving.registry import claim, release, require_undriven
from learnrate.torch.driving.values import ScheduledValues


class Scheduler(Clock, LRScheduler):
    """Drives an optimizer's LR along a schedule; call `step()` after every update.

    It is a `torch.optim.lr_scheduler.LRScheduler` by type, so that trainers accept it. Unlike torch's own schedulers it
    computes every LR from the count alone, does not patch `optimizer.step`, and has one integer of state. It therefore
    resumes exactly at any update, whether the optimizer's checkpoint is loaded before or after the scheduler's.

    It does not work inside torch's `SequentialLR`, which rewrites the counts of its parts: chain schedules with `>>`.

    Args:
        optimizer: The optimizer. Its LRs are set to those of update `start` at once.
        schedule: One for all parameter groups, or a sequence with one for each. LRs are absolute.
        relative: Keep the ratios between the groups' LRs: the schedule gives the LR of the group whose LR is largest. The
            ratios are those of "initial_lr" in the groups, which is recorded now if it is missing.
        start: Number of updates so far.

    Attributes:
        optimizer: The optimizer.
        schedule: The `schedule` argument.

    Raises:
        ArgumentError: if there is not one schedule for each group, or `start` is negative.
        ArgumentTypeError: if the optimizer or a schedule is something else.
        AlreadyDrivenError: if something else drives the LR of this optimizer.

    Warns:
        PastEndWarning: once, when a finite schedule is driven past its end; its last value is kept.

    Example:
        >>> import torch, learnrate as lr
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> scheduler = lr.torch.Scheduler(optimizer, lr.linear(1.0, 0.0, length=4))
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr(), scheduler.state_dict()
        ([0.25], {'last_epoch': 3})
    """

    _step_count = 0
    """Not used here. Hugging Face's Accelerate adds to it for the steps that it omits while gradients accumulate."""

    # torch's constructor is not called, because it patches optimizer.step and writes into the parameter groups.
    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        *,
        relative: bool = False,
        start: int = 0,
    ) -> None:
        start = checks.whole("start", start, at_least=0)
        checks.flag("relative", relative)
        require_undriven(optimizer, "lr")  # before anything is written into the groups
        scheduled = ScheduledValues(optimizer, "lr", schedule, relative=relative)
        self.schedule = schedule
        self._relative = relative
        Clock.__init__(self, optimizer, scheduled, start)
        claim(optimizer, ["lr"], self)  # last, when nothing can fail any more

    def __reduce__(self) -> tuple[Any, ...]:
        # The iterator cannot be copied, and the copy must be registered as the driver of the copied optimizer.
        rebuild = partial(type(self), relative=self._relative, start=self.last_epoch)
        return rebuild, (self.optimizer, self.schedule)

    def detach(self) -> None:
        """Stop driving the optimizer, which keeps its present LRs. Something else may drive it now."""
        release(self.optimizer, self)
        self._attached = False
        self._size, self._only_group = -1, None  # no optimizer has -1 groups: step() takes the slow path, which checks

    def get_last_lr(self) -> list[Any]:
        """The present LRs, one per parameter group, as floats."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def get_lr(self) -> list[Any]:
        """The LRs that the schedule gives at the present count, one per parameter group, as floats."""
        return self._scheduled.block_at(self.last_epoch).row(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The number of updates so far, which is the whole state."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the number of updates in `state_dict` and write the LRs.

        Raises:
            ArgumentError: if `state_dict` is not from a scheduler.
        """
        if not isinstance(state_dict, Mapping) or "last_epoch" not in state_dict:
            raise ArgumentError(f"state_dict must have the key 'last_epoch', received {checks.shown(state_dict)}")
        self.last_epoch = state_dict["last_epoch"]

    @property
    def base_lrs(self) -> list[Any]:  # type: ignore[override]
        """The LRs of update 0, one per parameter group."""
        return self._scheduled.block_at(0).row(0)
