"""The file of one run in a folder of JSON Lines: header, evaluations, losses, end."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate import records
from learnrate.errors import OutputError
from learnrate.study.running.run import EndedRun, Failure, Key
from learnrate.study.store import rows
from learnrate.study.store.store import Stored

VERSION = 1
ENDING = ".jsonl"

LOSSES_A_LINE = 100
"""Losses in a line of the file, so that lines stay short enough for an editor."""

READABLE = 40
"""Characters of the name of an arm in the names of its files, for people who read the folder."""


def name_of(key: Key) -> str:
    """The name of the files of a run.

    It ends with a hash, because file systems allow fewer characters and shorter names than arms have, and some do not
    distinguish "A" from "a".
    """
    return f"{_name_of_arm(key.arm)}-{key.seed}"


def seeds_of(arm: str, names: Iterable[str]) -> dict[int, str]:
    """The names of the files of the runs of an arm, by seed."""
    beginning = f"{_name_of_arm(arm)}-"
    own = (name for name in names if name.startswith(beginning))
    return {int(seed): name for name in own if (seed := name.removeprefix(beginning)).isdigit()}


def _name_of_arm(arm: str) -> str:
    readable = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in arm)[:READABLE]
    return f"{readable}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"


def encode(ended: EndedRun, driver: str, finished: float) -> bytes:
    """The content of the file."""
    kind, _, _, _, record, losses = rows.encode(ended.result)
    header = {"learnrate": "run", "version": VERSION, "arm": ended.key.arm, "seed": ended.key.seed, "kind": kind}
    lines: list[Any] = [{**header, "driver": driver, "finished": finished, "environment": ended.environment}]
    lines += [
        {"updates": updates, "metric": metric, "value": value} for updates, metric, value in rows.evaluations(ended.result)
    ]
    values = np.frombuffer(losses or b"", "<f8").tolist()
    lines += [
        {"losses": [records.encode_float(value) for value in values[start : start + LOSSES_A_LINE]]}
        for start in range(0, len(values), LOSSES_A_LINE)
    ]
    # The number of lines before it shows that none is missing.
    lines.append({"end": json.loads(record), "lines": len(lines)})
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()


@dataclass(frozen=True)
class Attempt:
    """An attempt to make a run, which has ended.

    Attributes:
        kind: See `learnrate.study.store.rows`.
        driver: The process that stored it.
        finished: When it ended, in seconds since 1970.
    """

    kind: str
    driver: str
    finished: float

    @property
    def failed(self) -> bool:
        """Whether it raised an error."""
        return self.kind == rows.KINDS[Failure]


def attempt_of(content: bytes, file: str) -> Attempt | None:
    """The attempt that a file is of, from its first and last lines; None if the file is cut off or damaged.

    Raises:
        OutputError: if it is the file of another version.
    """
    with suppress(ValueError, TypeError, KeyError):  # of JSON, or of what it holds
        header = json.loads(content[: content.index(b"\n")])
        last = content.rindex(b"\n", 0, -1) + 1
        if header["learnrate"] == "run" and header["version"] != VERSION:
            raise OutputError(f"{file} must have version {VERSION}, but has {header['version']}: upgrade learnrate")
        end = json.loads(content[last:])
        if header["learnrate"] == "run" and "end" in end and end["lines"] == content.count(b"\n") - 1:
            return Attempt(str(header["kind"]), str(header["driver"]), float(header["finished"]))
    return None


def decode(content: bytes, file: str) -> tuple[Key, Stored] | None:
    """The run and its result; None if the file is cut off or damaged.

    Raises:
        OutputError: if it is the file of another version.
    """
    attempt = attempt_of(content, file)
    if attempt is None:
        return None
    try:
        header, *lines, end = [json.loads(line) for line in content.decode().splitlines()]
        losses = [loss for line in lines for loss in records.decode_floats("losses", line.get("losses", []))]
        result = rows.decode(attempt.kind, json.dumps(end["end"]), np.asarray(losses, "<f8").tobytes())
        key = Key(str(header["arm"]), int(header["seed"]))
        return key, Stored(result, header["environment"], attempt.finished)
    except OutputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError):  # of JSON, or of what it holds
        return None
