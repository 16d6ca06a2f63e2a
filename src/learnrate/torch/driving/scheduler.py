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
from learnrate.torch.driving.drive import Drive, claim, release, require_undriven


class Scheduler(Clock, LRScheduler):
    """Drives an optimizer's LR along a schedule; call `step()` after every update.

    A real `torch.optim.lr_scheduler.LRScheduler` by type, so that trainers accept it. Unlike torch's own it computes every
    LR from the count alone, leaves `optimizer.step` unpatched, and has one integer of state, so that it resumes exactly at
    any update, whether the optimizer's checkpoint is loaded before or after it is built and loaded.

    It is not made for torch's `SequentialLR`, which rewrites the counts of its parts: chain schedules with `>>` instead.

    Args:
        optimizer: Its LRs are set to those of update `start` at once.
        schedule: One for all parameter groups, or a sequence with one for each. LRs are absolute.
        relative: Keep the ratios between the groups' LRs: the schedule gives the LR of the group whose LR is largest. The
            ratios are those of "initial_lr" in the groups, noted there now if it is not there yet.
        start: Number of updates already made.

    Attributes:
        optimizer: The optimizer.
        schedule: What it was given.

    Raises:
        ArgumentError: if there is not one schedule for each group, or `start` is negative.
        ArgumentTypeError: if the optimizer or a schedule is something else.
        AlreadyDrivenError: if something else drives the LR of this optimizer.

    Warns:
        PastEndWarning: once, when driven past the end of a finite schedule, whose last value is held.

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
    """Not used here. Hugging Face's Accelerate adds to it for the steps that it holds back while gradients accumulate."""

    # torch's constructor is not called: it patches optimizer.step and writes into the parameter groups.
    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        *,
        relative: bool = False,
        start: int = 0,
    ) -> None:
        start = checks.whole("start", start, at_least=0)
        require_undriven(optimizer, "lr")  # before anything is noted in the groups
        drive = Drive(optimizer, "lr", schedule, relative=relative)
        self.schedule = schedule
        self._relative = relative
        Clock.__init__(self, optimizer, drive, start)
        claim(optimizer, ["lr"], self)  # once nothing can go wrong any more

    def __reduce__(self) -> tuple[Any, ...]:
        # The iterator is no state of its own, and the copy must be known as what drives its optimizer.
        made = partial(type(self), relative=self._relative, start=self.last_epoch)
        return made, (self.optimizer, self.schedule)

    def detach(self) -> None:
        """Leave the optimizer to itself, with the LRs that it has now, so that something else may drive it."""
        release(self.optimizer, self)
        self._attached = False
        self._size, self._only_group = -1, None  # no optimizer has so many groups: step() finds out that it is detached

    def get_last_lr(self) -> list[Any]:
        """The LRs now in force, one a parameter group, as floats."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def get_lr(self) -> list[Any]:
        """The LRs that the schedule gives now, one a parameter group, as floats."""
        return self._drive.block_of(self.last_epoch).row(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The number of updates made, which is all there is to know."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the number of updates in `state_dict` and set the LRs.

        Raises:
            ArgumentError: if `state_dict` is not that of a scheduler.
        """
        if not isinstance(state_dict, Mapping) or "last_epoch" not in state_dict:
            raise ArgumentError(f"state_dict must have the key 'last_epoch', received {state_dict!r}")
        self.last_epoch = state_dict["last_epoch"]

    @property
    def base_lrs(self) -> list[Any]:  # type: ignore[override]
        """The LRs of update 0, one a parameter group."""
        return self._drive.block_of(0).row(0)
