"""Reads the file of a record, also while a run writes it."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from learnrate import checks
from learnrate.control.record import attempts, schema
from learnrate.control.record.attempts import Attempt
from learnrate.control.record.schema import TABLES, Row
from learnrate.control.record.stores import check_first_line, other_version, reason
from learnrate.errors import OutputError

CHUNK = 1_000
"""Rows that are turned into arrays together: as many as stay in the cache of a processor."""

HEADER = b"SQLite format 3\x00"

NUMBERS = ("attempt", "n")
"""Columns of whole numbers; the others of `updates` are floats."""

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Content:
    """What a file holds: the attempts with their events, and the rows of updates and metrics by column.

    `names` are the names of the metrics, one a row of `metrics`.
    """

    attempts: list[Attempt]
    updates: Columns
    metrics: Columns
    names: list[str]


def read(path: Path) -> Content:
    """Read a record.

    Raises:
        OutputError: if it cannot be read, is damaged, or is something else than a record of this version.
    """
    try:
        with path.open("rb") as file:
            start = file.readline(len(HEADER))
        if not start:
            raise OutputError(f"{path} is not the record of a run: it is empty")
        return _of_database(path) if start == HEADER else _of_lines(path)
    except sqlite3.Error as error:
        raise OutputError(
            f"cannot read the record {path}: {error}. What can still be read of a damaged file is written by "
            "`sqlite3 FILE .recover | sqlite3 NEW_FILE`"
        ) from error
    except (OSError, UnicodeEncodeError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot read the record {checks.shown(str(path))}: {reason(error)}") from error
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise OutputError(f"{path} is a broken record: {checks.short(f'{type(error).__name__}: {error}')}") from error


def _of_database(path: Path) -> Content:
    with closing(_connected(path)) as connection:
        connection.execute("BEGIN")  # all tables as they are at one moment
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if mark != schema.APPLICATION_ID:
            raise OutputError(f"{path} is not the record of a run: it is a database of something else")
        if version != schema.VERSION:
            raise other_version(path, version)
        tables = {
            table: connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY rowid")
            for table, columns in TABLES.items()
        }
        return _content({table: _chunks(cursor) for table, cursor in tables.items()})


def _connected(path: Path) -> sqlite3.Connection:
    """A connection that only reads. A finished record in a folder that cannot be written has to be opened as unchanging."""
    name = f"file:{quote(str(path.absolute()))}?mode=ro"
    connection = sqlite3.connect(name, uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        waiting = path.with_name(f"{path.name}-wal")
        if waiting.exists() and waiting.stat().st_size:
            raise
        return sqlite3.connect(f"{name}&immutable=1", uri=True, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return connection


def _chunks(cursor: sqlite3.Cursor) -> Iterator[list[Row]]:
    while rows := cursor.fetchmany(CHUNK):
        yield rows


def _of_lines(path: Path) -> Content:
    """The rows of a file of JSON Lines. A last line without an end is one that is being written, or that was cut short."""
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    with path.open("rb") as file:
        check_first_line(file.readline(), path)
        for number, line in enumerate(file, start=2):
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
                table = row["table"]
                rows[table].append(tuple(_of_json(row[column]) for column in TABLES[table]))
            except (ValueError, KeyError, TypeError) as error:
                raise OutputError(f"{path} is a broken record: line {number} is not a row of it") from error
    return _content({table: [entries] if entries else [] for table, entries in rows.items()})


def _of_json(value: Any) -> Any:
    return float(value) if value in ("inf", "-inf") else value


def _content(tables: dict[str, Iterable[list[Row]]]) -> Content:
    rows = {
        table: [dict(zip(TABLES[table], row, strict=True)) for chunk in tables[table] for row in chunk]
        for table in ("attempts", "starts", "events")
    }
    updates, _ = _columns(tables["updates"], TABLES["updates"])
    # A dictionary keeps the last of each key, and rows are in their order.
    last = dict(zip(updates["attempt"].tolist(), updates["n"].tolist(), strict=True))
    parts = attempts.from_rows(rows["attempts"], rows["starts"], last)
    by_number = {part.number: part for part in parts}
    for event in rows["events"]:
        by_number[event.pop("attempt")].events.append(_event(event))
    metrics, names = _columns(tables["metrics"], TABLES["metrics"])
    return Content(parts, updates, metrics, names)


def _columns(chunks: Iterable[list[Row]], columns: Iterable[str]) -> tuple[Columns, list[str]]:
    """The columns of a table as arrays, and the column of names, if it has one, as a list."""
    parts: dict[str, list[NDArray[Any]]] = {column: [] for column in columns if column != "name"}
    names: list[str] = []
    for chunk in chunks:
        for column, values in zip(columns, zip(*chunk, strict=True), strict=True):
            if column == "name":
                names += values
            else:
                # NumPy reads the text "nan" as NaN, and makes NaN of None.
                parts[column].append(np.array(values, dtype=np.int64 if column in NUMBERS else np.float64))
    empty = {column: np.zeros(0, np.int64 if column in NUMBERS else np.float64) for column in parts}
    return {column: np.concatenate(arrays) if arrays else empty[column] for column, arrays in parts.items()}, names


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """A row of events as the JSON object of an event."""
    schedules = row["schedules"]
    return {
        "update": row["n"],
        **{name: row[name] for name in ("kind", "who", "factor", "reason", "time")},
        "schedules": None if schedules is None else json.loads(schedules),
        "evidence": json.loads(row["evidence"]),
    }
