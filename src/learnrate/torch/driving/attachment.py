"""Schedules that follow an optimizer's own updates through its step hooks."""

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.torch.control import ControlOptions, Followed, Steered, Steering, asks_for_control, copied
from learnrate.torch.driving.clock import Clock
from learnrate.torch.driving.names import check_names
from learnrate.torch.driving.registry import claim, release, require_attached, require_undriven
from learnrate.torch.driving.state import given_text, require_key, warn_of_another_schedule, warn_of_other_names
from learnrate.torch.driving.values import ScheduledValues
from learnrate.torch.driving.writing import Group
from learnrate.torch.inputs import require_hooks, stepping

Schedules = Schedule | Sequence[Schedule] | None
"""One schedule for all parameter groups, or one for each; None to leave the hyper-parameter as it is."""


def attach(
    optimizer: Optimizer,
    lr: Schedules = None,
    momentum: Schedules = None,
    *,
    relative: bool = False,
    start: int = 0,
    control: Any = None,
    model: nn.Module | None = None,
    scaler: torch.amp.GradScaler | None = None,
    record: str | os.PathLike[str] | None = None,
    page: Any = False,
    **others: Schedules,
) -> "Attachment":
    """Let an optimizer's hyper-parameters follow schedules, through the optimizer's official step hooks.

    There is nothing to call. Exactly the real updates are counted: accumulated micro-batches and updates that a gradient
    scaler skips are not.

    Args:
        optimizer: Between updates its hyper-parameters are those of the next update. Groups that were added, or loaded from
            a checkpoint, get their values just before the next update. In a wrapper (of Accelerate, Lightning, SAM,
            Lookahead) the steps of the optimizer inside count.
        lr: Schedule of the LR: one for all parameter groups, or a sequence with one for each.
        momentum: Schedule of the momentum, in the same form: of the first of `betas` in groups without "momentum".
        relative: Keep the ratios between the groups' LRs: the schedule gives the LR of the group whose LR is largest. The
            ratios are those of "initial_lr" in the groups, which is recorded now if it is missing; a factor "lr_scale" in a
            group, as timm writes it, is applied too. A group that is added later changes no other group.
        start: Number of updates so far.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names. Give it the losses:
            `attachment.observe(loss)` before each `optimizer.step()`.
        model: The model, of which a guard keeps snapshots.
        scaler: The gradient scaler, whose scale a guard puts back too.
        record: File of the record of the run; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.
        **others: Schedules of other hyper-parameters, by their names in the groups: `weight_decay`, `eps`, and so on.

    Returns:
        The attachment: `updates`, `replace()`, `observe()`, `scale()`, `stopped`, `state_dict()`, `load_state_dict()`,
        `detach()`.

    Raises:
        ArgumentError: if no schedule is given, there is not one for each group, the optimizer does not have the
            hyper-parameter, or its steps cannot be followed.
        ArgumentTypeError: if the optimizer or a schedule is something else.
        AlreadyDrivenError: if something else drives the same hyper-parameter of this optimizer.

    Warns:
        PastEndWarning: once, when a finite schedule is driven past its end; its last value is kept.
        OverruledWarning: once, before an update, if something else changed a value; the scheduled one is written again.
        LostRatiosWarning: once, if groups with different values get the same schedule.

    Example:
        >>> import torch, learnrate as lr
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> attachment = lr.torch.attach(optimizer, lr.linear(1.0, 0.0, length=4))
        >>> for _ in range(3):
        ...     optimizer.step()
        >>> attachment
        <Attachment at update 3: lr 0.25 of linear(start=1.0, end=0.0, length=4)>
    """
    checks.flag("relative", relative)
    schedules = {"lr": lr, "momentum": momentum, **others}
    start = checks.whole("start", start, at_least=0, at_most=checks.LONGEST)
    options: ControlOptions = {"control": control, "model": model, "scaler": scaler, "record": record, "page": page}
    return Attachment(optimizer, schedules, relative, start, options)


