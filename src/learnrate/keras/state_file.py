"""The file in which `Follow` keeps what a run followed: the checkpoints of Keras hold nothing of a callback."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learnrate.errors import OtherScheduleWarning, OutputError
from learnrate.keras.schedule import saved_text
from learnrate.records import write_atomically
from learnrate.schedules import Schedule
from learnrate.schedules.resume import OnChange, resumed
from learnrate.user_code import warn

STATES = 100
"""States of a control that are kept, the newest: a run may go on from any of its later checkpoints."""


@dataclass
class Content:
    """What is in the file.

    Attributes:
        texts: Texts of the schedules by the names of the hyper-parameters.
        events: What happened in the run, as JSON, in order.
        states: The states of the control by the number of batches made, each with the number of events before it.
    """

    texts: dict[str, str] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    states: dict[int, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The content as a JSON object."""
        if not self.states:
            return dict(self.texts)
        states = {str(batches): state for batches, state in self.states.items()}
        return {**self.texts, "control": {"events": self.events, "states": states}}


class StateFile:
    """The file, and its content as this run knows it.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._content = path, Content()

    def schedules(
        self, given: Mapping[str, Schedule], batches: int, updates: int, on_change: OnChange, *, has_control: bool
    ) -> dict[str, Schedule]:
        """The schedules that are followed: those in the file, if the run goes on and `on_change` says so. They are written.

        Args:
            given: Those that are given now, by the names of the hyper-parameters.
            batches: Number of batches so far.
            updates: Number of updates so far.
            on_change: What to do if they differ.
            has_control: Whether the run has a control now.

        Raises:
            OutputError: if the file is something else, or cannot be written.

        Warns:
            OtherScheduleWarning: if the schedules differ; if the run had a control, and has none now, or none of its states
                is from this number of batches.
        """
        chosen = dict(given)
        self._content = Content()
        if batches and self.path.exists():
            self._content = self._read()
            texts = self._content.texts
            chosen = {
                name: resumed(texts.get(name, saved_text(schedule)), schedule, updates, on_change)
                for name, schedule in given.items()
            }
            self._warn_of_control(batches, updates, has_control)
        self._content.texts = {name: saved_text(schedule) for name, schedule in chosen.items()}
        if not has_control:
            self._content.states, self._content.events = {}, []
        self._write()
        return chosen

    def state(self, batches: int) -> dict[str, Any] | None:
        """The state of the control after this number of batches; None if there is none. Later ones are dropped."""
        self._content.states = {count: state for count, state in self._content.states.items() if count <= batches}
        state = self._content.states.get(batches)
        if state is None:
            self._content.states, self._content.events = {}, []
            return None
        self._content.events = self._content.events[: state["events"]]
        return {**state, "events": self._content.events}

    def add(self, batches: int, state: Mapping[str, Any]) -> None:
        """Write the state of the control after this number of batches.

        Raises:
            OutputError: if the file cannot be written.
        """
        events = state["events"]
        self._content.events = events
        self._content.states.pop(batches, None)
        self._content.states[batches] = {**state, "events": len(events)}
        for oldest in list(self._content.states)[:-STATES]:
            del self._content.states[oldest]
        self._write()

    def _warn_of_control(self, batches: int, updates: int, has_control: bool) -> None:
        states = self._content.states
        if not states or (has_control and batches in states):
            return
        counts = ", ".join(map(str, sorted(states)[-5:]))
        reason = f"it has states from batches {counts}" if has_control else "give it control= again to go on with it"
        warn(
            f"the run had a control, of which nothing is known at update {updates}: {reason}; it follows the schedule alone "
            "from here, and controllers begin again",
            OtherScheduleWarning,
        )

    def _read(self) -> Content:
        try:
            saved = json.loads(self.path.read_text())
            if not isinstance(saved, dict):
                raise ValueError("it holds no texts by name")
            control = saved.pop("control", {"events": [], "states": {}})
            if not all(isinstance(text, str) for text in saved.values()):
                raise ValueError("it holds no texts by name")
            states = {int(batches): dict(state) for batches, state in control["states"].items()}
            if not all(isinstance(state.get("events"), int) for state in states.values()):
                raise ValueError("a state of the control has no number of events")
            return Content(saved, list(control["events"]), states)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(f"state_file must be one that Follow wrote, received {str(self.path)!r}: {error}") from None

    def _write(self) -> None:
        text = json.dumps(self._content.as_json(), indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, text.encode())
        except OSError as error:
            path = str(self.path)
            raise OutputError(f"state_file must be a file that can be written, received {path!r}: {error}") from None
