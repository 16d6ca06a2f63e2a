"""One process writes a record. What says so must go when that process is killed, and must not go when it forks."""

import gc
import sqlite3
from contextlib import suppress
from pathlib import Path

from learnrate.errors import OutputError

SOON = 0.2
"""Seconds that an attempt waits for somebody who only looks whether the file is written, as a page that shows it does."""


class WriterLock:
    """The right to write a file, taken from every other process and every other run of this one.

    It is the lock of an empty database beside the file: the system takes it back from a process that ends in any way, a
    child does not inherit it, and sqlite has it on every system. The file of the record itself cannot be locked, because
    others read it.

    Args:
        path: The file of the record.

    Raises:
        OutputError: if somebody else writes it, or the file of the lock cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.lock")
        try:
            self._connection = self._locked() or self._locked_after_collection()
        except sqlite3.OperationalError as error:
            raise OutputError(f"cannot write {path}: its lock {self._path.name} cannot be made: {error}") from error
        except sqlite3.DatabaseError as error:
            raise OutputError(f"cannot write {path}: {self._path.name} is no lock, it has other content: {error}") from error

    def _locked(self) -> sqlite3.Connection | None:
        """A connection that has the lock; None if somebody else has it."""
        connection = sqlite3.connect(self._path, timeout=SOON, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = MEMORY")  # no further file
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if "locked" in str(error):
                return None
            raise
        return connection

    def _locked_after_collection(self) -> sqlite3.Connection:
        """Once more: a run that a notebook has forgotten ends when it is collected."""
        gc.collect()
        connection = self._locked()
        if connection is None:
            raise OutputError(
                f"cannot write {self._path.with_suffix('')}: another run is recorded in it at present, in this process "
                "or in another one. Give each run a file of its own, or close or detach first what drives the other run"
            )
        return connection

    def release(self) -> None:
        """Let others write. The file is removed first: whoever has opened it meanwhile still meets the lock."""
        with suppress(OSError):  # an open file cannot be removed on Windows; it may stay
            self._path.unlink()
        self._connection.close()