class _Groups:
    """The groups of an optimizer, as of its last step.

    The optimizer holds its attachment, through its hooks. A reference back would be a cycle: weights would stay in memory
    until the garbage collector runs.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.param_groups: list[Group] = optimizer.param_groups
        self.defaults: Group = optimizer.defaults


class _Pause:
    """Exists while a pause lasts."""


class Attachment(Steered):
    """Lets the hyper-parameters of an optimizer follow schedules; see `attach`, which makes it."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedules: Mapping[str, Schedules],
        relative: bool,
        start: int,
        options: ControlOptions | None = None,
    ) -> None:
        given = {key: schedule for key, schedule in schedules.items() if schedule is not None}
        if not given:
            raise ArgumentError("attach must be given a schedule for lr, momentum or another hyper-parameter, received none")
        require_undriven(optimizer, *given)  # before anything is written into the groups
        check_names(given, optimizer)
        inner = stepping(optimizer)
        require_hooks(inner)
        self._groups = _Groups(inner)
        scheduled = [
            ScheduledValues(self._groups, key, schedule, relative=relative and key == "lr")
            for key, schedule in given.items()
        ]
        self._options: ControlOptions = options or {}
        self._steering = self._new_steering(given, start) if asks_for_control(self._options) else None
        try:
            self._clocks = {values.key: Clock(self._groups, values, start) for values in scheduled}
            self._in_turn = tuple(self._clocks.values())
            claim(optimizer, given, self)  # last, when nothing can fail any more
        except BaseException:
            if self._steering is not None:
                self._steering.close()  # a record, a page
            raise
        self._attached = True
        self._pause: weakref.ref[_Pause] | None = None
        self._counts = False
        self._relative = relative
        self._schedules = given
        self._optimizer = weakref.ref(optimizer)
        self._handles = (
            inner.register_step_pre_hook(self._before_step),
            inner.register_step_post_hook(self._after_step),
        )

    def _new_steering(self, given: Mapping[str, Schedules], start: int) -> Steering:
        lr = given.get("lr")
        if lr is None:
            raise ArgumentError("control must be given together with a schedule of lr, which it changes, received none")
        return Steering(lr, start, self._options)

    def _make_steering(self) -> Steering:
        if self._steering is None:
            self._steering = self._new_steering(self._schedules, self.updates)
        return self._steering

    def __reduce__(self) -> tuple[Any, ...]:
        # A copied optimizer has no hooks; the copy of an attachment registers new ones.
        arguments = (self._schedules, self._relative, self.state_dict(), copied(self._options))
        return _rebuilt, (type(self), self._optimizer(), *arguments)

    def __repr__(self) -> str:
        driven = "; ".join(clock.summary() for clock in self._in_turn)
        return f"<{type(self).__name__} at update {self.updates}{'' if self._attached else ', detached'}: {driven}>"

    @property
    def updates(self) -> int:
        """Number of updates so far."""
        return self._in_turn[0].last_epoch

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        self._counts = self._pause is None or self._pause() is None
        if self._counts:
            self._groups.param_groups = optimizer.param_groups
            for clock in self._in_turn:
                if not (clock.is_current() or clock.keep_up()):
                    self._counts = False
            if self._steering is not None and self._counts:
                return self._steering.before_step(optimizer, args, kwargs, self.updates)
        return None

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        # A GradScaler skips an update by not calling step, except with fused optimizers: it gives those the flag for the
        # duration of the call, and they skip the update themselves.
        found_inf = getattr(optimizer, "found_inf", None)
        if self._counts and (found_inf is None or not found_inf.item()):
            # The hooks run twice for one update where a subclass's step calls super().step(), which torch hooks too.
            self._counts = False
            steering = self._steering
            if steering is None or not steering.was_left_out():
                for clock in self._in_turn:
                    clock.advance()
            if steering is not None:
                self._settle(steering)

    def _settle(self, steering: Steering, *, requests: bool = True) -> None:
        schedules = steering.settle(self.updates, requests=requests)
        if schedules is not None:
            clock = self._clocks["lr"]
            clock.take(clock.prepared(schedules))

    def _settle_after_evaluation(self) -> None:
        if self._steering is not None and self._steering.is_between_updates and self._attached:
            self._settle(self._steering, requests=False)

    def replace(self, lr: Schedules = None, momentum: Schedules = None, **others: Schedules) -> None:
        """Follow other schedules from now on; the count of updates goes on, and the values of the next update are written.

        Args:
            lr: Schedule of the LR; see `attach`. Update n takes the new schedule's value at n.
            momentum: Schedule of the momentum.
            **others: Schedules of other hyper-parameters. What is not given keeps its schedule.

        Raises:
            ArgumentError: if none is given, or one for a hyper-parameter that this attachment does not drive.
            ArgumentTypeError: if it is no schedule.
            AlreadyDrivenError: if the attachment was detached.

        Example:
            >>> import torch, learnrate as lr
            >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
            >>> attachment = lr.torch.attach(optimizer, lr.constant(0.5), start=3)
            >>> attachment.replace(lr.linear(1.0, 0.0, length=4))
            >>> attachment.updates, optimizer.param_groups[0]["lr"]
            (3, 0.25)
        """
        schedules = {"lr": lr, "momentum": momentum, **others}
        given = self._prepare({key: schedule for key, schedule in schedules.items() if schedule is not None})
        if self._steering is not None and lr is not None:
            self._steering.replaced(lr, self.updates)
            given["lr"] = self._clocks["lr"].prepared(self._steering.schedules)
        self._take(given, schedules)

    def exchange(self, **schedules: Schedules) -> None:
        """Follow other schedules, as if they had been given at the start: for adapters, before they load a checkpoint.

        Args:
            **schedules: See `attach`.

        Raises:
            ArgumentError: see `replace`.
            ArgumentTypeError: see `replace`.
            AlreadyDrivenError: see `replace`.
        """
        prepared = self._prepare(schedules)
        if self._steering is not None and (lr := schedules.get("lr")) is not None:
            self._steering.exchange(lr)
        self._take(prepared, schedules)

    def renew(self) -> None:
        """Read the ratios between the groups' LRs again, after "initial_lr" in a group was changed."""
        self._take(self._prepare({"lr": self._schedules["lr"] if self._steering is None else self._steering.schedules}), {})

    def _prepare(self, given: Mapping[str, Schedules]) -> dict[str, ScheduledValues]:
        """The values of other schedules. Nothing is changed yet, and whatever may fail fails here."""
        require_attached(self, self._attached)
        if not given or not given.keys() <= self._clocks.keys():
            driven = ", ".join(self._clocks)
            checks.refuse("replace", f"given schedules for some of {driven}", list(given), "attach() drives others")
        self._look_up_groups()
        return {key: self._clocks[key].prepared(schedule) for key, schedule in given.items() if schedule is not None}

    def _take(self, prepared: Mapping[str, ScheduledValues], schedules: Mapping[str, Schedules]) -> None:
        for key, values in prepared.items():
            self._clocks[key].take(values)
        self._schedules = {
            **self._schedules,
            **{key: schedule for key, schedule in schedules.items() if schedule is not None},
        }

    def state_dict(self) -> dict[str, Any]:
        """The number of updates so far; the schedules' texts, by which loading notices another schedule; and the control."""
        texts = {key: clock.text for key, clock in self._clocks.items()}
        state = {"updates": self.updates, "schedules": texts}
        for clock in self._in_turn:
            state |= clock.reference()
        if self._steering is not None:
            state |= self._steering.state_dict(self._given_lr())
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the number of updates in `state_dict`, and write the values of this attachment's own schedules.

        Args:
            state_dict: From `state_dict()`. The count alone is enough, as old checkpoints have it.

        Raises:
            ArgumentError: if `state_dict` is not from an attachment.

        Warns:
            OtherScheduleWarning: if it was saved under another schedule, and names the values that both give; or if other
                hyper-parameters were driven.
        """
        self._load(state_dict, compared=True)

    def resume(self, state_dict: dict[str, Any]) -> None:
        """`load_state_dict`, where the caller has decided already which schedules go on; see `exchange`."""
        self._load(state_dict, compared=False)

    def _load(self, state_dict: dict[str, Any], *, compared: bool) -> None:
        updates = checks.whole("updates", require_key("updates", state_dict), at_least=0, at_most=checks.LONGEST)
        require_attached(self, self._attached)
        texts = state_dict.get("schedules", {})
        if not isinstance(texts, Mapping):
            checks.refuse("the schedules in state_dict", "a mapping from hyper-parameters to texts", texts)
        self._look_up_groups()
        followed = dict(texts)
        if self._steering is not None or "control" in state_dict:
            saved, given = given_text(state_dict, followed.pop("lr", None)), self._given_lr()
            steering = self._make_steering()
            steering.load_state_dict(state_dict.get("control"), texts.get("lr"), given, updates)
            clock = self._clocks["lr"]
            clock.take(clock.prepared(steering.schedules))
            if saved is not None and compared:
                warn_of_another_schedule("lr", updates, saved, [given] if isinstance(given, Schedule) else given)
        for key, clock in self._clocks.items():
            clock.load(updates, followed.get(key) if compared else None, state_dict.get("reference_lr"))
        warn_of_other_names(updates, texts, self._clocks)

    def _given_lr(self) -> Followed:
        lr = self._schedules["lr"]
        assert lr is not None  # the mapping has none of those
        return lr

    def _look_up_groups(self) -> None:
        optimizer = self._optimizer()
        if optimizer is not None:
            self._groups.param_groups = optimizer.param_groups

    def write_values(self) -> None:
        """Write the values of the next update, whatever the groups have now."""
        self._look_up_groups()
        for clock in self._in_turn:
            clock.write_values()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Neither write nor count inside the block, because updates of a range test do not belong to the training run."""
        # The pause lasts as long as this object exists: an interrupt at any line ends it together with this frame.
        pause, before = _Pause(), self._pause
        try:
            self._pause = weakref.ref(pause)
            yield
        finally:
            del pause
            self._pause = before

    def detach(self) -> None:
        """Stop driving the optimizer, which keeps its present values."""
        for handle in self._handles:
            handle.remove()
        optimizer = self._optimizer()
        if optimizer is not None:
            release(optimizer, self)
        self._attached = False
        if self._steering is not None:
            self._steering.close()


def _rebuilt(
    cls: type[Attachment],
    optimizer: Optimizer,
    schedules: Mapping[str, Schedules],
    relative: bool,
    state: dict[str, Any],
    options: ControlOptions,
) -> Attachment:
    attachment = cls(optimizer, schedules, relative, state["updates"], options)
    attachment.load_state_dict(state)
    return attachment
