"""The attempts at a run: which of their updates and events count, and the schedule that was really used."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from learnrate.control.composition import composed
from learnrate.control.events import WITHOUT_LR, Event
from learnrate.schedules import Schedule, parse, switch
from learnrate.schedules.functions import Function, dotted_name


@dataclass(frozen=True)
class Attempt:
    """A part of a run from its start, or from a checkpoint on.

    Attributes:
        number: Counted from 1 in the file.
        start: Number of its first update; None if it has made none.
        resumed: Whether its events begin with those that the checkpoint had.
        texts: The schedules that it was given, one for all parameter groups or one for each.
        versions: Of learnrate and Python.
        time: When it began, in seconds since the epoch of the clock.
        events: What happened, as JSON objects (`Event.to_json`).
        last: Number of its last update in the record; None if there is none.
    """

    number: int
    start: int | None
    resumed: bool
    texts: tuple[str, ...]
    versions: dict[str, str]
    time: float
    events: list[dict[str, Any]] = field(default_factory=list)
    last: int | None = None


def ends(attempts: Sequence[Attempt]) -> dict[int, float]:
    """The first update of each attempt that does not count, because a later attempt made it again; infinite if all count."""
    result: dict[int, float] = {}
    end = float("inf")
    for attempt in reversed(attempts):
        result[attempt.number] = end
        if attempt.start is not None:
            end = min(end, attempt.start)
    return result


def counting(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts of which something counts, in order. Without any update it is the last attempt."""
    end = ends(attempts)
    begun = [attempt for attempt in attempts if attempt.start is not None and attempt.start < end[attempt.number]]
    return begun or list(attempts[-1:])


def events(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """The events of the run that counts."""
    result: list[dict[str, Any]] = []
    for attempt in counting(attempts):
        before = [] if attempt.resumed else [event for event in result if event["update"] < (attempt.start or 0)]
        result = before + attempt.events
    return result


def schedules(attempts: Sequence[Attempt], functions: Iterable[Function]) -> tuple[Schedule, ...]:
    """The schedules that the run which counts really followed, one for all parameter groups or one for each.

    An attempt that went on where the checkpoint was has them for all updates before it, too. One that began with other
    schedules, or without the events so far, has them from its first update on.
    """
    functions = list(functions)
    parts: list[tuple[int, tuple[Schedule, ...]]] = []
    previous: Attempt | None = None
    for attempt in counting(attempts):
        original = [parse(own_names(text, functions), functions) for text in attempt.texts]
        followed = composed(original, [read(event, functions) for event in attempt.events])
        start = attempt.start or 0
        if previous is not None and _same_before(previous, attempt):
            start = parts.pop()[0]
        parts.append((start if parts else 0, followed))
        previous = attempt
    count = max(len(followed) for _, followed in parts)
    return tuple(_joined([(start, own[index if len(own) > 1 else 0]) for start, own in parts]) for index in range(count))


def _joined(parts: list[tuple[int, Schedule]]) -> Schedule:
    if len(parts) == 1:
        return parts[0][1]
    return switch(tuple(schedule for _, schedule in parts), tuple(start for start, _ in parts[1:]))


def _same_before(previous: Attempt, attempt: Attempt) -> bool:
    """Whether an attempt knows all that the attempt before it did up to there.

    A process that is killed loses the end of its record, and its checkpoint may be newer: it then knows what was done in
    the updates that are missing.
    """
    start = attempt.start or 0
    before, after = ([event for event in side.events if event["update"] < start] for side in (previous, attempt))
    last = (previous.start or 0) - 1 if previous.last is None else previous.last
    later = all(event["update"] > last for event in after[len(before) :] if event["kind"] not in WITHOUT_LR)
    return attempt.resumed and attempt.texts == previous.texts and before == after[: len(before)] and later


def read(event: dict[str, Any], functions: Iterable[Function] = ()) -> Event:
    """An event from its JSON object."""
    functions = list(functions)
    texts = event["schedules"]
    named = texts if texts is None else [own_names(text, functions) for text in texts]
    return Event.from_json({**event, "schedules": named}, functions)


def own_names(text: str, functions: Iterable[Function]) -> str:
    """The text of a schedule with the names that functions have here.

    A function of the script that trained is `__main__.f` in its record, and `train.f` where the script is imported.
    """
    for function in functions:
        name = dotted_name(function)
        if name is not None:
            text = text.replace(f"__main__.{name.rpartition('.')[2]}", name)
    return text


def from_rows(rows: Iterable[dict[str, Any]], starts: Iterable[dict[str, Any]], last: Mapping[int, int]) -> list[Attempt]:
    """The attempts from the rows of their tables, and the numbers of their last updates."""
    begun = {row["attempt"]: row for row in starts}
    result = []
    for row in rows:
        own = begun.get(row["attempt"], {"n": None, "resumed": 0})
        texts, versions = tuple(json.loads(row["schedules"])), json.loads(row["versions"])
        number = row["attempt"]
        result.append(Attempt(number, own["n"], bool(own["resumed"]), texts, versions, row["time"], last=last.get(number)))
    return result
