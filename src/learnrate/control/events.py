"""What happened to the LR of a run, as values: events, and the schedule that follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args

from learnrate import checks, records
from learnrate.schedules import Schedule, parse, piecewise_constant, switch
from learnrate.schedules.functions import Function

Kind = Literal["scale", "replace", "cooldown", "undo", "skip", "rollback", "stop"]
"""What an event is: a new factor, a new schedule, the beginning of a cooldown, the undoing of a change by hand; an update
that was left out, a snapshot that was put back, the end of the run."""

WITHOUT_LR: tuple[Kind, ...] = ("skip", "rollback", "stop")
"""The kinds that change no LR: they name an update, which had the factor that was in force then."""


@dataclass(frozen=True)
class Event:
    """Something that a controller or a person did.

    Attributes:
        update: The first update for which it holds, counted from 0.
        kind: See `Kind`.
        who: The name of the controller, or "by hand".
        factor: What the schedule is multiplied with from this update on: the product of all factors.
        schedules: The schedules that are followed from this update on, one for all parameter groups or one for each; None if
            they stay as they were. All count from the start of the run.
        reason: Why, in words.
        evidence: The numbers behind it.
        time: Seconds since the epoch of the clock (`time.time`).
    """

    update: int
    kind: Kind
    who: str
    factor: float = 1.0
    schedules: tuple[Schedule, ...] | None = None
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The event as a JSON object, with the schedules as texts."""
        texts = None if self.schedules is None else [repr(schedule) for schedule in self.schedules]
        evidence = {name: _plain(value) for name, value in self.evidence.items()}
        return {**vars(self), "schedules": texts, "evidence": evidence}

    @classmethod
    def from_json(cls, content: object, functions: Iterable[Function] = (), present: Iterable[Schedule] = ()) -> "Event":
        """Read what `to_json` wrote.

        Args:
            content: The object.
            functions: Your own functions that the schedules name; see `learnrate.parse`.
            present: Schedules that need not be read from their texts; see `schedules_of`.

        Raises:
            ArgumentError: if it is something else.
        """
        fields = records.Fields(content)  # type: ignore[arg-type]
        texts = fields["schedules"]
        return cls(
            update=fields.read("update", lambda name, value: checks.whole(name, value, at_least=0)),
            kind=fields.read("kind", checks.one_of(*get_args(Kind))),  # type: ignore[arg-type]
            who=fields.read("who", checks.text),
            factor=fields.read("factor", checks.positive),
            schedules=None if texts is None else schedules_of(several_texts("schedules", texts), functions, present),
            reason=fields.read("reason", checks.text),
            evidence=fields.read("evidence", _object),
            time=fields.read("time", checks.finite),
        )


def composed(original: Sequence[Schedule], events: Iterable[Event]) -> tuple[Schedule, ...]:
    """The schedules that a run really followed, and will follow if nothing else happens.

    Args:
        original: The schedules at its start, one for all parameter groups or one for each.
        events: In their order.

    Returns:
        As many schedules: the original ones, times the factors, and from each replacement on the new ones. Their values are
        equal, bit for bit, to those that the run used.

    Example:
        >>> from learnrate import linear
        >>> composed([linear(0.1, 0.0, 100)], [Event(50, "scale", "plateau", factor=0.5)])
        (linear(start=0.1, end=0.0, length=100) * piecewise_constant(values=(1.0, 0.5), milestones=(50,)),)
    """
    stretches = [_Stretch(0, tuple(original), {0: 1.0})]
    for event in events:
        if event.kind in WITHOUT_LR:
            continue  # they name the update at fault, or the last one, which had the factor that was in force then
        if event.schedules is not None:
            if event.update <= stretches[-1].start:
                stretches.pop()
            stretches.append(_Stretch(event.update, event.schedules, {event.update: event.factor}))
        else:
            stretches[-1].factors[event.update] = event.factor
    count = max(len(stretch.schedules) for stretch in stretches)
    return tuple(_joined([part for stretch in stretches for part in stretch.parts(index)]) for index in range(count))


def _object(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        checks.refuse_type(name, "a JSON object", value)
    return dict(value)


def schedules_of(
    texts: Iterable[str], functions: Iterable[Function] = (), present: Iterable[Schedule] = ()
) -> tuple[Schedule, ...]:
    """Schedules by their texts.

    Args:
        texts: What they print.
        functions: Your own functions that they name; see `learnrate.parse`.
        present: Schedules that the program has given. Their texts may name functions, and lambdas have no name by which a
            text could be read.

    Raises:
        ArgumentError: if a text is no schedule.
    """
    given = {repr(schedule): schedule for schedule in present}
    return tuple(given[text] if text in given else parse(text, functions) for text in texts)


def several_texts(name: str, value: object) -> tuple[str, ...]:
    """The check of the texts of schedules, at least one."""
    texts = checks.several(checks.text, of="texts")(name, value)
    if not texts:
        checks.refuse(name, "at least one schedule", value)
    return texts


@dataclass(frozen=True)
class _Stretch:
    """A part of a run with one schedule for each group: its first update, the schedules, and the factors by update."""

    start: int
    schedules: tuple[Schedule, ...]
    factors: dict[int, float]

    def parts(self, index: int) -> list[tuple[int, Schedule]]:
        """What a group follows, with the first update of each part. One part, unless there are very many factors."""
        schedule = self.schedules[index if len(self.schedules) > 1 else 0]
        values: list[float] = []
        milestones: list[int] = []
        for update, factor in sorted(self.factors.items()):
            if not values or factor != values[-1]:
                values.append(factor)
                milestones.append(update)
        return [
            (milestones[k], _scaled(schedule, tuple(values[k : k + MOST]), tuple(milestones[k + 1 : k + MOST])))
            for k in range(0, len(values), MOST)
        ]


MOST = 256
"""Factors in one part of a composed schedule. Parts that are complete are not built again with each further factor."""


def _scaled(schedule: Schedule, values: tuple[float, ...], milestones: tuple[int, ...]) -> Schedule:
    if milestones:
        return schedule * _steps(values, milestones)
    return schedule if values[0] == 1 else schedule * values[0]


@lru_cache(maxsize=256)
def _steps(values: tuple[float, ...], milestones: tuple[int, ...]) -> piecewise_constant:
    return piecewise_constant(values, milestones)


def _joined(parts: list[tuple[int, Schedule]]) -> Schedule:
    if len(parts) == 1:
        return parts[0][1]
    return switch(tuple(schedule for _, schedule in parts), tuple(start for start, _ in parts[1:]))


def _plain(value: Any) -> Any:
    """A value for JSON."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return records.encode_float(float(value))
