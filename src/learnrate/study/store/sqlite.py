"""A study in one file of sqlite, which several processes of one machine may write."""

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from learnrate import locks
from learnrate.errors import OutputError
from learnrate.study.definition import Definition
from learnrate.study.environment import environment
from learnrate.study.run import Key, Made
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
64-bit floats in little-endian order. `evaluations` repeats those of the records for those who read the file with sqlite."""


class SqliteStore:
    """See `Store`.

    In WAL mode a commit does not wait for the disk: what is committed survives the end of the process in any way.

    Args:
        path: The file; it is made if there is none.
        to_read: Whether it is only read, also while others write it.

    Raises:
        OutputError: if it cannot be written, or is something else than a study of this version.
    """

    def __init__(self, path: Path, *, to_read: bool = False) -> None:
        self.path, self._to_read = path, to_read
        self.checkpoints = path.with_name(f"{path.name}.checkpoints")
        self._driver = uuid.uuid4().hex[:12]
        self._began = time.time()
        self._lock: locks.Lock | None = None
        self._connection = self._open_to_read() if to_read else self._open()

    def _open_to_read(self) -> sqlite3.Connection:
        with self._errors("read"):
            connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=WAIT, isolation_level=None)
            try:
                if not _check(connection, self.path):
                    raise OutputError(f"{self.path} is not a study: it is empty")
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
            merged = definition.added_to(json.loads(values["definition"]), self.path) if values else definition
            uid = values.get("uid") or uuid.uuid4().hex
            content = {"uid": uid, "definition": json.dumps(merged.as_record())}
            connection.executemany("INSERT OR REPLACE INTO study VALUES (?, ?)", content.items())
            here = json.dumps(environment())
            connection.execute("INSERT OR REPLACE INTO drivers VALUES (?, ?, ?)", (self._driver, self._began, here))
            return uid

        if self._lock is None:
            with self._errors("write"):
                self.checkpoints.mkdir(parents=True, exist_ok=True)
                self._lock = locks.take(self._lock_of(self._driver))
        return self._written(write)

    def _lock_of(self, driver: str) -> Path:
        return self.checkpoints / f"{driver}.lock"

    def claim(self, keys: Sequence[Key], most: int) -> list[Key]:
        """See `Store.claim`."""

        def write(connection: sqlite3.Connection) -> list[Key]:
            ended = "SELECT arm, seed FROM runs WHERE kind != 'failure' OR finished >= ?"
            taken = {Key(*row) for row in connection.execute(ended, (self._began,))} | self._claimed(connection)
            claimed = [key for key in keys if key not in taken][:most]
            values = [(key.arm, key.seed, self._driver, time.time()) for key in claimed]
            connection.executemany("INSERT INTO claims VALUES (?, ?, ?, ?)", values)
            return claimed

        return self._written(write)

    def _claimed(self, connection: sqlite3.Connection) -> set[Key]:
        """The runs that living processes have claimed. The claims of others are removed."""
        drivers = [row[0] for row in connection.execute("SELECT DISTINCT driver FROM claims")]
        for driver in drivers:
            if driver != self._driver and not locks.is_taken(self._lock_of(driver)):
                connection.execute("DELETE FROM claims WHERE driver = ?", (driver,))
        return {Key(*row) for row in connection.execute("SELECT arm, seed FROM claims")}

    def finish(self, made: Made) -> None:
        """See `Store.finish`."""

        def write(connection: sqlite3.Connection) -> None:
            key = (made.key.arm, made.key.seed)
            row = rows.encode(made.result)
            values = (*key, *row, json.dumps(made.environment), time.time(), self._driver)
            connection.execute(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(values))})", values)
            connection.execute("DELETE FROM evaluations WHERE arm = ? AND seed = ?", key)
            evaluations = [(*key, *evaluation) for evaluation in rows.evaluations(made.result)]
            connection.executemany("INSERT INTO evaluations VALUES (?, ?, ?, ?, ?)", evaluations)
            connection.execute("DELETE FROM claims WHERE arm = ? AND seed = ?", key)

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
            sql = "SELECT arm, seed, kind, record, losses, environment, finished FROM runs ORDER BY rowid"
            runs = {
                Key(arm, seed): Stored(rows.decode(kind, record, losses), json.loads(made_with), finished)
                for arm, seed, kind, record, losses, made_with, finished in self._connection.execute(sql)
            }
            claims = list(self._connection.execute("SELECT arm, seed, driver FROM claims ORDER BY time"))
            living = {driver for _, _, driver in claims if driver == self._driver or locks.is_taken(self._lock_of(driver))}
        in_progress = tuple(Key(arm, seed) for arm, seed, driver in claims if driver in living)
        return Contents(json.loads(values["definition"]), runs, in_progress)

    def others_work(self) -> bool:
        """See `Store.others_work`."""
        mine = "SELECT count(*) FROM claims WHERE driver = ?"

        def count(connection: sqlite3.Connection) -> bool:
            return len(self._claimed(connection)) > int(connection.execute(mine, (self._driver,)).fetchone()[0])

        return self._written(count)

    def close(self) -> None:
        """See `Store.close`."""
        if self._to_read:
            self._connection.close()
            return
        try:
            if self._lock is not None:
                self._written(lambda connection: connection.execute("DELETE FROM claims WHERE driver = ?", (self._driver,)))
                self._lock.release()
                if not any(self.checkpoints.iterdir()):
                    self.checkpoints.rmdir()
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA journal_mode = DELETE")  # a single file, which can be copied
        except (OSError, sqlite3.Error, OutputError):  # somebody else uses the study; or the disk is full, which was said
            pass
        finally:
            self._connection.close()

    def _written(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Do something as one transaction."""
        with self._errors("write"):
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


def _check(connection: sqlite3.Connection, path: Path) -> bool:
    """Refuse a database of somebody else, before anything is written into it. Returns whether there is a study already."""
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
        raise OutputError(f"{path} must be a study of version {VERSION}, but has version {version}: upgrade learnrate")
    return bool(mark)
