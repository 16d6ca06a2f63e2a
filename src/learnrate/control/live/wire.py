"""Series on their way to a browser: a JSON head, and numbers as they lie in memory, which cost no time to write."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate.control.live.history import History
from learnrate.control.live.sources import Source, sampled
from learnrate.control.live.thinned import BROKEN, COUNT, HIGH, LAST, LOW, TOTAL, Array

MOST_POINTS = 2000
"""Points of a series in one answer: a screen has hardly more pixels."""

FARTHEST = 2**53
"""The largest update that JavaScript can count to."""


@dataclass(frozen=True)
class Block:
    """A part of an answer: columns of one length. Their names; `whole` ones keep integers up to 2**53."""

    name: str
    whole: Sequence[tuple[str, Array]]
    values: Sequence[tuple[str, Array]]


def packed(head: dict[str, Any], blocks: Sequence[Block]) -> bytes:
    """An answer: the length of its head in 4 bytes, the head as JSON, and the columns one after the other, little-endian."""
    described, data = [], []
    for block in blocks:
        described.append(
            {
                "name": block.name,
                "whole": [name for name, _ in block.whole],
                "values": [name for name, _ in block.values],
                "points": len(block.whole[0][1]),
            }
        )
        data += [column.astype("<f8").tobytes() for _, column in block.whole]
        data += [column.astype("<f4").tobytes() for _, column in block.values]
    text = json.dumps({**head, "blocks": described}, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *data])


def series(history: History, start: float, end: float, points: int) -> bytes:
    """The series of a part of a run."""
    with history.lock:
        blocks = [_block("rows", history.rows.columns, *history.rows.window(start, end, points))]
        for name, metric in history.metrics.items():
            blocks.append(_block(f"metric {name}", metric.columns, *metric.window(start, end, points)))
        return packed({"last": history.rows.last, "first": history.rows.first, "width": history.rows.width}, blocks)


def _block(name: str, columns: Sequence[str], updates: Array, values: Array) -> Block:
    parts: list[tuple[str, Array]] = []
    # All-NaN stretches and values beyond single precision are drawn as gaps; they are meant.
    with np.errstate(all="ignore"):
        for index, column in enumerate(columns):
            statistics = values[:, index]
            mean = np.where(statistics[COUNT] > 0, statistics[TOTAL] / np.maximum(statistics[COUNT], 1), np.nan)
            parts += [
                (f"{column}.low", statistics[LOW].astype("<f4")),
                (f"{column}.high", statistics[HIGH].astype("<f4")),
                (f"{column}.last", statistics[LAST].astype("<f4")),
                (f"{column}.mean", mean.astype("<f4")),
            ]
            if column != "lr":
                parts.append((f"{column}.broken", statistics[BROKEN].astype("<f4")))
    return Block(name, [("first", updates[0]), ("last", updates[1])], parts)


def plan(source: Source, start: float, end: float, points: int) -> bytes:
    """What was planned and what is planned now, over a part of a run."""
    original, present = source.schedules()
    first, last = max(0, int(start)), max(0, int(start)) + 1
    last = max(last, min(int(end), FARTHEST))
    blocks = []
    for name, schedules in (("original", original), ("present", present)):
        if not schedules:  # a record whose schedules name functions that are not here
            continue
        updates, values = sampled(schedules, first, last, points)
        blocks.append(Block(name, [("update", updates)], [("lr", values)]))
    return packed({"total": source.total()}, blocks)
