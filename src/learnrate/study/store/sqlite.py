"""A study in one file of sqlite, which several processes of one machine may write."""

import itertools
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from learnrate import checks, locks
from learnrate.errors import OutputError
from learnrate.study.definition import Definition
from learnrate.study.running.environment import environment
from learnrate.study.running.run import EndedRun, Key
from learnrate.study.store import rows
from learnrate.study.store.store import Contents, Stored

T = TypeVar("T")

VERSION = 1
"""Version of the tables. It rises when a reader of the version before would misread them."""

APPLICATION_ID = 0x6C727374
"""What marks a database as a study ("lrst"): `PRAGMA application_id` of sqlite, which `file` and others read."""

WAIT = 60.0
"""Seconds that a write waits for another process; each write takes some milliseconds."""

TABLES = (
    "CREATE TABLE study (name TEXT PRIMARY KEY, value TEXT)",
    "CREATE TABLE drivers (driver TEXT PRIMARY KEY, began REAL, environment TEXT)",
    "CREATE TABLE claims (arm TEXT, seed INTEGER, driver TEXT, time REAL, PRIMARY KEY (arm, seed))",
    "CREATE TABLE runs (arm TEXT, seed INTEGER, kind TEXT, score REAL, updates INTEGER, seconds REAL, record TEXT, "
    "losses BLOB, environment TEXT, finished REAL, driver TEXT, PRIMARY KEY (arm, seed))",
    "CREATE TABLE evaluations (arm TEXT, seed INTEGER, updates INTEGER, metric TEXT, value REAL)",
    "CREATE INDEX evaluations_of ON evaluations (arm, seed)",
)
"""`study`: version, uid and definition. `drivers`: each process that has worked on the study. `claims`: runs in progress.
`runs`: those that have ended; `kind` is "training", "choice" or "failure", `record` is JSON without losses, which are
64-bit floats in little-endian order. `evaluations` repeats those of the records, for queries with sqlite alone."""


_NEW = "WHERE rowid >= ? ORDER BY rowid"
"""The rows that were not read yet. A row that is written or replaced gets a number above that of all others; or its own
again, if it was the last one itself. Therefore the last row is always read again."""


