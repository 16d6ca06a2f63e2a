"""What is beside the controllers of a run: what is told about it, and where requests come from."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from learnrate.control.controller import Observation
from learnrate.control.events import Event
from learnrate.control.requests import AnyRequest


class Listener(Protocol):
    """Is told what happens in a run: the record, the live page."""

    def on_update(self, observation: Observation) -> None:
        """An update was made. Called at each one, so it must be quick."""

    def on_evaluation(self, observation: Observation) -> None:
        """An evaluation was made."""

    def on_event(self, event: Event) -> None:
        """Something was done."""

    def on_resume(self, events: Sequence[Event]) -> None:
        """The run goes on from a checkpoint, which has these events and no others. The next update may be an earlier one."""

    def close(self) -> None:
        """The run has ended, or is not driven any more."""


class Channel(Protocol):
    """Where requests come from, beside the calls of `Control.request`: a signal, a file."""

    def poll(self) -> Iterable[AnyRequest]:
        """The requests since the last call. Called between updates, so it must be quick."""

    def close(self) -> None:
        """The run has ended."""
