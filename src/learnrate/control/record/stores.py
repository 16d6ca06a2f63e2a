"""The file of a record while it is written: one of sqlite, or one with a JSON object a line."""

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Protocol

from learnrate.control.record import schema
from learnrate.control.record.schema import TABLES, Batch
from learnrate.errors import OutputError

WAIT = 5.0
"""Seconds that a write waits for somebody who has locked the database."""

Identity = tuple[int, int]


class Store(Protocol):
    """A file that is written."""

    path: Path

    def last(self) -> tuple[int, int]:
        """The highest number of an attempt, 0 for an empty file; and how many updates it has."""

    def write(self, batch: Batch) -> None:
        """Add rows: all of them, or none and an error.

        Raises:
            OSError: if the file cannot be written.
            sqlite3.Error: the same.
        """

    def close(self) -> None:
        """Close the file."""


def opened(path: Path) -> Store:
    """The store of a file, by its name; the file is made if there is none.

    Raises:
        OutputError: if it cannot be written, or is something else than a record of this version.
    """
    try:
        return JsonLines(path) if path.suffix.lower() == ".jsonl" else Database(path)
    except OutputError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What went wrong, in words."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def not_a_record(path: Path, why: str) -> OutputError:
    """The error for a file with other content."""
    return OutputError(f"{path} is not the record of a run: {why}. Nothing was changed; give the record another name")


def other_version(path: Path, version: object) -> OutputError:
    """The error for a record of another version."""
    return OutputError(f"{path} must be a record of version {schema.VERSION}, but has version {version}: upgrade learnrate")


class Database:
    """A file of sqlite in WAL mode, which others can read while it is written.

    With `synchronous = NORMAL` no commit waits for the disk: what is committed survives the end of the process in any way,
    and an end of the whole machine can take the last commits, but never breaks the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = self._connect(path)
        self._identity = _identity(path)

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        try:
            _check(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if not connection.execute("PRAGMA application_id").fetchone()[0]:
                for statement in ["BEGIN IMMEDIATE", *schema.statements(), "COMMIT"]:
                    connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def last(self) -> tuple[int, int]:
        """See `Store.last`."""
        (attempt,) = self._connection.execute("SELECT coalesce(max(attempt), 0) FROM attempts").fetchone()
        (updates,) = self._connection.execute("SELECT count(*) FROM updates").fetchone()
        return attempt, updates

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        if _identity(self.path) != self._identity:
            self._write_again()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for table, rows in batch.items():
                self._connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(TABLES[table]))})", rows)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _write_again(self) -> None:
        """Somebody has removed or replaced the file: a copy of it takes its place, because the open one is still whole."""
        if self.path.exists():
            raise FileExistsError(f"another file has taken its place; move {self.path.name} away")
        copy = sqlite3.connect(self.path)
        try:
            self._connection.backup(copy)
        finally:
            copy.close()
        connection = self._connect(self.path)
        self._connection.close()
        self._connection, self._identity = connection, _identity(self.path)

    def close(self) -> None:
        """Close the file, as a single one that can be copied and read anywhere, unless somebody reads it right now."""
        try:
            if _identity(self.path) == self._identity:
                self._connection.execute("PRAGMA busy_timeout = 0")
                self._connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:  # it is being read: then it stays in WAL mode, which is complete too
            pass
        finally:
            self._connection.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database of somebody else, before anything is written into it."""
    try:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise not_a_record(path, str(error)) from error
    if mark != schema.APPLICATION_ID and (mark or objects):
        raise not_a_record(path, "it is a database of something else")
    if mark and version != schema.VERSION:
        raise other_version(path, version)


class JsonLines:
    """A file with a JSON object a line: the first says what it is, each further one is a row with its table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Without a buffer, which would keep what a full disk has refused and write it later, a second time.
        self._file = path.open("a+b", buffering=0)
        try:
            self._last = self._begin()
        except BaseException:
            self._file.close()
            raise
        self._identity = _identity(path)

    def _begin(self) -> tuple[int, int]:
        """Write the first line, or check it; cut off a last line that a process was killed at."""
        attempt = updates = 0
        with self.path.open("rb") as file:
            first = file.readline()
            if first:
                check_first_line(first, self.path)
            end = file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                updates += line.startswith(b'{"table": "updates"')
                if line.startswith(b'{"table": "attempts"'):
                    attempt = max(attempt, int(json.loads(line)["attempt"]))
        self._file.truncate(end)
        if not first:
            self._append(_line({"learnrate": schema.KIND, "version": schema.VERSION}))
        return attempt, updates

    def last(self) -> tuple[int, int]:
        """See `Store.last`."""
        return self._last

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        if _identity(self.path) != self._identity:
            self._write_again()
        lines = [
            _line({"table": table, **dict(zip(TABLES[table], map(schema.in_json, row), strict=True))})
            for table, rows in batch.items()
            for row in rows
        ]
        self._append(b"".join(lines))

    def _append(self, data: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(end)
            raise

    def _write_again(self) -> None:
        """See `Database._write_again`."""
        if self.path.exists():
            raise FileExistsError(f"another file has taken its place; move {self.path.name} away")
        self._file.seek(0)
        file = self.path.open("a+b", buffering=0)
        try:
            shutil.copyfileobj(self._file, file)
        except OSError:
            file.close()
            self.path.unlink()
            raise
        self._file.close()
        self._file, self._identity = file, _identity(self.path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def check_first_line(line: bytes, path: Path) -> None:
    """Refuse a file whose first line is not that of a record of this version.

    Raises:
        OutputError: if it is not.
    """
    try:
        content = json.loads(line)
    except ValueError as error:
        raise not_a_record(path, "its first line is not JSON") from error
    if not isinstance(content, dict) or content.get("learnrate") != schema.KIND:
        raise not_a_record(path, "its first line does not say so")
    if content.get("version") != schema.VERSION:
        raise other_version(path, content.get("version"))


def _line(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, allow_nan=False) + "\n").encode()


def _identity(path: Path) -> Identity | None:
    """What tells a file from another one that has taken its name; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
