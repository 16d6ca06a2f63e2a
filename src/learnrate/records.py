"""Records on disk: JSON with a kind and a version. A failed write leaves no partial file."""

import json
import math
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from learnrate.errors import OutputError

VERSION = 1
T = TypeVar("T")


def encode_float(value: float) -> float | str:
    """A float for JSON, which has no NaN and no infinity: those become the strings "nan", "inf" and "-inf"."""
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file such that a reader always finds the old content or the new one, also after an interruption.

    Raises:
        OutputError: if the file cannot be written (no such folder, no permission, disk full).
    """
    if not path.name or "\0" in path.name:
        raise OutputError(f"cannot write {str(path)!r}: this is not the name of a file")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def save(path: str | os.PathLike[str], kind: str, content: Mapping[str, Any]) -> None:
    """Write a record of a kind (see `write_atomically`)."""
    record = {"learnrate": kind, "version": VERSION, **content}
    write_atomically(Path(path), (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())


def load(path: str | os.PathLike[str], kind: str, decode: Callable[[dict[str, Any]], T]) -> T:
    """Read a record of a kind.

    Raises:
        OutputError: if the file cannot be read, or if its content is not a valid record of this kind and version.
    """
    try:
        record = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise OutputError(f"{path} is not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("learnrate") != kind:
        content = record.get("learnrate") if isinstance(record, dict) else type(record).__name__
        raise OutputError(f"{path} must contain a learnrate {kind}, but contains {content!r}")
    if record.get("version") != VERSION:
        raise OutputError(f"{path} must have version {VERSION}, but has {record.get('version')!r}: upgrade learnrate")
    try:
        return decode(record)
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"{path} contains a broken {kind}: {type(error).__name__}: {error}") from error
