"""Schedules that follow an optimizer's own updates through its step hooks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.torch.driving.clock import Clock
from learnrate.torch.driving.registry import claim, release, require_attached, require_undriven
from learnrate.torch.driving.values import ScheduledValues


def attach(
    optimizer: Optimizer,
    lr: Schedule | Sequence[Schedule] | None = None,
    momentum: Schedule | Sequence[Schedule] | None = None,
    *,
    relative: bool = False,
    start: int = 0,
) -> "Attachment":
    """Let an optimizer's hyper-parameters follow schedules, through the optimizer's official step hooks.

    There is nothing to call. Exactly the real updates are counted: accumulated micro-batches and updates that a gradient
    scaler skips are not.

    Args:
        optimizer: Between updates its LR (and momentum) is that of the next update. Groups that were added, or loaded from
            a checkpoint, get their values just before the next update.
        lr: Schedule of the LR: one for all parameter groups, or a sequence with one for each.
        momentum: Schedule of the momentum (of the first of `betas` if the optimizer has no "momentum"), in the same form.
        relative: Keep the ratios between the groups' LRs: the schedule gives the LR of the group whose LR is largest. The
            ratios are those of "initial_lr" in the groups, which is recorded now if it is missing.
        start: Number of updates so far.

    Returns:
        The attachment: `updates`, `state_dict()`, `load_state_dict()`, `detach()`.

    Raises:
        ArgumentError: if no schedule is given, there is not one for each group, or the optimizer has no momentum.
        ArgumentTypeError: if the optimizer or a schedule is something else.
        AlreadyDrivenError: if something else drives the same hyper-parameter of this optimizer.

    Warns:
        PastEndWarning: once, when a finite schedule is driven past its end; its last value is kept.

    Example:
        >>> import torch, learnrate as lr
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> attachment = lr.torch.attach(optimizer, lr.linear(1.0, 0.0, length=4))
        >>> for _ in range(3):
        ...     optimizer.step()
        >>> attachment.updates, optimizer.param_groups[0]["lr"]
        (3, 0.25)
    """
    checks.flag("relative", relative)
    return Attachment(optimizer, {"lr": lr, "momentum": momentum}, relative, checks.whole("start", start, at_least=0))


class Attachment:
    """Lets the hyper-parameters of an optimizer follow schedules; see `attach`, which makes it."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedules: Mapping[str, Schedule | Sequence[Schedule] | None],
        relative: bool,
        start: int,
    ) -> None:
        given = {key: schedule for key, schedule in schedules.items() if schedule is not None}
        if not given:
            raise ArgumentError("attach must be given a schedule for lr, momentum or both, received neither")
        require_undriven(optimizer, *given)  # before anything is written into the groups
        scheduled = [
            ScheduledValues(optimizer, key, schedule, relative=relative and key == "lr") for key, schedule in given.items()
        ]
        self._clocks = [Clock(optimizer, values, start) for values in scheduled]
        claim(optimizer, given, self)  # last, when nothing can fail any more
        self._attached = True
        self._paused = False
        self._arguments = (given, relative)
        self._optimizer = optimizer
        self._handles = (
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # A copied optimizer has no hooks; the copy of an attachment registers new ones.
        return type(self), (self._optimizer, *self._arguments, self.updates)

    @property
    def updates(self) -> int:
        """Number of updates so far."""
        return self._clocks[0].last_epoch

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not self._paused:
            for clock in self._clocks:
                clock.keep_up()

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        # A GradScaler skips an update by not calling step, except with fused optimizers: it gives those the flag for the
        # duration of the call, and they skip the update themselves.
        found_inf = getattr(optimizer, "found_inf", None)
        if not self._paused and (found_inf is None or not found_inf.item()):
            for clock in self._clocks:
                clock.step()

    def state_dict(self) -> dict[str, int]:
        """The number of updates so far, which is the whole state."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go to the number of updates in `state_dict`.

        Raises:
            ArgumentError: if `state_dict` is not from an attachment.
        """
        if not isinstance(state_dict, Mapping) or "updates" not in state_dict:
            raise ArgumentError(f"state_dict must have the key 'updates', received {checks.shown(state_dict)}")
        require_attached(self, self._attached)
        updates = checks.whole("updates", state_dict["updates"], at_least=0)
        for clock in self._clocks:
            clock.last_epoch = updates

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Neither write nor count inside the block, because updates of a range test do not belong to the training run."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def detach(self) -> None:
        """Stop driving the optimizer, which keeps its present values."""
        for handle in self._handles:
            handle.remove()
        release(self._optimizer, self)
        self._attached = False
