"""A run whose LR is controlled: its control over one `fit` or several, what drives the optimizer, and what is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from learnrate import checks
from learnrate.control import Control
from learnrate.control.controller import named
from learnrate.control.live import page_settings
from learnrate.control.running import Path, begin
from learnrate.errors import ArgumentError, LearnrateError, OutputError
from learnrate.keras.jax_steered import JaxSteered
from learnrate.keras.schedule import saved_text
from learnrate.keras.state_file import StateFile
from learnrate.keras.steering import Steering
from learnrate.keras.torch_steered import TorchSteered
from learnrate.keras.writing import LR, Driven, Overruled
from learnrate.schedules import Schedule, parse


class Steered(Protocol):
    """Writes the values of each update, and lets a control react to it."""

    steering: Steering

    def before_batch(self) -> None:
        """Called before each batch, or block of batches (`steps_per_execution`)."""

    def flush(self) -> None:
        """Observe what still has to be read."""

    def close(self, *, compare: bool = True) -> None:
        """Called after the last batch; or much later, when the LR may be another one and is not to be compared."""

    def again(self, steering: Steering) -> bool:
        """Whether it can be used for a further `fit`, with another steering; it takes that then."""


@dataclass(frozen=True)
class Options:
    """What of `Follow` concerns control; see there.

    Raises:
        ArgumentError: if a name of a controller breaks its rule.
        ArgumentTypeError: if one is no controller, `record` is no path, or `page` something else than settings.
    """

    control: Any = None
    record: Path | None = None
    page: Any = False

    def __post_init__(self) -> None:
        named(self.control)
        checks.optional(checks.path)("record", self.record)
        page_settings(self.page)

    @property
    def ask_for_control(self) -> bool:
        """Whether one of them makes a control necessary."""
        return self.control is not None or self.record is not None or bool(self.page)


@dataclass(frozen=True)
class Saved:
    """Where a run was.

    Attributes:
        original: What it followed at its start.
        given: The schedule of its last `fit`.
        state: The state of its control, and the losses of the batches of an update that was not made yet.
    """

    original: Schedule
    given: Schedule
    state: Mapping[str, Any]


class SteeredRun:
    """A run under a control.

    Args:
        options: The controllers, the record, the page.
        state_file: Where states are saved, if anywhere.
        overruled: Called if something else set the LR.

    Attributes:
        control: The control of the present `fit`, or of the last one; None before the first one.
        writer: What drives the optimizer in the present `fit`.
    """

    def __init__(self, options: Options, state_file: StateFile | None, overruled: Overruled) -> None:
        self._options, self._state_file, self._overruled = options, state_file, overruled
        self.control: Control | None = None
        self.writer: Steered | None = None
        self._former: Steered | None = None
        self._optimizer: Any = None
        self._given: Schedule | None = None
        self._last: tuple[int, Saved] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a `fit` is under way."""
        return self.writer is not None

    @property
    def is_stopped(self) -> bool:
        """Whether a controller or a person ended the run in the present `fit`."""
        return self.writer is not None and self.writer.steering.is_stopped

    def begin(self, model: Any, driven: Driven) -> Steered:
        """Begin or go on.

        Args:
            model: The model.
            driven: The schedules, as they are given.

        Raises:
            OutputError: if the state file is something else, or the record cannot be written.
        """
        batches, given = driven.batches(), driven.schedules[LR]
        saved = self._saved(model.optimizer, batches)
        self._optimizer, self._given = model.optimizer, given
        original = given if saved is None else saved.original
        options, updates = self._options, driven.updates()
        self.control = begin([original], control=options.control, record=options.record, page=options.page, start=updates)
        losses = []
        if saved is not None:
            try:
                self.control.load_state_dict(saved.state)
                losses = [float(loss) for loss in saved.state["losses"]]
            except (LearnrateError, TypeError, ValueError, KeyError) as error:
                self.control.close()
                raise OutputError(f"the saved state of the control must be one that Follow wrote: {error}") from None
            if saved.given != given:
                self.control.replaced([given], updates)
        steering = Steering(self.control, driven, losses)
        if self._former is None or not self._former.again(steering):
            kind = TorchSteered if keras.backend.backend() == "torch" else JaxSteered
            self._former = kind(model, steering, self._overruled)
        self.writer = self._former
        self._watch_saving()
        return self.writer

    def _saved(self, optimizer: Any, batches: int) -> Saved | None:
        """Where the run was: in the last `fit` of this process, or in the state file."""
        if self._last is not None and self._optimizer is optimizer and self._last[0] == batches:
            return self._last[1]
        state = None if self._state_file is None else self._state_file.state(batches)
        if state is None:
            return None
        try:
            return Saved(parse(state["original"]), parse(state["schedule"]), state)
        except (LearnrateError, KeyError) as error:
            raise OutputError(f"state_file must be one that Follow wrote, its control has no schedules: {error}") from None

    def evaluated(self, update: int, lr: float, metrics: Mapping[str, float]) -> None:
        """Let the control react to an evaluation after an update, and save."""
        assert self.writer is not None
        self.writer.flush()
        if metrics:
            self.writer.steering.evaluated(update, lr, metrics)
        self.save()

    def save(self) -> None:
        """Write where the run is into the state file."""
        if self._state_file is None or self.writer is None:
            return
        saved = self._present()
        texts = {"original": saved_text(saved.original), "schedule": saved_text(saved.given)}
        self._state_file.add(self.writer.steering.batches, {**texts, **saved.state})

    def _present(self) -> Saved:
        assert self.writer is not None
        assert self.control is not None
        assert self._given is not None
        self.writer.flush()
        state = {**self.control.state_dict(), "losses": list(self.writer.steering.losses)}
        return Saved(self.control.original[0], self._given, state)

    def close(self, *, aborted: bool = False) -> None:
        """The `fit` has ended; long ago, if an exception ended it without a word to its callbacks."""
        if self.writer is None or self.control is None:
            return
        try:
            self.writer.close(compare=not aborted)
            self._last = self.writer.steering.batches, self._present()
            if not aborted:
                self.save()
        finally:
            vars(self._optimizer).pop("save_own_variables", None)
            self.writer = None
            self.control.close()

    def raise_if_given_up(self) -> None:
        """Raise if a guard ended the run in the last `fit`.

        Raises:
            GaveUpError: with the report.
        """
        if self._former is not None:
            self._former.steering.raise_if_given_up()

    def _watch_saving(self) -> None:
        """Write the state of the control whenever something saves the optimizer: a callback, or `model.save`."""
        optimizer = self._optimizer
        save_own_variables = type(optimizer).save_own_variables

        def saving(store: Any) -> None:
            self.save()
            save_own_variables(optimizer, store)

        if self._state_file is not None:
            vars(optimizer)["save_own_variables"] = saving


def require_open(run: SteeredRun | None) -> Control:
    """The control of the present `fit`.

    Raises:
        ArgumentError: if there is none, or no `fit` is under way.
    """
    if run is None:
        raise ArgumentError(
            "Follow must be given control=, record= or page=True where the LR is changed while training, received none of "
            "them: Follow(schedule, control=[]) allows changes by hand"
        )
    if run.control is None or not run.is_open:
        raise ArgumentError(
            "the LR must be changed while fit trains, from its first batch to its last, received a change now"
        )
    return run.control
