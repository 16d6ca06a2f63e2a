"""The callback that lets an optimizer of Keras follow a schedule."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from learnrate import checks, schedules
from learnrate.control import Control, Scale
from learnrate.errors import AlreadyDrivenError, ArgumentError, OverruledWarning, PastEndWarning
from learnrate.keras.optimizers import (
    accumulation_of,
    check_accumulation,
    check_backend,
    check_model,
    has_own_lr,
    innermost,
    name_of_source,
    require_same_accumulation,
)
from learnrate.keras.schedule import schedule_of
from learnrate.keras.state_file import StateFile
from learnrate.keras.steered import Options, Steered, SteeredRun, require_open
from learnrate.keras.writing import LR, Driven, JaxWriter, TorchWriter, Writer, driven
from learnrate.schedules import Horizon
from learnrate.schedules.base import known_length
from learnrate.schedules.resume import OnChange, check_on_change
from learnrate.user_code import warn


class Follow(keras.callbacks.Callback):  # type: ignore[misc]
    """Let the optimizer of `model.fit` follow a schedule, update by update: `model.fit(..., callbacks=[Follow(schedule)])`.

    For optimizers that were compiled with a number as their LR. Put it first in the list of callbacks, so that the others
    see what it writes into the logs: under "learning_rate" the LR that the last update of the epoch used, and the other
    hyper-parameters under their names.

    The count of updates is that of the optimizer, so that a run goes on where it was after `load_model`, `load_weights` or
    `BackupAndRestore`, at any update, and an update that a `LossScaleOptimizer` skipped does not count. It is never set
    back: a second `fit` of the same model goes on in the schedule.

    Args:
        schedule: The schedule of the LR, or its text. Lengths in percent and epochs are those of `fit`: its `epochs`, and
            the steps of its epochs.
        accumulation: Batches of an update; by default the `gradient_accumulation_steps` of the optimizer.
        state_file: A path where the text of the schedule is kept, beside the checkpoints, and what controllers know. A run
            that goes on (the optimizer has made updates) under another schedule is then noticed, and its controllers go on
            where they were. Keras keeps nothing of a callback in its checkpoints.
        on_change: What to do then: "error", "keep", "rebase" or "new"; see `learnrate.schedules.resume.resumed`.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names. They see the loss of each
            update, and what `fit` logs of its validation data ("val_..."). An empty list allows changes by hand alone.
        record: File of the record of the run; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.
        **hyper_parameters: Schedules, or their texts, of other hyper-parameters of the optimizer by their names in it, such
            as `momentum`, `beta_1` or `weight_decay`. The optimizer must have been built with a number above 0 there.

    Raises:
        ArgumentError: if a text is no schedule; at the beginning of `fit` if the optimizer has no such hyper-parameter, if
            accumulation is not that of the optimizer, if a length in percent or epochs needs a number of steps that `fit`
            does not know, or if the schedule is not that of `state_file`.
        ArgumentTypeError: if an argument is of the wrong type.
        AlreadyDrivenError: at the beginning of `fit` if the optimizer was compiled with a schedule, or there are two of
            these callbacks.

    Warns:
        OverruledWarning: if something else changed the LR; the schedule's value is written again.
        PastEndWarning: if a schedule with an end is driven past it.
        OtherScheduleWarning: if a run goes on with another schedule, or without the controllers that it had.
    """

    def __init__(
        self,
        schedule: "schedules.Schedule | str",
        accumulation: int | None = None,
        *,
        state_file: str | Path | None = None,
        on_change: OnChange = "error",
        control: Any = None,
        record: str | os.PathLike[str] | None = None,
        page: Any = False,
        **hyper_parameters: "schedules.Schedule | str",
    ) -> None:
        super().__init__()
        check_backend()
        self.schedule = schedule_of(schedule)
        self.accumulation = check_accumulation(accumulation)
        self.hyper_parameters = {name: schedule_of(given, name) for name, given in hyper_parameters.items()}
        self._state_file = None if state_file is None else StateFile(checks.path("state_file", state_file))
        options = Options(control, record, page)
        self._run = SteeredRun(options, self._state_file, self._overruled) if options.ask_for_control else None
        self._on_change = check_on_change(on_change)
        self._driven: Driven | None = None
        self._writer: Writer | Steered | None = None
        self._former: Writer | Steered | None = None
        self._warned_of: set[str] = set()

    @property
    def control(self) -> Control:
        """The control of the run: its events and schedules, and `request`, which any thread may call while `fit` trains.

        Raises:
            ArgumentError: if there is none, or `fit` has made no batch yet.
        """
        if self._run is None or self._run.control is None:
            return require_open(self._run)
        return self._run.control

    def scale(self, factor: float, why: str = "") -> None:
        """Multiply the LR from the next update on, by hand; `control.request(learnrate.control.Undo())` takes it back.

        Args:
            factor: Above 0.
            why: The reason, for the record.

        Raises:
            ArgumentError: if it is not above 0, or `fit` does not train.
        """
        require_open(self._run).request(Scale(factor), why)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check that the optimizer can be driven."""
        optimizer = check_model(self.model)
        if not has_own_lr(optimizer):
            raise AlreadyDrivenError(
                f"the LR must have one owner: the optimizer was compiled with {name_of_source(optimizer)}, which drives it, "
                f"and Follow({self.schedule!r}) would too: compile with a number, or leave out Follow"
            )
        require_same_accumulation(self.accumulation, optimizer)
        self._require_alone(optimizer)
        if self._driven is None or self._driven.optimizer is not innermost(optimizer):
            for name in self.hyper_parameters:  # a former `fit` may have left it at 0
                self._require_number(optimizer, name)
        self._resolved(self._horizon(optimizer))
        if self._run is not None:
            self._run.close(aborted=True)
        self._former = self._writer or self._former
        self._writer = None

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the values of the next update."""
        if self._writer is None:  # now, because other callbacks may load weights when training begins
            self._writer = self._begun()
        self._writer.before_batch()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the values of the last update into the logs, and let controllers see what was evaluated."""
        if self._driven is None or self._writer is None:
            return
        updates = self._driven.updates()
        metrics = {name: float(value) for name, value in (logs or {}).items() if name.startswith("val_")}
        if logs is not None:
            logs[LR] = self._driven.lr()
            logs |= {name: schedule(max(0, updates - 1)) for name, schedule in self._driven.others.items()}
        if self._run is not None and updates:
            self._run.evaluated(updates - 1, self._driven.lr(), metrics)
            self.model.stop_training = self.model.stop_training or self._run.is_stopped
        for name, schedule in self._in_force().items():
            self._warn_of_end(name, schedule, updates)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Leave the optimizer with the values of the last update.

        Raises:
            GaveUpError: if a guard has given the run up. `fit` has ended as usual by then: the weights of the last good
                snapshot are in the model, and were evaluated and saved as those of any epoch.
        """
        if self._writer is not None and self._driven is not None:
            if self._run is not None:
                self._run.close()
            else:
                self._writer.close()
            updates = self._driven.updates()
            for name, schedule in self._driven.others.items():
                setattr(self._driven.optimizer, name, schedule(max(0, updates - 1)))
        has_trained, self._writer, self._former = self._writer is not None, None, self._writer
        _ACTIVE.pop(id(self.params), None)
        if has_trained and self._run is not None:
            self._run.raise_if_given_up()

    def _begun(self) -> "Writer | Steered":
        optimizer = check_model(self.model)
        given = self._resolved(self._horizon(optimizer))
        if self._state_file is not None:
            present, has_control = driven(optimizer, given), self._run is not None
            counts = present.batches(), present.updates()
            given = self._state_file.schedules(given, *counts, self._on_change, has_control=has_control)
        self._driven = driven(optimizer, given)
        if self._run is not None:
            return self._run.begin(self.model, self._driven)
        former = self._former
        if isinstance(former, (TorchWriter, JaxWriter)) and former.again(self._driven):
            return former
        writer = TorchWriter(self._driven, self._overruled) if keras.backend.backend() == "torch" else None
        return writer or JaxWriter(self.model, self._driven, self._overruled)

    def _in_force(self) -> Mapping[str, schedules.Schedule]:
        """The schedules by name, with what a control has changed."""
        if self._driven is None:
            return {}
        control = {} if self._run is None or self._run.control is None else {LR: self._run.control.schedules[0]}
        return {**self._driven.schedules, **control}

    def _horizon(self, optimizer: Any) -> Horizon | None:
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        if not steps or not epochs:
            return None
        accumulation = accumulation_of(optimizer)
        return Horizon(max(1, steps * epochs // accumulation), updates_per_epoch=steps / accumulation)

    def _resolved(self, horizon: Horizon | None) -> dict[str, schedules.Schedule]:
        given = {LR: self.schedule, **self.hyper_parameters}
        if horizon is not None:
            return {name: schedule.resolve(horizon) for name, schedule in given.items()}
        for name, schedule in given.items():
            if not schedule.is_resolved:
                raise ArgumentError(
                    f"the schedule of {name} must have its lengths in updates where fit does not know the steps of an "
                    f"epoch, received {schedule!r}: give fit steps_per_epoch, or call schedule.resolve(updates)"
                )
        return given

    def _require_alone(self, optimizer: Any) -> None:
        """Refuse a second callback in the same `fit`, which hands the same parameters to all of its callbacks."""
        other = _ACTIVE.get(id(self.params))
        if other is not None and other is not self and other.params is self.params:
            raise AlreadyDrivenError(
                f"the LR must have one owner: both Follow({other.schedule!r}) and Follow({self.schedule!r}) are callbacks "
                "of this fit: leave out one of them"
            )
        _ACTIVE.clear()
        _ACTIVE[id(self.params)] = self

    def _require_number(self, optimizer: Any, name: str) -> None:
        """Refuse a hyper-parameter that the optimizer does not have, or has switched off when it was built."""
        inner = innermost(optimizer)
        numbers = {key: value for key, value in vars(inner).items() if _is_number(value) and not key.startswith("_")}
        if name not in numbers:
            names = ", ".join(sorted(numbers))
            checks.refuse(
                f"the hyper-parameter {name} of Follow",
                f"one that {type(inner).__name__} has as a number",
                getattr(inner, name, None),
                f"it has {names}",
            )
        if not numbers[name]:
            remedy = "build the optimizer with a number above 0, with which it makes room for it"
            checks.refuse(f"the hyper-parameter {name} of the optimizer", "above 0", numbers[name], remedy)
        if keras.backend.backend() == "torch" and self.model.jit_compile:
            raise ArgumentError(
                f"the hyper-parameter {name} must be scheduled without jit_compile=True on torch, which compiles a step for "
                "each value: leave out jit_compile"
            )

    def _overruled(self, written: float, present: float) -> None:
        if "owner" in self._warned_of:
            return
        self._warned_of.add("owner")
        warn(
            f"something other than Follow({self.schedule!r}) set the LR from {written:.6g} to {present:.6g}, as "
            "ReduceLROnPlateau, LearningRateScheduler or an assignment do: the schedule's value is written again at each "
            "update; leave out one of them",
            OverruledWarning,
        )

    def _warn_of_end(self, name: str, schedule: schedules.Schedule, updates: int) -> None:
        length = known_length(schedule)
        if length is None or updates <= length + 1 or name in self._warned_of:
            return
        self._warned_of.add(name)
        warn(
            f"{name} is driven past the end of {schedule!r}, its last value is kept: train for fewer updates or give a "
            "longer schedule",
            PastEndWarning,
        )


_ACTIVE: dict[int, Follow] = {}
"""The callback of the `fit` under way, by the `id` of the parameters of this `fit`."""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
