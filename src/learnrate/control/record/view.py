"""What pictures of a record show, in matplotlib and on a page: points, the loss without its noise, which events."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learnrate import figures
from learnrate.control.events import Event
from learnrate.control.record.attempts import own_names
from learnrate.errors import LearnrateError
from learnrate.figures import GREEN, ORANGE
from learnrate.schedules import parse

if TYPE_CHECKING:
    from learnrate.control.record.record import Record

BLOCKS = 120
"""Points of the line of medians through the losses."""

WIDE = 30.0
"""Ratio of losses from which on their axis is logarithmic."""

DECADES = 1e3
"""Ratio of LRs from which on theirs is."""

RANK = {"stop": 0, "rollback": 1, "replace": 2, "cooldown": 2, "skip": 4, "undo": 3, "scale": 3}
"""The order in which events get one of the places for a label: those first that change most."""

Points = tuple[NDArray[Any], NDArray[np.float64]]


def medians(updates: NDArray[np.int64], values: NDArray[np.float64]) -> Points:
    """The median of each of equal parts of a series, at their middles. What is not finite is left out."""
    if len(values) <= 2 * BLOCKS:
        return updates[:0], values[:0]
    xs, ys = [], []
    for part, own in zip(np.array_split(updates, BLOCKS), np.array_split(values, BLOCKS), strict=True):
        finite = own[np.isfinite(own)]
        if len(finite):
            xs.append(float(part[len(part) // 2]))
            ys.append(float(np.median(finite)))
    return np.array(xs), np.array(ys)


def planned(record: "Record") -> Points:
    """The LR that the run had followed if nothing had been done: its original schedule. Empty if it is what was used.

    Of several parameter groups it is the largest, as in the record.
    """
    nothing = record.updates[:0], record.lrs[:0]
    if not len(record) or not record.original:
        return nothing
    try:
        schedules = [parse(own_names(text, record._functions), record._functions) for text in record.original]
    except LearnrateError:
        return nothing  # functions that nobody gave; the notes say so
    end = int(record.updates[-1])
    updates = np.unique(np.linspace(0, end, min(end + 1, figures.POINTS)).round().astype(np.int64))
    values = np.max([schedule(updates) for schedule in schedules], axis=0)
    at = np.searchsorted(record.updates, updates).clip(0, len(record) - 1)
    same = np.isclose(values, record.lrs[at], rtol=1e-3, atol=1e-3 * float(values.max())) | (record.updates[at] != updates)
    return nothing if same.all() else (updates, values)


def is_wide(values: NDArray[np.float64]) -> bool:
    """Whether values need a logarithmic axis: all above 0, and far apart."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > WIDE * finite.min())


def spans_decades(lrs: NDArray[np.float64]) -> bool:
    """Whether LRs need a logarithmic axis: the first ones of a warm-up and the last ones of a cooldown do not count."""
    return bool(len(lrs) and lrs.min() > 0 and lrs.max() > DECADES * np.quantile(lrs, 0.1))


def limits(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The range of a linear axis, such that single spikes do not flatten everything else; None if nothing is finite."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = (float(edge) for edge in np.quantile(finite, (0.001, 0.995)))
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def top(values: NDArray[np.float64]) -> float:
    """The upper end of the axis of `limits`, or the largest value of a logarithmic one."""
    finite = values[np.isfinite(values)]
    ends = limits(values)
    if ends is None:
        return 1.0
    return float(finite.max()) if is_wide(values) else ends[1] - 0.05 * (ends[1] - ends[0])


def important(events: tuple[Event, ...], most: int) -> list[Event]:
    """At most this number of events, those that change most, in their order."""

    def weight(index: int) -> tuple[int, float]:
        event, before = events[index], events[index - 1].factor if index else 1.0
        change = abs(math.log(event.factor / before)) if event.factor > 0 and before > 0 else 0.0
        return RANK.get(event.kind, 5), -change

    picked = sorted(range(len(events)), key=weight)[:most]
    return [events[index] for index in sorted(picked)]


def colour(event: Event) -> str:
    """Green for what a person did, orange for what a controller did."""
    return GREEN if event.who == "by hand" else ORANGE


def lr_at(record: "Record", update: int) -> float:
    """The LR of an update, or of the last one before it."""
    if not len(record):
        return math.nan
    place = int(np.searchsorted(record.updates, update, side="right")) - 1
    here = place + 1 if place + 1 < len(record) and record.updates[place] < update else place
    return float(record.lrs[max(0, min(here, len(record) - 1))])


def lost(record: "Record") -> Iterator[int]:
    """Updates whose loss was measured and is not finite. NaN is also what was not measured: then all are."""
    if np.isfinite(record.losses).any():
        yield from record.updates[~np.isfinite(record.losses)].tolist()
