"""The file of one run in a folder of JSON Lines: header, evaluations, losses, end."""

import hashlib
import json
from typing import Any

import numpy as np

from learnrate import records
from learnrate.errors import OutputError
from learnrate.study.run import Key, Made
from learnrate.study.store import rows
from learnrate.study.store.store import Stored

VERSION = 1
ENDING = ".jsonl"

LOSSES_A_LINE = 100
"""Losses in one line of the file: lines that an editor shows."""

READABLE = 40
"""Characters of the name of an arm that the name of its files has, for those who look into the folder."""


def name_of(key: Key) -> str:
    """The name of the files of a run.

    File systems allow fewer characters, and shorter names, than arms have, and some do not tell "A" from "a": a hash does.
    """
    readable = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in key.arm)[:READABLE]
    return f"{readable}-{hashlib.sha256(key.arm.encode()).hexdigest()[:8]}-{key.seed}"


def encode(made: Made, driver: str, finished: float) -> bytes:
    """The content of the file."""
    kind, _, _, _, record, losses = rows.encode(made.result)
    header = {"learnrate": "run", "version": VERSION, "arm": made.key.arm, "seed": made.key.seed, "kind": kind}
    lines: list[Any] = [{**header, "driver": driver, "finished": finished, "environment": made.environment}]
    lines += [
        {"updates": updates, "metric": metric, "value": value} for updates, metric, value in rows.evaluations(made.result)
    ]
    values = np.frombuffer(losses or b"", "<f8").tolist()
    lines += [
        {"losses": [records.encode_float(value) for value in values[start : start + LOSSES_A_LINE]]}
        for start in range(0, len(values), LOSSES_A_LINE)
    ]
    # The number of lines before it shows that none is missing.
    lines.append({"end": json.loads(record), "lines": len(lines)})
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()


def decode(content: bytes, file: str) -> tuple[Key, Stored, str] | None:
    """The run, its result and its driver; None if the file is cut off or damaged.

    Raises:
        OutputError: if it is the file of another version.
    """
    try:
        header, *lines, end = [json.loads(line) for line in content.decode().splitlines()]
        if header["learnrate"] != "run":
            return None
        if header["version"] != VERSION:
            raise OutputError(f"{file} must have version {VERSION}, but has {header['version']}: upgrade learnrate")
        if "end" not in end or end["lines"] != 1 + len(lines):
            return None
        losses = [records.decode_float("loss", value) for line in lines for value in line.get("losses", ())]
        result = rows.decode(header["kind"], json.dumps(end["end"]), np.asarray(losses, "<f8").tobytes())
        key = Key(str(header["arm"]), int(header["seed"]))
        return key, Stored(result, header["environment"], float(header["finished"])), str(header["driver"])
    except OutputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError):  # of JSON, or of what it holds
        return None
