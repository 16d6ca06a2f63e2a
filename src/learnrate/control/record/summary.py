"""A record in words."""

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from learnrate import checks
from learnrate.amounts import duration, plural
from learnrate.control.events import Event

if TYPE_CHECKING:
    from learnrate.control.record.record import Record

MOST_EVENTS = 12
"""Events that a text lists, the last ones."""

DONE = {
    "scale": "LR scaled",
    "replace": "new schedule",
    "cooldown": "cooldown begins",
    "undo": "change undone",
    "skip": "update left out",
    "rollback": "rolled back",
    "stop": "run ended",
}
"""What an event is, in words."""


def text(record: "Record") -> str:
    """A record as several lines."""
    lines = [title(record), *(f"  {name}: {value}" for name, value in facts(record))]
    lines += [f"  {line}" for line in _event_lines(record.marks)]
    lines += [f"  note: {note}" for note in record.notes]
    return "\n".join(lines)


def title(record: "Record") -> str:
    """The name of the file and the number of updates."""
    return f"Record of {plural(len(record), 'update')} in {Path(record.path).name}"


def facts(record: "Record") -> list[tuple[str, str]]:
    """Names and values: schedule, LR, loss, metrics, events, duration."""
    result = [("schedule", checks.short(text, 120)) for text in record.original]
    if len(record):
        result.append(
            ("LR", f"{record.lrs[0]:.4g} at the start, {record.lrs.max():.4g} at most, {record.lrs[-1]:.4g} at the end")
        )
        finite = [loss for loss in record.losses.tolist() if math.isfinite(loss)]
        if finite:
            result.append(("loss", f"{finite[0]:.4g} at the start, {min(finite):.4g} at least, {finite[-1]:.4g} at the end"))
        if record.times[0] < record.times[-1]:
            begin = datetime.fromtimestamp(record.times[0]).isoformat(" ", "seconds")
            result.append(("time", f"{begin}, {duration(record.times[-1] - record.times[0])}"))
    for name, metric in record.metrics.items():
        result.append((name, f"{metric.values[-1]:.4g} at update {metric.updates[-1]}, {len(metric.values)} evaluations"))
    return result


def _event_lines(events: tuple[Event, ...]) -> Iterator[str]:
    if events:
        shown = events[-MOST_EVENTS:]
        yield plural(len(events), "event") + (f", the last {len(shown)}:" if shown != events else ":")
        yield from (f"  {sentence(event)}" for event in shown)


def sentence(event: Event) -> str:
    """An event in a line: when, what, who, why."""
    return f"update {event.update:,}: {what(event)} by {actor(event)}" + (
        f": {checks.short(event.reason)}" if event.reason else ""
    )


def what(event: Event) -> str:
    """What was done; of a change of factors, the product of all of them after it."""
    done = DONE.get(event.kind, event.kind)
    return f"{done}, now times {event.factor:.4g}" if event.kind in ("scale", "undo") else done


def actor(event: Event) -> str:
    """Who did it."""
    return "hand" if event.who == "by hand" else event.who
