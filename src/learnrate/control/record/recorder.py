"""What listens to a run and records it."""

import json
import math
import os
import sqlite3
import stat
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from learnrate import checks
from learnrate.control.controller import Observation
from learnrate.control.events import Event
from learnrate.control.record import schema, stores
from learnrate.control.record.lock import WriterLock
from learnrate.control.record.schema import Row, plain, printable
from learnrate.control.record.writer import Writer
from learnrate.errors import OutputError, RecordWarning
from learnrate.schedules import Schedule
from learnrate.user_code import warn


class Recorder:
    """Records a run in a file: a listener of `Control`.

    A file that has a run already is added to, never overwritten. What happens from the first update of this run on replaces
    the updates of the earlier ones that have the same numbers; these stay in the file as an earlier attempt.

    Args:
        path: The file: JSON Lines if its name ends in .jsonl, otherwise a database of sqlite.
        schedules: What the run follows at its start, one for all parameter groups or one for each.

    Raises:
        ArgumentTypeError: if `path` is no path.
        OutputError: if the file cannot be written, is something else than a record, or is written by another run.

    Warns:
        RecordWarning: if the file cannot be written for some time, if rows are lost, if a schedule cannot be read back, or
            if a run from its start is recorded in the file of another one.
    """

    def __init__(self, path: str | os.PathLike[str], schedules: Sequence[Schedule]) -> None:
        self.path = _usable(path)
        self._schedules = json.dumps([repr(schedule) for schedule in schedules])
        lock = WriterLock(self.path)
        try:
            store = stores.opened(self.path)
            try:
                self._attempt, self._earlier = store.last()
                self._attempt += 1
                store.write({"attempts": [self._new_attempt()]})
            except BaseException as error:
                store.close()
                if isinstance(error, (OSError, sqlite3.Error)):
                    raise OutputError(f"cannot write {self.path}: {stores.reason(error)}") from error
                raise
        except BaseException:
            lock.release()
            raise
        self._writer = Writer(store, lock)
        self._events: list[Event] = []
        self._resumed = self._begun = False
        self._last = math.inf
        """Number of the last update; the next one has a higher number, or is the same, or begins an attempt."""
        self._close = weakref.finalize(self, _close, self._writer)
        _warn_of_names(schedules)

    def _new_attempt(self) -> Row:
        return self._attempt, time.time(), self._schedules, json.dumps(schema.versions())

    def on_update(self, observation: Observation) -> None:
        """See `Listener.on_update`."""
        n, rate, loss, norm = observation.update, observation.lr, observation.loss, observation.gradient_norm
        if not (type(n) is int and type(rate) is type(loss) is float and (norm is None or type(norm) is float)):
            n, rate, loss, norm = int(n), plain(rate), plain(loss), plain(norm)
        if n <= self._last:
            self._back(n)
        self._last = n
        writer = self._writer
        writer.put(("updates", (self._attempt, n, rate, loss, norm, time.time())))
        if writer.trouble is not None:
            self._tell()

    def on_evaluation(self, observation: Observation) -> None:
        """See `Listener.on_evaluation`."""
        n = int(observation.update)
        if not self._begun:
            self._begin(n + 1)
        for name, value in observation.metrics.items():
            self._put("metrics", (self._attempt, n, printable(name), plain(value), time.time()))

    def on_event(self, event: Event) -> None:
        """See `Listener.on_event`."""
        if not self._begun:
            self._begin(event.update)
        self._events.append(event)
        self._put_event(event)

    def on_resume(self, events: Sequence[Event]) -> None:
        """See `Listener.on_resume`."""
        self._restart()
        self._events, self._resumed = list(events), True

    def close(self) -> None:
        """Write what is left and close the file. Nothing is recorded afterwards."""
        self._tell()
        self._close()

    def _restart(self) -> None:
        """The next update begins an attempt."""
        if self._begun:
            self._attempt, self._begun = self._attempt + 1, False
            self._put("attempts", self._new_attempt())
        self._last = math.inf

    def _back(self, n: int) -> None:
        """An update does not follow the last one. If it is the same, which a gradient scaler had skipped, it replaces it."""
        if n != self._last:
            self._begin(n)

    def _begin(self, n: int) -> None:
        """An attempt begins with an update; or goes back to it, and then becomes another attempt."""
        if self._begun:
            self._restart()
            self._resumed = True  # nothing was loaded, so that the events so far still hold
        self._begun, self._last = True, n - 1
        self._put("starts", (self._attempt, n, int(self._resumed)))
        if self._resumed:
            for event in self._events:
                self._put_event(event)
        elif n == 0 and self._earlier:
            warn(
                f"{self.path} has a run of {self._earlier} updates already; this run begins at update 0 and is recorded as "
                f"attempt {self._attempt}. The earlier one stays: Record.load(path, attempt={self._attempt - 1}). "
                "Give each run a file of its own if this was not meant",
                RecordWarning,
            )

    def _put_event(self, event: Event) -> None:
        content = event.to_json()
        schedules = None if content["schedules"] is None else json.dumps(content["schedules"])
        evidence = json.dumps(content["evidence"])
        who, why = printable(event.who), printable(event.reason)
        row = (self._attempt, event.update, event.kind, who, event.factor, schedules, why)
        self._put("events", (*row, evidence, event.time))

    def _put(self, table: str, row: Row) -> None:
        writer = self._writer
        writer.put((table, row))
        if writer.trouble is not None:
            self._tell()

    def _tell(self) -> None:
        trouble, self._writer.trouble = self._writer.trouble, None
        if trouble is not None:
            warn(trouble, RecordWarning)


def _close(writer: Writer) -> None:
    lost = writer.close()
    if lost is not None:
        warn(lost, RecordWarning)


def _usable(path: str | os.PathLike[str]) -> Path:
    """The absolute path, because the program may change its folder later."""
    checked = checks.path("record", path)
    if not checked.name:
        raise OutputError(f"cannot write {checks.shown(str(checked))}: this is not the name of a file")
    if printable(checked) != str(checked):
        raise OutputError(f"cannot write {checks.shown(str(checked))}: the name of a record must be UTF-8")
    try:
        status = checked.stat()
    except FileNotFoundError:
        status = None
    except OSError as error:  # the name is too long, a part of it is a file
        raise OutputError(f"cannot write {checked}: {error.strerror}") from error
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise OutputError(f"cannot write {checked}: this is a folder; give the name of a file in it, such as run.sqlite")
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise OutputError(f"cannot write {checked}: this is a device or a pipe, and no file that can be read back")
    if checked.suffix.lower() in (".json", ".csv", ".txt"):
        raise OutputError(f"cannot write {checked}: a record is a database, run.sqlite, or JSON Lines, run.jsonl")
    if not checked.absolute().parent.is_dir():
        raise OutputError(f"cannot write {checked}: there is no folder {checked.parent}; create it first")
    return checked.absolute()


def _warn_of_names(schedules: Sequence[Schedule]) -> None:
    """Functions without a name in a module, such as a lambda, are printed in angle brackets, and cannot be read back."""
    texts = [text for text in map(repr, schedules) if "<" in text]
    if texts:
        warn(
            f"the record keeps schedules as text, from which a function without a name in a module cannot be read back: "
            f"{checks.short(texts[0])}. Record.schedule() will refuse it; define the function at the top level of a module",
            RecordWarning,
        )
