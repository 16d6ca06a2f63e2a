"""What happened to the LR of a run, as values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from learnrate import checks, records
from learnrate.errors import ArgumentError, ParseError
from learnrate.schedules import Schedule, parse
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
    return tuple(given[text] if text in given else _read(text, functions) for text in texts)


def _read(text: str, functions: Iterable[Function]) -> Schedule:
    try:
        return parse(text, functions)
    except ParseError as error:
        if not any(f"{name}(" in text for name in ("custom", "function")):
            raise
        raise ArgumentError(
            "the schedules that a saved run followed must be readable from their texts, received one with a function of the "
            f"program, {checks.shown(text)}: begin the run that goes on with that schedule, which is then not read, or give "
            "functions at the top level of a module to Control.load_state_dict(state, functions=[...]) or "
            "Record.load(path, functions=[...])"
        ) from error


def several_texts(name: str, value: object) -> tuple[str, ...]:
    """The check of the texts of schedules, at least one."""
    texts = checks.several(checks.text, of="texts")(name, value)
    if not texts:
        checks.refuse(name, "at least one schedule", value)
    return texts


def _plain(value: Any) -> Any:
    """A value for JSON."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return records.encode_float(float(value))
