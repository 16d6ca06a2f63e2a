"""The form in which a store keeps the results of runs."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from learnrate import records
from learnrate.errors import OutputError
from learnrate.study.running.run import Chosen, Failure
from learnrate.study.running.training import Training

Result = Training | Chosen | Failure

KINDS: dict[type[Any], str] = {Training: "training", Chosen: "choice", Failure: "failure"}


def encode(result: Result) -> tuple[str, Any, int | None, float | None, str, bytes | None]:
    """Kind, score, updates, seconds, the record as JSON without the losses, and the losses."""
    kind = KINDS[type(result)]
    if isinstance(result, Failure):
        return kind, None, None, None, json.dumps(asdict(result)), None
    if isinstance(result, Chosen):
        return kind, None, result.updates, result.seconds, json.dumps(asdict(result)), None
    record = json.dumps(replace(result, losses=()).as_record(), allow_nan=False)
    score = result.score if math.isfinite(result.score) else records.encode_float(result.score)
    return kind, score, result.updates, result.seconds, record, np.asarray(result.losses, "<f8").tobytes()


def decode(kind: str, record: str, losses: bytes | None) -> Result:
    """The result of a row.

    Raises:
        OutputError: if the row is of no known kind.
    """
    content = json.loads(record)
    if kind == "failure":
        return Failure(**content)
    if kind == "choice":
        return Chosen(**{**content, "reasons": tuple(content["reasons"])})
    if kind != "training":
        raise OutputError(
            f"the study has a run of the kind {kind!r}, which this version of learnrate does not know: upgrade it"
        )
    return replace(Training.of_record(content), losses=tuple(np.frombuffer(losses or b"", "<f8").tolist()))


def evaluations(result: Result) -> Iterator[tuple[int, str, Any]]:
    """The evaluations of a training: updates before it, metric, value."""
    if not isinstance(result, Training):
        return
    for name, values in {result.metric: result.scores, **result.more}.items():
        for updates, value in zip(result.checkpoints, values, strict=True):
            yield updates, name, records.encode_float(value)