class SqliteStore:
    """See `Store`.

    In WAL mode a commit does not wait for the disk: what is committed survives the end of the process in any way.

    Args:
        path: The file; it is made if there is none.
        to_read: Whether nothing is to be made or changed, so that a file that may not be written can be read.

    Raises:
        OutputError: if it cannot be written, or is something else than a study of this version.
    """

    def __init__(self, path: Path, *, to_read: bool = False) -> None:
        self.path = path
        self.checkpoints = path.with_name(f"{path.name}.checkpoints")
        self._driver = uuid.uuid4().hex[:12]
        self._before: dict[Key, tuple[str, float]] = {}
        self._lock: locks.Lock | None = None
        self._ended: set[Key] = set()
        self._runs: dict[Key, Stored] = {}
        self._last_ended = self._last_run = 0  # numbers of the last rows that were read into these
        self._connection = self._open_to_read() if to_read else self._open()
        self._file = _identity(path)

    def _open_to_read(self) -> sqlite3.Connection:
        with self._errors("read"):
            connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", timeout=WAIT, isolation_level=None, uri=True)
            try:
                _check(connection, self.path)
                if not connection.execute("PRAGMA application_id").fetchone()[0]:
                    raise OutputError(f"{self.path} has no study: the file is empty")
            except BaseException:
                connection.close()
                raise
        return connection

    def _open(self) -> sqlite3.Connection:
        with self._errors("write"):
            connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
            try:
                _check(connection, self.path)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                if not connection.execute("PRAGMA application_id").fetchone()[0]:
                    for statement in (
                        *TABLES,
                        f"PRAGMA application_id = {APPLICATION_ID}",
                        f"PRAGMA user_version = {VERSION}",
                    ):
                        connection.execute(statement)
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
        return connection

    def begin(self, definition: Definition) -> str:
        """See `Store.begin`."""

        def write(connection: sqlite3.Connection) -> str:
            values = dict(connection.execute("SELECT name, value FROM study"))
            merged = definition
            if values:
                with self._damage("its definition"):
                    stored = _definition(values["definition"])
                merged = definition.added_to(stored, self.path)
            uid = values.get("uid") or uuid.uuid4().hex
            content = {"uid": uid, "definition": json.dumps(merged.as_record())}
            connection.executemany("INSERT OR REPLACE INTO study VALUES (?, ?)", content.items())
            here = json.dumps(environment())
            connection.execute("INSERT OR REPLACE INTO drivers VALUES (?, ?, ?)", (self._driver, time.time(), here))
            return uid

        is_first = self._lock is None
        self._show_life()
        uid = self._written(write)
        if is_first:
            self._before = self._failures(self._connection)
        return uid

    def _show_life(self) -> None:
        """Take the lock that shows other processes that this one is alive; again if its file was removed."""
        with self._errors("write"):
            if self._lock is None or not self._lock.path.exists():
                self.checkpoints.mkdir(parents=True, exist_ok=True)
                self._lock = locks.take(self._lock_of(self._driver))

    def _failures(self, connection: sqlite3.Connection) -> dict[Key, tuple[str, float]]:
        """The runs that have failed, with what identifies the attempt. Its time alone would not: clocks may be set back."""
        sql = "SELECT arm, seed, driver, finished FROM runs WHERE kind = 'failure'"
        with self._errors("read"):
            return {Key(arm, seed): (driver, finished) for arm, seed, driver, finished in connection.execute(sql)}

    def _lock_of(self, driver: str) -> Path:
        return self.checkpoints / f"{driver}.lock"

    def claim(self, keys: Sequence[Key], most: int) -> list[Key]:
        """See `Store.claim`."""

        def write(connection: sqlite3.Connection) -> list[Key]:
            ended = self._read_ended(connection)
            self._void_claims(connection)
            sql = "SELECT 1 FROM claims WHERE arm = ? AND seed = ?"
            left = (key for key in keys if key not in ended)
            free = (key for key in left if connection.execute(sql, (key.arm, key.seed)).fetchone() is None)
            claimed = list(itertools.islice(free, most))
            values = [(key.arm, key.seed, self._driver, time.time()) for key in claimed]
            connection.executemany("INSERT INTO claims VALUES (?, ?, ?, ?)", values)
            return claimed

        self._show_life()
        return self._written(write)

    def _read_ended(self, connection: sqlite3.Connection) -> set[Key]:
        """The runs that are not to be made again. Only what is new is read, so that a study of N runs does not cost N²."""
        sql = f"SELECT rowid, arm, seed, kind, driver, finished FROM runs {_NEW}"
        for rowid, arm, seed, kind, driver, finished in connection.execute(sql, (self._last_ended,)):
            self._last_ended = rowid
            if kind != "failure" or self._before.get(Key(arm, seed)) != (driver, finished):
                self._ended.add(Key(arm, seed))
        return self._ended

    def _void_claims(self, connection: sqlite3.Connection) -> None:
        """Remove the claims of processes that have ended."""
        drivers = [row[0] for row in connection.execute("SELECT DISTINCT driver FROM claims")]
        for driver in drivers:
            if driver != self._driver and not locks.is_taken(self._lock_of(driver)):
                connection.execute("DELETE FROM claims WHERE driver = ?", (driver,))

    def finish(self, ended: EndedRun) -> None:
        """See `Store.finish`."""

        def write(connection: sqlite3.Connection) -> None:
            key = (ended.key.arm, ended.key.seed)
            connection.execute("DELETE FROM claims WHERE arm = ? AND seed = ?", key)
            # If the lock of this process was removed, another one may have made the run.
            if connection.execute("SELECT 1 FROM runs WHERE arm = ? AND seed = ? AND kind != 'failure'", key).fetchone():
                return
            row = rows.encode(ended.result)
            values = (*key, *row, json.dumps(ended.environment), time.time(), self._driver)
            connection.execute(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(values))})", values)
            connection.execute("DELETE FROM evaluations WHERE arm = ? AND seed = ?", key)
            evaluations = [(*key, *evaluation) for evaluation in rows.evaluations(ended.result)]
            connection.executemany("INSERT INTO evaluations VALUES (?, ?, ?, ?, ?)", evaluations)

        self._written(write)

    def release(self, key: Key) -> None:
        """See `Store.release`."""
        sql = "DELETE FROM claims WHERE arm = ? AND seed = ? AND driver = ?"
        self._written(lambda connection: connection.execute(sql, (key.arm, key.seed, self._driver)))

    def contents(self) -> Contents:
        """See `Store.contents`."""
        with self._errors("read"):
            values = dict(self._connection.execute("SELECT name, value FROM study"))
            if not values:
                raise OutputError(f"{self.path} has no study: it was made, but no training was begun")
            with self._damage("its definition"):
                definition = _definition(values["definition"])
            sql = f"SELECT rowid, arm, seed, kind, record, losses, environment, finished FROM runs {_NEW}"
            new = self._connection.execute(sql, (self._last_run,))
            for rowid, arm, seed, kind, record, losses, worker_environment, finished in new:
                self._runs.pop(Key(arm, seed), None)  # one that had failed goes to the end, as in the file
                with self._damage(f"the run {Key(arm, seed)}"):
                    stored = Stored(rows.decode(kind, record, losses), json.loads(worker_environment), finished)
                self._runs[Key(arm, seed)] = stored
                self._last_run = rowid
            claims = list(self._connection.execute("SELECT arm, seed, driver FROM claims ORDER BY time"))
            living = {driver for _, _, driver in claims if driver == self._driver or locks.is_taken(self._lock_of(driver))}
        in_progress = tuple(Key(arm, seed) for arm, seed, driver in claims if driver in living)
        return Contents(definition, dict(self._runs), in_progress)

    @contextmanager
    def _damage(self, what: str) -> Iterator[None]:
        """Name the part of the file that cannot be read: somebody has edited it, or the disk has lost a part."""
        try:
            yield
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            reason = " ".join(f"{error}".split())
            raise OutputError(f"the study {self.path} is damaged: {what} cannot be read: {reason}") from error

    def others_work(self) -> bool:
        """See `Store.others_work`."""
        sql = "SELECT 1 FROM claims WHERE driver != ? LIMIT 1"

        def look(connection: sqlite3.Connection) -> bool:
            self._void_claims(connection)
            return connection.execute(sql, (self._driver,)).fetchone() is not None

        return self._written(look)

    def close(self) -> None:
        """See `Store.close`."""
        try:
            if self._lock is not None:
                self._written(lambda connection: connection.execute("DELETE FROM claims WHERE driver = ?", (self._driver,)))
                self._lock.release()
                self._lock = None
                for file in self.checkpoints.glob("*.lock"):  # of processes that were killed before they claimed a run
                    locks.is_taken(file)
                if not any(self.checkpoints.iterdir()):
                    self.checkpoints.rmdir()
                self._connection.execute("PRAGMA busy_timeout = 0")
                self._connection.execute("PRAGMA journal_mode = DELETE")  # a single file, which can be copied
        except (OSError, sqlite3.Error, OutputError):  # another process uses it; or the disk is full, and an error said so
            pass
        finally:
            if self._lock is not None:  # its file may stay: a lock that no process has is void
                self._lock.release()
            self._connection.close()

    def _written(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Do something as one transaction."""
        with self._errors("write"):
            # sqlite would go on in a file that has no name any more, and all of it would be lost at the end.
            if _identity(self.path) != self._file:
                raise OutputError(
                    f"cannot write the study {self.path}: the file was removed or replaced while it was in use"
                )
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = write(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return result

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except (OSError, sqlite3.Error) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            raise OutputError(f"cannot {what} the study {self.path}: {reason}") from error


def _definition(text: str) -> dict[str, Any]:
    """The definition of a study, with what is needed to read it."""
    definition: dict[str, Any] = checks.instance(dict, "an object")("definition", json.loads(text))
    if missing := [name for name in ("arms", "updates", "until_sure") if name not in definition]:
        raise ValueError(f"it has no {missing[0]}")
    return definition


def _identity(path: Path) -> tuple[int, int] | None:
    """What distinguishes a file from a later one with the same name."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is no study, before anything is written into it."""
    try:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise OutputError(f"{path} is not a study: {error}. Nothing was changed; give the study another name") from error
    if mark != APPLICATION_ID and (mark or objects):
        raise OutputError(f"{path} is a database of something else. Nothing was changed; give the study another name")
    if mark and version != VERSION:
        remedy = "upgrade learnrate" if version > VERSION else "continue it with the version of learnrate that has made it"
        raise OutputError(f"{path} must be a study of version {VERSION}, but has version {version}: {remedy}")
