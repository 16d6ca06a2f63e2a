"""One process writes a record. What says so must go when that process is killed, and must not go when it forks."""

import gc
import sqlite3
from pathlib import Path

from learnrate import locks
from learnrate.errors import OutputError


class WriterLock:
    """The right to write a file, taken from every other process and every other run of this one.

    It is the lock of a file beside it. The file of the record itself cannot be locked, because others read it.

    Args:
        path: The file of the record.

    Raises:
        OutputError: if somebody else writes it, or the file of the lock cannot be made.
    """

    def __init__(self, path: Path) -> None:
        lock_file = path.with_name(f"{path.name}.lock")
        try:
            lock = locks.take(lock_file)
            if lock is None:
                gc.collect()  # a run that a notebook has forgotten ends when it is collected
                lock = locks.take(lock_file)
        except sqlite3.OperationalError as error:
            raise OutputError(f"cannot write {path}: its lock {lock_file.name} cannot be made: {error}") from error
        except sqlite3.DatabaseError as error:
            raise OutputError(f"cannot write {path}: {lock_file.name} is no lock, it has other content: {error}") from error
        if lock is None:
            raise OutputError(
                f"cannot write {path}: another run is recorded in it at present, in this process "
                "or in another one. Give each run a file of its own, or close or detach first what drives the other run"
            )
        self.release = lock.release
