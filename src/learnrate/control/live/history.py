"""What a page shows of a run, kept in bounded memory: series, metrics, events, the rate of updates."""

import math
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from learnrate.control.control import HAND
from learnrate.control.events import Event
from learnrate.control.live.thinned import LAST, Array, Thinned

COLUMNS = ("lr", "loss", "gradient_norm")

MOST_EVENTS = 2000
"""Events that are kept for the page, the last ones. A controller may act at every update; the record has all."""

MOST_METRICS = 24
"""Metrics that are shown, the first ones."""

METRIC_BUCKETS = 2**13
"""Buckets of a metric: evaluations are rarer than updates."""

SECONDS = 15.0
"""Time over which the rate of updates is measured."""


class Row(NamedTuple):
    """An update: NaN stands for what was not measured, infinity for what was not finite."""

    update: int
    lr: float
    loss: float
    gradient_norm: float


def row_of(update: Any, lr: Any, loss: Any, gradient_norm: Any) -> Row:
    """A row from numbers of any library; None for what was not measured."""
    return Row(int(update), float(lr), _measured(loss), _measured(gradient_norm))


def _measured(value: Any) -> float:
    if value is None:
        return math.nan
    number = float(value)
    return number if math.isfinite(number) else math.inf


class History:
    """What has happened in a run. One thread may add while another reads.

    Attributes:
        events: The last events as JSON objects, each with its `number`.
        event_count: Number of all events.
        undoable: Changes by hand that can be taken back.
        rate: Updates a second; None while it is not known.
        left_out: Names of metrics that are not shown because there are too many.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows = Thinned(COLUMNS)
        self.metrics: dict[str, Thinned] = {}
        self.left_out: set[str] = set()
        self.events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self.event_count = self.undoable = 0
        self.rate: float | None = None
        self._times: deque[tuple[float, int]] = deque()

    def add_rows(self, rows: Sequence[Row]) -> None:
        """Add updates, in their order."""
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(COLUMNS)).T
        self.add_table(table[0].astype(np.int64), table[1:])

    def add_table(self, updates: Array, values: Array) -> None:
        """Add updates: their numbers, and one row of values for each of `COLUMNS`."""
        if not len(updates):
            return
        with self.lock:
            if self.rows.last is not None and updates[0] <= self.rows.last:
                self._times.clear()
            self.rows.append(updates, values)

    def add_metrics(self, update: int, metrics: Mapping[str, float]) -> None:
        """Add an evaluation."""
        with self.lock:
            for name, value in metrics.items():
                if name not in self.metrics and len(self.metrics) >= MOST_METRICS:
                    self.left_out.add(name)
                    continue
                series = self.metrics.setdefault(name, Thinned(("value",), METRIC_BUCKETS))
                series.append(np.array([update]), np.array([[value]]))

    def add_event(self, event: Event) -> None:
        """Add something that was done."""
        with self.lock:
            self.events.append({"number": self.event_count, **event.to_json()})
            self.event_count += 1
            if event.who == HAND:
                self.undoable += {"undo": -1, "scale": 1, "replace": 1, "cooldown": 1}.get(event.kind, 0)

    def forget_events(self) -> None:
        """The run was set back to a state with other events."""
        with self.lock:
            self.events.clear()
            self.event_count = self.undoable = 0

    def events_after(self, number: int) -> list[dict[str, Any]]:
        """The events that are kept, from a number on."""
        with self.lock:
            return [event for event in self.events if event["number"] >= number]

    def measure_rate(self, now: float | None = None) -> None:
        """Note how far the run is, for its rate of updates."""
        now = time.monotonic() if now is None else now
        last = self.rows.last
        if last is None:
            return
        self._times.append((now, last))
        while len(self._times) > 2 and now - self._times[0][0] > SECONDS:
            self._times.popleft()
        begin, update = self._times[0]
        elapsed = now - begin
        self.rate = (last - update) / elapsed if elapsed > 0.2 else self.rate

    def latest(self) -> dict[str, Any]:
        """The last values, for the head of the page."""
        with self.lock:
            updates, values = self.rows.window(math.inf, math.inf, 2)
            metrics = {name: series.window(math.inf, math.inf, 2)[1][LAST, 0, -1] for name, series in self.metrics.items()}
            row = values[LAST, :, -1] if updates.shape[1] else np.full(len(COLUMNS), np.nan)
            return {
                "first": self.rows.first,
                "update": self.rows.last,
                **{name: _number(value) for name, value in zip(COLUMNS, row, strict=True)},
                "metrics": {name: _number(value) for name, value in metrics.items()},
                "left_out": len(self.left_out),
            }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
