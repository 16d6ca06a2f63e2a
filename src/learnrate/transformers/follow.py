"""A callback that lets the optimizer of a Trainer follow schedules."""

import math
import os
import weakref
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from learnrate import checks
from learnrate.accelerate.attachment import Attachment, Given, follow
from learnrate.control import Control
from learnrate.errors import AlreadyDrivenError, ArgumentError
from learnrate.schedules import Horizon
from learnrate.schedules.given import as_schedules, texts_of
from learnrate.schedules.resume import OnChange, check_on_change
from learnrate.torch.control import ControlOptions, asks_for_control, check_options
from learnrate.torch.driving import replaced
from learnrate.torch.inputs import stepping
from learnrate.transformers import checkpoint
from learnrate.transformers.in_place import trainer_that_calls
from learnrate.transformers.observing import Observing
from learnrate.transformers.takeover import Takeover, require_replaceable
from learnrate.tuner.in_place import Report, Setting

_followed: "weakref.WeakKeyDictionary[Optimizer, weakref.ref[Follow]]" = weakref.WeakKeyDictionary()
"""The callback that drives an optimizer. A run that ends by an exception does not tell its callbacks."""


class Follow(TrainerCallback, ExportableState):
    """Lets the optimizer of a Trainer follow schedules: `Trainer(..., callbacks=[Follow(schedule)])`.

    The Trainer's own scheduler (by default a linear decay of `learning_rate`) stays in its place and writes nothing any
    more; what was set and what is set is reported once at the beginning of each run. The Trainer logs, as "learning_rate",
    the LR that the update really used. Exactly the real updates are counted: not accumulated micro-batches, not updates
    that a gradient scaler skips, not processes. Each `train()` starts again at update 0, and one with
    `resume_from_checkpoint` at the update of the checkpoint, which `trainer_state.json` has. At the end of a run the
    optimizer is detached; after one that ended by an exception, when the next run begins, or by `detach()`.

    Args:
        schedule: Schedule of the LR: an object, its text, or one for each parameter group. LRs are absolute, and
            `learning_rate` of the arguments has no effect. Lengths in percent are shares of the Trainer's own `max_steps`;
            lengths in epochs are those of its loader.
        relative: Keep the ratios between the LRs of parameter groups; see `learnrate.torch.attach`. The two groups that a
            Trainer makes itself, with and without weight decay, have the same LR.
        on_change: What a resumed run does if its schedule is not the one of the checkpoint, because another one was given or
            `max_steps` is another: "error" refuses, "keep" goes on with the one of the checkpoint, "rebase" stretches what
            remains of it, "new" takes the new one at the same count. All but "error" warn.
        report: Receives the text of what was set and what is set, `print` by default; in the main process only.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names. The loss of an update is
            what the Trainer back-propagates and logs, scores are those of its evaluations. What it has done is in
            `trainer_state.json`. Callbacks that `restore_callback_states_from_checkpoint` rebuilds have no controllers.
        record: File of the record of the run; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.
        **others: Schedules of other hyper-parameters, by their names in the groups: `momentum`, `weight_decay`, ...

    Attributes:
        attachment: The attachment of the run under way, None before and after one: `updates`, `replace()`.
        control: The control of the run under way, or of the last one; see `learnrate.control`.

    Raises:
        ArgumentError: if a schedule cannot be read. At the beginning of a run: if a length cannot be resolved, or the
            schedule is not the one of the checkpoint.
        ArgumentTypeError: if an argument is of the wrong kind.
        AlreadyDrivenError: at the beginning of a run, if something else drives the LR: a second callback, a scheduler of
            learnrate, or one that reacts to evaluations.

    Example:
        >>> import learnrate as lr
        >>> callback = lr.transformers.Follow(lr.warmup(3e-4, "5%") >> lr.cosine(3e-4, 0))
        >>> callback
        Follow(lr=warmup(max_lr=0.0003, length='5%') >> cosine(start=0.0003, end=0.0))
    """

    def __init__(
        self,
        schedule: Given,
        *,
        relative: bool = False,
        on_change: OnChange = "error",
        report: Report | None = None,
        control: Any = None,
        record: str | os.PathLike[str] | None = None,
        page: Any = False,
        **others: Given,
    ) -> None:
        self._control_options = check_options({"control": control, "record": record, "page": page})
        checks.flag("relative", relative)
        self._on_change = check_on_change(on_change)
        self._relative = relative
        self._schedules = {key: _read(key, given) for key, given in {"lr": schedule, **others}.items()}
        checks.function_or_none("report", report, "(text)")
        self._report = print if report is None else report
        self._given: bool | None = None
        self._takeover: Takeover | None = None
        self._observing: Observing | None = None
        self._last_control: Control | None = None
        self._state: weakref.ref[TrainerState] | None = None
        self._max_steps = 0
        self.attachment: Attachment | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={given!r}' for key, given in self._schedules.items())})"

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note whether the user has given a scheduler, for the report."""
        self._given = kwargs.get("lr_scheduler") is not None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Attach the schedules, in the place of the Trainer's scheduler."""
        self.detach()
        self._begin(args, state, kwargs["optimizer"], kwargs["lr_scheduler"], kwargs.get("train_dataloader"))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Detach."""
        self.detach()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Begin to observe an update."""
        if self._observing is not None:
            self._observing.begin_update()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Observe the loss of an update."""
        if self._observing is not None:
            self._observing.end_update()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End the run, if a controller or a person wants it."""
        if self.attachment is not None and self.attachment.stopped:
            control.should_training_stop = True

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Observe the scores."""
        if self._observing is not None and self.attachment is not None:
            self._observing.evaluated(kwargs.get("metrics") or {})
            if self.attachment.stopped:
                control.should_training_stop = True

    @property
    def control(self) -> Control:
        """The control of the run: events, requests, what is followed; made at the first use where none was asked for.

        Raises:
            ArgumentError: before the first run begins.
        """
        if self.attachment is not None:
            self._last_control = self.attachment.control
        if self._last_control is None:
            raise ArgumentError(f"the training must have begun before {type(self).__name__} can react, it has not")
        return self._last_control

    def scale(self, factor: float, why: str = "") -> None:
        """Multiply the LR from the next update on, by hand; see `learnrate.torch.attach`.

        Args:
            factor: Above 0.
            why: The reason, for the record.

        Raises:
            ArgumentError: if it is not above 0; if no run is under way.
        """
        if self.attachment is None:
            raise ArgumentError(f"a run must be under way for a change, {type(self).__name__} drives none")
        self.attachment.scale(factor, why)

    def detach(self) -> None:
        """Stop driving the optimizer, which keeps its present values; the Trainer's scheduler drives it again."""
        if self._observing is not None:
            self._observing.end()
        if self.attachment is not None:
            self._last_control = self.attachment.control if self.attachment.is_steered else None
            self.attachment.detach()
        if self._takeover is not None:
            self._takeover.end()
        self.attachment, self._takeover, self._observing = None, None, None

    def state(self) -> dict[str, Any]:
        """What the Trainer writes into `trainer_state.json`: the count, and the schedules by which it was resolved."""
        return {"args": self._arguments(), "attributes": {checkpoint.KEY: self._progress()}}

    def _arguments(self) -> dict[str, Any]:
        """The arguments that rebuild this callback, for `restore_callback_states_from_checkpoint`."""
        schedules = {("schedule" if key == "lr" else key): texts_of(given) for key, given in self._schedules.items()}
        return {**schedules, "relative": self._relative, "on_change": self._on_change}

    def _progress(self) -> dict[str, Any] | None:
        if self.attachment is None:
            return None
        return {**self.attachment.state_dict(), "max_steps": self._max_steps}

    def _begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        optimizer: Optimizer,
        scheduler: Any,
        loader: Any,
        *,
        announced: bool = True,
    ) -> None:
        saved = checkpoint.saved(state)
        if saved is not None:
            checkpoint.entry(saved, "updates")  # before anything is attached
        before = self._setting(args, optimizer, scheduler)
        self._attach(state, optimizer, scheduler, horizon(args, state, loader), saved)
        checkpoint.hand_over(state, type(self).__name__, self.state())
        if state.is_world_process_zero and announced:
            self._report(self._announcement(before, state, saved))

    def _attach(
        self,
        state: TrainerState,
        optimizer: Optimizer,
        scheduler: Any,
        run: Horizon,
        saved: Mapping[str, Any] | None,
    ) -> None:
        self._require_only_owner(state, optimizer, scheduler)
        inner = stepping(optimizer)
        takeover = Takeover(scheduler, optimizer)
        start = state.global_step if saved is None else 0  # which loading the state changes
        trainer = trainer_that_calls(self) if asks_for_control(self._control_options) else None
        try:
            attachment = follow(
                *(inner, self._schedules, run),
                relative=self._relative,
                start=start,
                on_change=self._on_change,
                control=self._control_options if trainer is None else self._control_of(trainer),
            )
            if saved is not None:
                try:
                    attachment.load_state_dict({key: value for key, value in saved.items() if key != "max_steps"})
                except BaseException:
                    attachment.detach()
                    raise
        except BaseException:
            takeover.end()
            raise
        takeover.begin()
        self.attachment, self._takeover, self._max_steps = attachment, takeover, state.max_steps
        self._observing = None if trainer is None else Observing(trainer, attachment)
        self._state = weakref.ref(state)
        _followed[inner] = weakref.ref(self)

    def _control_of(self, trainer: Any) -> ControlOptions:
        return {**self._control_options, "model": trainer.model, "scaler": trainer.accelerator.scaler}

    def _require_only_owner(self, state: TrainerState, optimizer: Optimizer, scheduler: Any) -> None:
        """End what another run has left behind, and refuse a second owner of the LR in this one."""
        require_replaceable(scheduler, optimizer, repr(self))
        other = _followed.get(stepping(optimizer), lambda: None)()
        if other is None or other is self or other.attachment is None:
            return
        if other._state is not None and other._state() is state:
            raise AlreadyDrivenError(
                f"the LR must have one owner, the trainer has two callbacks for it, {other!r} and {self!r}: leave one out"
            )
        other.detach()

    def _setting(self, args: TrainingArguments, optimizer: Optimizer, scheduler: Any) -> Setting:
        """What the Trainer would have done."""
        lrs = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        kind = type(scheduler).__name__ if "momentum" in self._schedules else replaced(scheduler, stepping(optimizer))
        if self._given:
            return Setting(max(lrs), f"the {kind} in optimizers=(..., scheduler)")
        if self._given is None:  # the callback was added later
            return Setting(max(lrs), f"the trainer's {kind}")
        name = getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)
        return Setting(max(lrs), f"the trainer's own schedule, {name} ({kind})")

    def _announcement(self, before: Setting, state: TrainerState, saved: Mapping[str, Any] | None) -> str:
        assert self.attachment is not None
        text = f"learnrate: in place of {before}: {self.attachment!r}"
        if state.global_step and saved is None:
            text += (
                f"\n  the checkpoint is of a run without learnrate: the schedule goes on at the trainer's step "
                f"{state.global_step}"
            )
        return text


def horizon(args: TrainingArguments, state: TrainerState, loader: Any) -> Horizon:
    """What a Trainer knows about its run: its updates, and its updates per epoch if its loader has a length."""
    try:
        batches = len(loader)
    except TypeError:
        return Horizon(updates=state.max_steps)
    return Horizon(updates=state.max_steps, updates_per_epoch=max(1, math.ceil(batches / args.gradient_accumulation_steps)))


def _read(key: str, given: Given) -> Any:
    """Schedules, of which texts are parsed now, where the mistake is near."""
    if isinstance(given, (list, tuple)) and not given:
        raise ArgumentError(f"the schedules of {key} must be one for each parameter group, received none")
    return as_schedules(f"the schedule of {key}", given)
