"""Records on disk: JSON with a kind and a version. A failed write leaves no partial file."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from learnrate import checks
from learnrate.errors import ArgumentError, LearnrateError, OutputError

VERSION = 1
T = TypeVar("T")

LONGEST_PATH = 1000
"""Characters of a path that a message shows, its end: file systems have limits of a few hundred to a few thousand."""


def encode_float(value: float) -> float | str:
    """A float for JSON, which has no NaN and no infinity: those become the strings "nan", "inf" and "-inf"."""
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def decode_float(name: str, value: object) -> float:
    """The check of a float that `encode_float` wrote."""
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    return checks.representable(name, value)


def decode_floats(name: str, values: object) -> list[float]:
    """The check of a list of such floats."""
    if not isinstance(values, list):
        checks.refuse_type(name, "a list of numbers", values)
    # Names are composed only for what needs a check: a long curve has millions of floats.
    return [value if type(value) is float else decode_float(f"{name}[{index}]", value) for index, value in enumerate(values)]


def decode_interval(name: str, value: object) -> tuple[float, float]:
    """The check of two such floats, the ends of an interval."""
    return checks.interval(name, decode_floats(name, value))


@dataclass(frozen=True)
class Fields:
    """The fields of a JSON object, each read by a check of `learnrate.checks`.

    Raises:
        ArgumentTypeError: if the content is not an object.

    Example:
        >>> Fields({"updates": 0}).read("updates", checks.length)
        Traceback (most recent call last):
        learnrate.errors.ArgumentError: updates must be at least 1, received 0
    """

    content: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.content, Mapping):
            checks.refuse_type("a record", "a JSON object", self.content)

    def __getitem__(self, name: str) -> Any:
        """The value of a field, unchecked.

        Raises:
            ArgumentError: if there is no such field.
        """
        if name not in self.content:
            raise ArgumentError(f"{name} must be in the record, which has only {checks.shown(sorted(self.content))}")
        return self.content[name]

    def read(self, name: str, check: checks.Check[T]) -> T:
        """The value of a field, as its check returns it.

        Raises:
            ArgumentError: if there is no such field, or its value breaks the rule of the check.
            ArgumentTypeError: if its value has the wrong type.
        """
        return check(name, self[name])


def nested(decode: Callable[[Any], T]) -> checks.Check[T]:
    """The check of a record inside a record. An error names the fields that lead to the fault."""

    def check(name: str, value: object) -> T:
        try:
            return decode(value)
        except LearnrateError as error:
            raise ArgumentError(f"{name}: {error}") from error

    return check


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file such that a reader always finds the old content or the new one, also after an interruption.

    A link stays a link. What is no file, such as /dev/stdout, is written to and not replaced.

    Raises:
        ArgumentTypeError: if `path` is not a path.
        OutputError: if the file cannot be written (no such folder, no permission, disk full).
    """
    path = checks.path("path", path)
    if not path.name:
        raise OutputError(f"cannot write {checks.shown(str(path))}: this is not the name of a file")
    try:
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(data)
            return
        part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {_printable(path)}: {error.strerror or error}") from error
    except UnicodeEncodeError as error:
        raise OutputError(f"cannot write {_printable(path)}: the file system has no such name") from error


def save(path: str | os.PathLike[str], kind: str, content: Mapping[str, Any]) -> None:
    """Write a record of a kind (see `write_atomically`)."""
    record = {"learnrate": kind, "version": VERSION, **content}
    write_atomically(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())


def load(path: str | os.PathLike[str], kind: str, decode: Callable[[dict[str, Any]], T]) -> T:
    """Read a record of a kind.

    Args:
        path: The file.
        kind: What `save` was called with.
        decode: From the record to what is returned; raises a `LearnrateError` that names the field that is wrong.

    Raises:
        ArgumentTypeError: if `path` is not a path.
        OutputError: if the file cannot be read, or if its content is not a valid record of this kind and version.
    """
    path = checks.path("path", path)
    file = _printable(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OutputError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeEncodeError as error:
        raise OutputError(f"cannot read {file}: the file system has no such name") from error
    try:
        record = json.loads(content)
    except ValueError as error:
        raise OutputError(f"{file} is not JSON: {error}") from error
    except RecursionError as error:
        raise OutputError(f"{file} is not a record of learnrate: its values are nested too deep") from error
    if not isinstance(record, dict) or record.get("learnrate") != kind:
        content_kind = checks.shown(record.get("learnrate")) if isinstance(record, dict) else type(record).__name__
        raise OutputError(f"{file} must contain a learnrate {kind}, but contains {content_kind}")
    version = record.get("version")
    if type(version) is not int or version != VERSION:
        raise OutputError(f"{file} must have version {VERSION}, but has {checks.shown(version)}: upgrade learnrate")
    try:
        return decode(record)
    except (LearnrateError, RecursionError) as error:
        raise OutputError(f"{file} contains a broken {kind}: {error}") from error


def _printable(path: Path) -> str:
    """A path for a message. A name that is not UTF-8 holds characters that no stream can write."""
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= LONGEST_PATH else f"... {text[-LONGEST_PATH:]}"
