"""Where a page gets a run from: the run itself, in its own process, or something else that knows it."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from learnrate.control.composition import Composition
from learnrate.control.control import Control
from learnrate.control.controller import Observation
from learnrate.control.events import Event
from learnrate.control.live.history import History, Row, row_of
from learnrate.control.live.thinned import Array
from learnrate.control.requests import AnyRequest, InForce, Stop
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length

Status: TypeAlias = Literal["running", "finished"]
Schedules: TypeAlias = tuple[Schedule, ...]

MOST_WAITING = 50_000
"""Updates that wait for the thread of the page; with more, the run takes them over itself."""


class Source(Protocol):
    """A run as a page sees it. Everything is called from the thread of the page."""

    history: History
    title: str

    @property
    def status(self) -> Status:
        """Whether it goes on."""

    @property
    def can_change(self) -> bool:
        """Whether it takes requests at all."""

    @property
    def refusal(self) -> str:
        """Why it takes no more requests although it goes on; empty if it does."""

    def refresh(self) -> None:
        """Bring the history up to date. Called twice a second."""

    def schedules(self) -> tuple[Schedules, Schedules]:
        """What was planned at the start, and what was followed and will be followed, one schedule a parameter group."""

    def total(self, change: AnyRequest | None = None) -> int | None:
        """The updates of the run, as planned now or after a change; None if its schedule has no end."""

    def preview(self, change: AnyRequest) -> Schedules:
        """What would be followed after a change with the next update.

        Raises:
            ArgumentError: if it cannot be applied.
        """

    def request(self, change: AnyRequest, why: str) -> "Future[Event]":
        """Ask for a change."""


class Running:
    """A run in this process. A listener of its control: what it does at each update is to append to a queue.

    Args:
        control: The control of the run.
        start: Number of updates so far.
    """

    can_change = True

    def __init__(self, control: Control, start: int = 0, title: str = "Training run") -> None:
        self.history, self.title = History(), title
        self.status: Status = "running"
        self.woken: Callable[[], None] = lambda: None
        self._control, self._start = control, start
        self._waiting: deque[Row] = deque()
        self._plan = _Plan(control.original)
        self._last_event: Event | None = None
        self._stop: Future[Event] | None = None
        self._lock = threading.Lock()
        self._take_events()

    def on_update(self, observation: Observation) -> None:
        """Queue an update."""
        self._waiting.append(row_of(observation.update, observation.lr, observation.loss, observation.gradient_norm))
        if len(self._waiting) >= MOST_WAITING:
            self._take_over()

    def on_evaluation(self, observation: Observation) -> None:
        """Note an evaluation."""
        metrics = {str(name): float(value) for name, value in observation.metrics.items()}
        self.history.add_metrics(int(observation.update), metrics)

    def on_event(self, event: Event) -> None:
        """Note an event, and show it at once."""
        self._take_events()
        self.woken()

    def on_resume(self, events: Sequence[Event]) -> None:
        """The run goes on from a checkpoint, which has other events."""
        self._take_events()
        self.woken()

    def close(self) -> None:
        """The run has ended; what was shown stays."""
        self.status = "finished"
        self.woken()

    def _take_events(self) -> None:
        # From the list of the control, because a state that is loaded brings the events of the time before it along.
        with self._lock:
            events, count = self._control.events, self.history.event_count
            if count > len(events) or (count and events[count - 1] is not self._last_event):
                self.history.forget_events()
            for event in events[self.history.event_count :]:
                self.history.add_event(event)
                self._last_event = event

    def _take_over(self) -> None:
        with self._lock:  # two threads that took rows at a time would add them in another order
            self.history.add_rows([self._waiting.popleft() for _ in range(len(self._waiting))])

    def refresh(self) -> None:
        """See `Source.refresh`."""
        self._take_over()
        self._take_events()

    def schedules(self) -> tuple[Schedules, Schedules]:
        """See `Source.schedules`."""
        return self._planned().schedules

    def _planned(self) -> "_Plan":
        """What the run follows; brought up to date when there are other events."""
        original, events = self._control.original, self._control.events
        with self._lock:
            if not self._plan.goes_on(original, events):
                self._plan = _Plan(original)
            self._plan.add(events)
            return self._plan

    def total(self, change: AnyRequest | None = None) -> int | None:
        """See `Source.total`."""
        present = self._planned().present
        return total_updates((present if change is None else change.applied(present, self._next)).schedules)

    @property
    def _next(self) -> int:
        self._take_over()
        last = self.history.rows.last
        return self._start if last is None else last + 1

    def preview(self, change: AnyRequest) -> Schedules:
        """See `Source.preview`."""
        return self._control.previews(change, self._next)

    @property
    def refusal(self) -> str:
        """See `Source.refusal`."""
        stopped = self._control.stopped
        if stopped is not None:
            return f"the run was stopped at update {stopped.update:,}: nothing is changed any more"
        if self._stop is not None and not self._stop.done():
            return "the end of the run was asked for already: it ends after the present update"
        return ""

    def request(self, change: AnyRequest, why: str) -> "Future[Event]":
        """See `Source.request`."""
        with self._lock:  # two watchers may press Stop at once, one of them in a notebook
            if self.refusal:
                refused: Future[Event] = Future()
                refused.set_exception(ArgumentError(self.refusal))
                return refused
            future = self._control.request(change, why)
            if isinstance(change, Stop):
                self._stop = future
        return future


class _Plan:
    """What a run follows, composed beside its control: what that composes belongs to the thread of the run.

    Attributes:
        schedules: The original schedules, and those with all that happened.
        present: What is in force, without the factors.
    """

    def __init__(self, original: Schedules) -> None:
        self._original, self._composition = original, Composition(original)
        self._count = 0
        self._last: Event | None = None
        self.schedules, self.present = (original, original), InForce(original)

    def goes_on(self, original: Schedules, events: Sequence[Event]) -> bool:
        """Whether these events begin with those so far. Another checkpoint brings others."""
        if original is not self._original or len(events) < self._count:
            return False
        return self._count == 0 or events[self._count - 1] is self._last

    def add(self, events: Sequence[Event]) -> None:
        """Take in what is new among these events."""
        new = events[self._count :]
        for event in new:
            self._composition.add(event)
            if event.schedules is not None:
                self.present = InForce(event.schedules)
        if new:
            self._count, self._last = self._count + len(new), new[-1]
            self.schedules = self._original, self._composition.schedules


def state_of(source: Source, watchers: int = 0) -> dict[str, Any]:
    """What every message to the browsers says."""
    source.refresh()
    history = source.history
    history.measure_rate()
    latest, total, running = history.latest(), source.total(), source.status == "running"
    left, refusal = None, source.refusal if running else ""
    if running and not refusal and total is not None and history.rate and latest["update"] is not None:
        left = max(0.0, (total - 1 - latest["update"]) / history.rate)
    return {
        "title": source.title,
        "status": source.status,
        "can_change": source.can_change and running and not refusal,
        "refusal": refusal,
        "events": history.event_count,
        "undoable": history.undoable,
        "rate": history.rate if running else None,
        "left": left,
        "total": total,
        "watchers": watchers,
        **latest,
    }


def total_updates(schedules: Schedules) -> int | None:
    """The updates after which a run has followed its schedules to their end; None without one."""
    lengths = [known_length(schedule) for schedule in schedules]
    return None if None in lengths else max(int(np.ceil(length)) for length in lengths if length is not None)


def sampled(schedules: Schedules, start: int, end: int, points: int) -> tuple[Array, Array]:
    """The highest LR of the parameter groups over a part of a run: some updates, and the values there.

    Of longer parts, the extremes in each of equal stretches, so that no peak of a cycle is lost.
    """
    count = end - start + 1
    updates = (
        np.arange(start, end + 1) if count <= 4 * points else np.linspace(start, end, 4 * points).round().astype(np.int64)
    )
    values = np.max([np.broadcast_to(np.asarray(schedule(updates), float), updates.shape) for schedule in schedules], axis=0)
    if len(updates) <= points:
        return updates, values
    ends = np.linspace(0, len(updates), max(2, points // 2) + 1).round().astype(np.int64)
    picked = {0, len(updates) - 1}
    for left, right in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        picked |= {left + int(values[left:right].argmin()), left + int(values[left:right].argmax())}
    at = np.array(sorted(picked))
    return updates[at], values[at]
