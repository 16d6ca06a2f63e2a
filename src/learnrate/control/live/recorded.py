"""A run elsewhere, of which a page knows the record: it can be watched, not changed."""

import sqlite3
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, Never
from urllib.parse import quote

import numpy as np

from learnrate.control.composition import composed
from learnrate.control.events import Event
from learnrate.control.live.history import History
from learnrate.control.live.sources import Schedules, Status, total_updates
from learnrate.control.record import Record
from learnrate.control.requests import AnyRequest
from learnrate.errors import ArgumentError, OutputError
from learnrate.schedules import parse
from learnrate.schedules.functions import Function

INTERVAL = 1.0
"""Seconds between two looks at the file."""

SHARE = 10
"""A file that takes long to read is read rarely: reading takes at most a tenth of the time."""


class Recorded:
    """A run by its record, which a run may be writing.

    Args:
        path: The file.
        functions: Your own functions that its schedules name. Without them the plan is not shown.

    Attributes:
        failure: Why the file could not be read the last time; None if it could.

    Raises:
        OutputError: if the file cannot be read, is damaged, or is something else.
    """

    can_change = False
    refusal = ""

    def __init__(self, path: Path, functions: Iterable[Function] = ()) -> None:
        self.history, self.title = History(), path.name
        self.failure: OutputError | None = None
        self.status: Status = "running"
        self._path, self._functions = path, tuple(functions)
        self._ended = threading.Event()
        self._attempts: list[tuple[int, float]] = []
        self._begun: set[int] = set()
        self._sizes = _sizes(path)  # before it is read, so that a change in between is seen
        self._take(self._load())
        self.status = "running" if is_written(path) else "finished"

    def follow(self) -> "Recorded":
        """Read on while the file grows, in a thread, until `stop`."""
        threading.Thread(target=self._follow, name="learnrate record", daemon=True).start()
        return self

    def stop(self) -> None:
        """Read no more."""
        self._ended.set()

    def _follow(self) -> None:
        pause, size = INTERVAL, self._sizes
        while not self._ended.wait(pause):
            written = is_written(self._path)
            start, sizes = time.monotonic(), _sizes(self._path)
            if sizes != size:
                try:
                    self._take(self._load())
                    self.failure = None
                except OutputError as error:  # it was removed, for example; what was read stays
                    if str(error) != str(self.failure):
                        print(f"learnrate: {error}; the page shows what was read before", file=sys.stderr, flush=True)
                    self.failure = error
                    written = False
                size = sizes
            self.status = "running" if written else "finished"
            pause = max(INTERVAL, SHARE * (time.monotonic() - start))

    def _load(self) -> Record:
        return Record.load(self._path, functions=self._functions)

    def _take(self, record: Record) -> None:
        """Add what is new, or begin again if the run went on from a checkpoint before what is here, or is another run."""
        self._forget_another_run(record)
        last_update = self.history.rows.last
        begun = {attempt.number: attempt.start for attempt in record.attempts if attempt.start is not None}
        again = [start for number, start in begun.items() if number not in self._begun]
        first = 0 if last_update is None else min([last_update + 1, *again])
        self._begun = set(begun)
        start = int(np.searchsorted(record.updates, first))
        # A record has NaN both where no loss was measured and where it was NaN. A run measures it always or never.
        losses = record.losses
        if not np.isnan(losses).all():
            losses = np.where(np.isnan(losses), np.inf, losses)
        values = np.stack([record.lrs, losses, record.gradient_norms])
        self.history.add_table(record.updates[start:], values[:, start:])
        for name, metric in record.metrics.items():
            series = self.history.metrics.get(name)
            last = min([-1 if series is None or series.last is None else series.last, *(start - 1 for start in again)])
            for update, value in zip(metric.updates.tolist(), metric.values.tolist(), strict=True):
                if update > last:
                    self.history.add_metrics(update, {name: value})
        if [event["time"] for event in self.history.events] != [
            event.time for event in record.marks[-len(self.history.events) :]
        ]:
            self.history.forget_events()
        for event in record.marks[self.history.event_count :]:
            self.history.add_event(event)
        self._schedules = self._planned(record)

    def _forget_another_run(self, record: Record) -> None:
        """Begin with an empty history if the file is that of another run now. A run only adds attempts to those it has."""
        attempts = [(attempt.number, attempt.time) for attempt in record.attempts]
        if attempts[: len(self._attempts)] != self._attempts:
            self.history, self._begun = History(), set()
        self._attempts = attempts

    def _planned(self, record: Record) -> tuple[Schedules, Schedules]:
        """What was planned and what is planned now; nothing if the schedules name functions that were not given."""
        try:
            original = tuple(parse(text, self._functions) for text in record.original)
            events = record.events
        except ArgumentError:
            self._total = None
            return (), ()
        replaced = [event.schedules for event in events if event.schedules is not None]
        self._total = total_updates(replaced[-1] if replaced else original)
        return original, composed(original, events) if original else ()

    def refresh(self) -> None:
        """See `Source.refresh`: the thread does it."""

    def schedules(self) -> tuple[Schedules, Schedules]:
        """See `Source.schedules`."""
        return self._schedules

    def total(self, change: AnyRequest | None = None) -> int | None:
        """See `Source.total`."""
        return self._total

    def preview(self, change: AnyRequest) -> Never:
        """See `Source.preview`."""
        raise ArgumentError("a run must be in the process of its page to be changed, this page reads a record")

    def request(self, change: AnyRequest, why: str) -> "Future[Event]":
        """See `Source.request`."""
        return self.preview(change)


def _sizes(path: Path) -> Any:
    """What changes when a record is written: the file, and what sqlite keeps beside it."""
    states = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            state = file.stat()
            states.append((state.st_size, state.st_mtime_ns))
        except OSError:
            states.append((0, 0))
    return states


def is_written(path: Path) -> bool:
    """Whether a run is being recorded in a file: then the database beside it is locked, as long as the process lives."""
    lock = path.with_name(f"{path.name}.lock")
    if not lock.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(lock.absolute()))}?mode=ro", uri=True, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    return False
