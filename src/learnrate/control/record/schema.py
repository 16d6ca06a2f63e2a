"""What the file of a record holds: its tables, and the form of a number that is not finite."""

import math
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

from learnrate import records

VERSION = 1
"""Version of the tables below. It rises when a reader of the version before would misread them."""

APPLICATION_ID = 0x6C726563
"""What marks a database as a record ("lrec"): `PRAGMA application_id` of sqlite, which `file` and others read."""

KIND = "record"
"""What the first line of the JSON Lines form says that it is."""

Row: TypeAlias = tuple[Any, ...]

Batch: TypeAlias = dict[str, list[Row]]
"""Rows by table."""

TABLES: dict[str, dict[str, str]] = {
    "attempts": {
        "attempt": "INTEGER PRIMARY KEY",
        "time": "REAL",
        "schedules": "TEXT",
        "versions": "TEXT",
    },
    "starts": {"attempt": "INTEGER PRIMARY KEY", "n": "INTEGER", "resumed": "INTEGER"},
    "updates": {
        "attempt": "INTEGER",
        "n": "INTEGER",
        "lr": "REAL",
        "loss": "REAL",
        "gradient_norm": "REAL",
        "time": "REAL",
    },
    "metrics": {"attempt": "INTEGER", "n": "INTEGER", "name": "TEXT", "value": "REAL", "time": "REAL"},
    "events": {
        "attempt": "INTEGER",
        "n": "INTEGER",
        "kind": "TEXT",
        "who": "TEXT",
        "factor": "REAL",
        "schedules": "TEXT",
        "reason": "TEXT",
        "evidence": "TEXT",
        "time": "REAL",
    },
}
"""The columns of each table, with their types in sqlite. `n` is the number of an update; `schedules`, `versions` and
`evidence` are JSON.

Rows are added, and never changed or removed. A run that goes on from a checkpoint is a new attempt, whose `starts` row says
with which update it began: rows of earlier attempts count up to that update. An attempt without such a row made no update.
"""

VIEW = """CREATE VIEW IF NOT EXISTS run AS SELECT n, lr, loss, gradient_norm, time FROM (
SELECT *, max(rowid) FROM updates
WHERE n < (SELECT coalesce(min(starts.n), 9e18) FROM starts WHERE starts.attempt > updates.attempt)
GROUP BY attempt, n)"""
"""The updates of the run that counts, for those who read the file with sqlite alone. Of two rows of one attempt with the
same number the later one counts: a gradient scaler skipped the update, and it was made again."""


def statements() -> list[str]:
    """The SQL that makes an empty record."""
    tables = [
        f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})"
        for name, columns in TABLES.items()
    ]
    return [f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION}", *tables, VIEW]


def plain(value: Any) -> float | None:
    """A number of any library as a float; None stays."""
    return None if value is None else float(value)


def stored(row: Row) -> Row:
    """A row as it is stored: NaN as the text "nan", because sqlite makes NULL of NaN, which here means not measured."""
    return row if all(value == value for value in row) else tuple(value if value == value else "nan" for value in row)


def printable(value: object) -> str:
    """A text as UTF-8 can hold it: without halves of surrogate pairs, which stand for bytes of a file name."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def in_json(value: Any) -> Any:
    """A stored value for JSON, which has no infinity either."""
    return records.encode_float(value) if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """Versions for the record of a run: of Python and of learnrate."""
    try:
        own = version("learnrate")
    except PackageNotFoundError:  # imported from a folder
        own = "not installed"
    return {"learnrate": own, "Python": platform.python_version()}
