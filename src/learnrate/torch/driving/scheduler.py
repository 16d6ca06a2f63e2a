"""A torch scheduler over a learnrate schedule."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from learnrate import checks
from learnrate.schedules import Schedule
from learnrate.torch.control import ControlOptions, Steered, Steering, asks_for_control, copied
from learnrate.torch.driving.clock import Clock
from learnrate.torch.driving.names import check_names
from learnrate.torch.driving.registry import claim, release, require_attached, require_undriven
from learnrate.torch.driving.state import given_text, require_key, warn_of_another_schedule
from learnrate.torch.driving.values import Row, ScheduledValues
from learnrate.torch.driving.writing import Group

OVERWRITTEN = "from the next update on the LR is the scheduled one again"


class Scheduler(Steered, Clock, LRScheduler):
    """Drives an optimizer's LR along a schedule; call `step()` after every update.

    It is a `torch.optim.lr_scheduler.LRScheduler` by type, so that trainers accept it. Unlike torch's own schedulers it
    computes every LR from the count alone, and does not patch `optimizer.step`. Its state is the count, and the text of the
    schedule to check it. It therefore resumes exactly at any update, whether the optimizer's checkpoint is loaded before or
    after the scheduler's.

    It does not work inside torch's `SequentialLR`, which rewrites the counts of its parts: chain schedules with `>>`.

    Args:
        optimizer: The optimizer. Its LRs are set to those of update `start` at once.
        schedule: One for all parameter groups, or a sequence with one for each. LRs are absolute.
        relative: Keep the ratios between the groups' LRs: the schedule gives the LR of the group whose LR is largest. The
            ratios are those of "initial_lr" in the groups, which is recorded now if it is missing; a factor "lr_scale" in a
            group, as timm writes it, is applied too. A group that is added later changes no other group.
        start: Number of updates so far.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names. Give it the losses:
            `scheduler.observe(loss)` before each `optimizer.step()`.
        model: The model, of which a guard keeps snapshots.
        scaler: The gradient scaler, whose scale a guard puts back too.
        record: File of the record of the run; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.

    Attributes:
        optimizer: The optimizer.
        schedule: The `schedule` argument.

    Raises:
        ArgumentError: if there is not one schedule for each group, `start` is negative, or the optimizer wraps one that has
            parameter groups of its own.
        ArgumentTypeError: if the optimizer or a schedule is something else.
        AlreadyDrivenError: if something else drives the LR of this optimizer.

    Warns:
        PastEndWarning: once, when a finite schedule is driven past its end; its last value is kept.
        OverruledWarning: once, by `step`, if something else changed an LR since the last call.
        LostRatiosWarning: once, if groups with different LRs get the same schedule.

    Example:
        >>> import torch, learnrate as lr
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> scheduler = lr.torch.Scheduler(optimizer, lr.linear(1.0, 0.0, length=4))
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler
        <Scheduler at update 3: lr 0.25 of linear(start=1.0, end=0.0, length=4)>
        >>> scheduler.state_dict()
        {'last_epoch': 3, 'schedule': 'linear(start=1.0, end=0.0, length=4)'}
    """

    _step_count = 0
    """Not used here. Hugging Face's Accelerate adds to it for the steps that it omits while gradients accumulate."""

    optimizer: Optimizer

    # torch's constructor is not called, because it patches optimizer.step and writes into the parameter groups.
    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        *,
        relative: bool = False,
        start: int = 0,
        control: Any = None,
        model: nn.Module | None = None,
        scaler: torch.amp.GradScaler | None = None,
        record: str | os.PathLike[str] | None = None,
        page: Any = False,
    ) -> None:
        start = checks.whole("start", start, at_least=0, at_most=checks.LONGEST)
        checks.flag("relative", relative)
        require_undriven(optimizer, "lr")  # before anything is written into the groups
        check_names(["lr"], optimizer)
        scheduled = ScheduledValues(optimizer, "lr", schedule, relative=relative)
        self.schedule = schedule
        self._options: ControlOptions = {
            "control": control,
            "model": model,
            "scaler": scaler,
            "record": record,
            "page": page,
        }
        steering = Steering(schedule, start, self._options) if asks_for_control(self._options) else None
        try:
            Clock.__init__(self, optimizer, scheduled, start)
            if steering is not None:
                self._follow(steering)
            claim(optimizer, ["lr"], self)  # last, when nothing can fail any more
        except BaseException:
            if steering is not None:
                steering.close()  # a record, a page
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        # The iterator cannot be copied, and the copy must be registered as the driver of the copied optimizer.
        arguments = (self.optimizer, self.schedule, self._scheduled.relative, self.state_dict(), copied(self._options))
        return _rebuilt, (type(self), *arguments)

    def __repr__(self) -> str:
        detached = "" if self._attached else ", detached"
        return f"<{type(self).__name__} at update {self.last_epoch}{detached}: {self.summary()}>"

    def step(self, epoch: int | None = None) -> None:
        """Count an update and write the LRs of the next one.

        Args:
            epoch: Jump to this number of updates instead. The name is torch's.
        """
        if epoch is None:
            # One pass of a loop takes the next value; it takes none where the block has come to its end, or where a group is
            # not written by assignment. A group with the very object that was written last needs no other check, not even
            # whether it is the same group. A single one, the usual case, is unpacked, which costs less than a loop.
            if self._single:
                for value in self._ahead:
                    try:
                        [group] = self.optimizer.param_groups
                    except ValueError:  # groups were added
                        return self._catch_up()
                    if group["lr"] is self._written:
                        group["lr"] = self._written = value
                        return None
                    return self._catch_up()
            else:
                written = self._written
                for value in self._ahead:
                    for group in self.optimizer.param_groups:
                        if group["lr"] is written:
                            group["lr"] = value
                            continue  # this order of the branches is the faster one
                        # Where groups have values of their own, `written` is a tuple, which no group has as its LR.
                        return self._catch_up(group) if self._shared else self._assign(value)
                    self._written = value
                    return None
            require_attached(self, self._attached)
            self._warn_if_overruled(self.last_epoch, OVERWRITTEN)
            epoch = self.last_epoch + 1
        self.last_epoch = epoch
        return None

    def _make_steering(self) -> Steering:
        if self._steering is None:
            return self._follow(Steering(self.schedule, self.last_epoch, self._options))
        return self._steering

    def _follow(self, steering: Steering) -> Steering:
        steering.watch(self.optimizer, lambda: self.last_epoch)
        self._steering = steering
        self.step = self._steered_step  # type: ignore[method-assign] # without control, step() stays as fast as it is
        return steering

    def _steered_step(self, epoch: int | None = None) -> None:
        """`step`, for an update that the control may have left out."""
        steering, before = self._make_steering(), self.last_epoch
        left_out = steering.was_left_out()
        if not left_out or epoch is not None:
            type(self).step(self, epoch)
        if left_out or self.last_epoch != before:  # a subclass does not count every call
            self._settle(steering)

    def _settle(self, steering: Steering, *, requests: bool = True) -> None:
        schedules = steering.settle(self.last_epoch, requests=requests)
        if schedules is not None:
            self.take(self.prepared(schedules))

    def _settle_after_evaluation(self) -> None:
        if self._steering is not None and self._steering.is_between_updates and self._attached:
            self._settle(self._steering, requests=False)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Observe nothing inside the block, because updates of a range test do not belong to the training run."""
        with nullcontext() if self._steering is None else self._steering.paused():
            yield

    def _assign(self, row: Row) -> None:
        """The rest of `step`, after it has counted, for groups that have values of their own."""
        groups = self.optimizer.param_groups
        if groups is not self._block.groups or len(groups) != len(row):  # a checkpoint was loaded, or groups were added
            return self._catch_up()
        for group, before, value in zip(groups, self._written, row, strict=True):
            if group["lr"] is not before:
                return self._catch_up(group)
            group["lr"] = value
        self._written = row
        return None

    def _catch_up(self, first: Group | None = None) -> None:
        """The rest of `step`, after it has counted, for groups that do not have what was written last.

        Args:
            first: The first such group; those before it have the next value already. None for all.
        """
        n = self.last_epoch
        try:
            self._warn_if_overruled(n - 1, OVERWRITTEN, first)
        finally:
            self._seek(n)

    def detach(self) -> None:
        """Stop driving the optimizer, which keeps its present LRs. Something else may drive it now."""
        release(self.optimizer, self)
        self._attached = False
        self.halt()
        if self._steering is not None:
            self._steering.close()

    def get_last_lr(self) -> list[Any]:
        """The present LRs, one per parameter group, as floats."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def get_lr(self) -> list[Any]:
        """The LRs that the schedule gives at the present count, one per parameter group, as floats."""
        return self._scheduled.block_at(self.last_epoch).row(self.last_epoch)

    def replace(self, schedule: Schedule | Sequence[Schedule]) -> None:
        """Follow another schedule from now on; the count of updates goes on, and the LRs of the next update are written.

        Args:
            schedule: See the class. Update n takes the new schedule's value at n: `old.shift`, `>>` and `rebase` fit it to
                what was.

        Raises:
            ArgumentError: if there is not one schedule for each group.
            ArgumentTypeError: if it is no schedule.
            AlreadyDrivenError: if the scheduler was detached.

        Example:
            >>> import torch, learnrate as lr
            >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
            >>> scheduler = lr.torch.Scheduler(optimizer, lr.constant(0.5), start=3)
            >>> scheduler.replace(lr.linear(1.0, 0.0, length=4))
            >>> scheduler.last_epoch, scheduler.get_last_lr()
            (3, [0.25])
        """
        scheduled = self.prepared(schedule)
        if self._steering is not None:
            self._steering.replaced(schedule, self.last_epoch)
            scheduled = self.prepared(self._steering.schedules)
        self.take(scheduled)
        self.schedule = schedule

    def exchange(self, schedule: Schedule | Sequence[Schedule]) -> None:
        """Follow another schedule, as if it had been given at the start: for adapters, before they load a checkpoint.

        Args:
            schedule: See the class.

        Raises:
            ArgumentError: see `replace`.
            ArgumentTypeError: see `replace`.
            AlreadyDrivenError: see `replace`.
        """
        scheduled = self.prepared(schedule)
        if self._steering is not None:
            self._steering.exchange(schedule)
        self.take(scheduled)
        self.schedule = schedule

    def state_dict(self) -> dict[str, Any]:
        """The number of updates so far; the schedule's text, by which loading notices another schedule; and the control."""
        control = {} if self._steering is None else self._steering.state_dict(self.schedule)
        return {"last_epoch": self.last_epoch, "schedule": self.text, **self.reference(), **control}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the number of updates in `state_dict` and write the LRs of this scheduler's own schedule.

        Args:
            state_dict: From `state_dict()`. The count alone is enough, as old checkpoints have it.

        Raises:
            ArgumentError: if `state_dict` is not from a scheduler.

        Warns:
            OtherScheduleWarning: if it was saved under another schedule; names the LRs that both give.
        """
        self._load(state_dict, compared=True)

    def resume(self, state_dict: dict[str, Any]) -> None:
        """`load_state_dict`, where the caller has decided already which schedule goes on; see `exchange`."""
        self._load(state_dict, compared=False)

    def _load(self, state_dict: dict[str, Any], *, compared: bool) -> None:
        n = checks.whole("last_epoch", require_key("last_epoch", state_dict), at_least=0, at_most=checks.LONGEST)
        saved = given_text(state_dict, state_dict.get("schedule"))
        if self._steering is not None or "control" in state_dict:
            steering = self._make_steering()
            steering.load_state_dict(state_dict.get("control"), state_dict.get("schedule"), self.schedule, n)
            self.take(self.prepared(steering.schedules))
            if compared and saved is not None:
                present = [self.schedule] if isinstance(self.schedule, Schedule) else self.schedule
                warn_of_another_schedule("lr", n, saved, present)
            saved = None
        self.load(n, saved if compared else None, state_dict.get("reference_lr"))

    @property
    def base_lrs(self) -> list[Any]:  # type: ignore[override]
        """The LRs of update 0, one per parameter group."""
        return self._scheduled.block_at(0).row(0)


def _rebuilt(
    cls: type[Scheduler],
    optimizer: Optimizer,
    schedule: Schedule | Sequence[Schedule],
    relative: bool,
    state: dict[str, Any],
    options: ControlOptions,
) -> Scheduler:
    scheduler = cls(optimizer, schedule, relative=relative, start=state["last_epoch"], **options)
    scheduler.load_state_dict(state)
    return scheduler
