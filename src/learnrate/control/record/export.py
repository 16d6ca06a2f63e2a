"""What trackers get of a record: texts, and numbers by update."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from learnrate import figures
from learnrate.control.record import summary
from learnrate.errors import ArgumentError

if TYPE_CHECKING:
    from learnrate.control.record.record import Record


def texts(record: "Record") -> dict[str, str]:
    """The schedules by name: as planned, and as used. One of several parameter groups has its number."""
    by_name = dict(_numbered("planned", list(record.original)))
    try:
        used = record._schedules(record._functions)
    except ArgumentError:  # functions that nobody gave; the notes in `described` say so
        return by_name
    return {**by_name, **dict(_numbered("schedule", [repr(schedule) for schedule in used]))}


def _numbered(name: str, entries: list[str]) -> Iterator[tuple[str, str]]:
    for number, entry in enumerate(entries):
        yield (name if len(entries) == 1 else f"{name}/{number}"), entry


def described(record: "Record") -> str:
    """The events and the notes, a line each."""
    return "\n".join([*map(summary.sentence, record.marks), *record.notes]) or "no events"


def numbers(record: "Record", most: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Updates with their LR, loss and gradient norm: at most `most` of them, those next to events beside.

    What was not measured is left out; a loss of NaN is not, if there are others.
    """
    has_losses = bool(np.isfinite(record.losses).any())
    some = figures.thinned(record.losses if has_losses else record.lrs, most)
    if len(some) < len(record):
        at = np.searchsorted(record.updates, [event.update for event in record.marks])
        some = np.unique(np.concatenate([some, at - 1, at]).clip(0, len(record) - 1))
    for position in some.tolist():
        values = {"lr": float(record.lrs[position])}
        if has_losses:
            values["loss"] = float(record.losses[position])
        norm = float(record.gradient_norms[position])
        if norm == norm:
            values["gradient_norm"] = norm
        yield int(record.updates[position]), values
