"""What is beside the controllers of a run: what is told about it, and where requests come from."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Protocol, TypeAlias

from learnrate.control.controller import Observation, Opener
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


Asked: TypeAlias = tuple[AnyRequest, str, "Future[Event]"]
"""A request, the reason for the record (empty: the request in words), and where the answer goes: the event, or the error."""


class Channel(Protocol):
    """Where requests come from, beside the calls of `Control.request`: a signal, a file."""

    def poll(self) -> Iterable[Asked]:
        """The requests since the last call. Called between updates, so it must be quick."""

    def close(self) -> None:
        """The run has ended."""


def opened(openers: Iterable[Opener]) -> list[Channel]:
    """The channels of what opens one. If one cannot be opened, those before it are closed: they may handle signals."""
    channels: list[Channel] = []
    with ExitStack() as closing:
        for opener in openers:
            channels.append(opener.open())
            closing.callback(channels[-1].close)
        closing.pop_all()
    return channels
