"""Locks between processes: a file that one process has, until it ends in any way."""

import sqlite3
from contextlib import suppress
from pathlib import Path

SOON = 0.2
"""Seconds that an attempt waits for somebody who only looks whether the file is locked."""


class Lock:
    """The lock of a file, taken from every other process and from everybody else in this one.

    It is the lock of an empty database: the system takes it back from a process that ends in any way, a child does not
    inherit it, and sqlite has it on every system.

    Args:
        path: The file; it is made if there is none.
        connection: What has the lock.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def release(self) -> None:
        """Let others have it. The file is removed first: whoever has opened it meanwhile still meets the lock."""
        with suppress(OSError):  # an open file cannot be removed on Windows; it may stay
            self.path.unlink()
        self._connection.close()


def take(path: Path) -> Lock | None:
    """The lock of a file; None if somebody has it.

    Raises:
        sqlite3.OperationalError: if the file cannot be made.
        sqlite3.DatabaseError: if it has other content.
    """
    connection = sqlite3.connect(path, timeout=SOON, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = MEMORY")  # no further file
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        connection.close()
        if "locked" in str(error):
            return None
        raise
    return Lock(path, connection)


def is_taken(path: Path) -> bool:
    """Whether a process that still runs has the lock of a file. The file of a process that has ended is removed."""
    if not path.exists():
        return False
    lock = take(path)
    if lock is None:
        return True
    lock.release()
    return False
