"""Lengths in the units that a user thinks in: updates, epochs, a share of the run, tokens, or what is left of it."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError, UnresolvedError

REST = "rest"
"""The length of whatever is left of the horizon."""

UNRESOLVED = "unresolved"
"""The length of a whole, where that of a part is known only with the run."""

_UNITS = {"%": "%", "update": "updates", "epoch": "epochs", "token": "tokens"}
_TEXT = re.compile(r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(%|updates?|epochs?|tokens?)\s*", re.IGNORECASE)


def _parsed(text: str) -> tuple[float, str]:
    """Number and unit; a number of 0 where the text is no length."""
    match = _TEXT.fullmatch(text)
    return (float(match[1]), _UNITS[match[2].lower().removesuffix("s")]) if match else (0.0, "")


@dataclass(frozen=True)
class Horizon:
    """What is known of the run that a schedule is for.

    Args:
        updates: Its length in updates.
        updates_per_epoch: Updates that go once over the data.
        tokens_per_update: Tokens (or examples, whatever the schedule counts) that an update consumes.

    Raises:
        ArgumentError: if a number is not above 0, or all are missing.

    Example:
        >>> Horizon(updates=10_000, updates_per_epoch=100).resolve("3 epochs")
        300
    """

    updates: Annotated[int | None, checks.optional(checks.length)] = None
    updates_per_epoch: Annotated[float | None, checks.optional(checks.positive)] = None
    tokens_per_update: Annotated[float | None, checks.optional(checks.positive)] = None

    def __post_init__(self) -> None:
        checks.check_fields(self)
        if self.updates is None and self.updates_per_epoch is None and self.tokens_per_update is None:
            raise ArgumentError("a Horizon must know something of the run: give updates=, the length of the training")

    def resolve(self, length: "int | str") -> int:
        """A length in updates, rounded to whole ones and at least 1.

        Args:
            length: A number of updates, or a text such as "3 epochs", "5%" or "2e9 tokens".

        Raises:
            ArgumentError: if the horizon lacks what the unit needs, or the length is "rest", which only a schedule knows.
        """
        checked = span("length", length)
        if isinstance(checked, int):
            return checked
        number, unit = _parsed(checked)
        if unit == "%":
            number *= self._known("updates", checked) / 100
        elif unit == "epochs":
            number *= self._known("updates_per_epoch", checked)
        else:
            number /= self._known("tokens_per_update", checked)
        if not number < checks.LONGEST:
            checks.refuse("length", "at most 2 ** 62 updates", checked, f"the horizon is {self!r}")
        return max(1, round(number))

    def _known(self, name: str, length: str) -> float:
        value: float | None = getattr(self, name)
        if value is None:
            raise ArgumentError(f"the horizon must have {name} to resolve {length!r}, received {self!r}")
        return value


def horizon(value: "int | Horizon") -> Horizon:
    """A horizon as a user may give it: a number is its length in updates."""
    return value if isinstance(value, Horizon) else Horizon(updates=checks.length("horizon", value))


def length(name: str, value: object) -> int | str:
    """A length as a schedule keeps it: a whole number of updates, or a text in one spelling."""
    if not isinstance(value, str):
        return checks.length(name, value)
    if value.strip().lower() == REST:
        return REST
    number, unit = _parsed(value)
    if not 0 < number < float("inf"):
        raise ArgumentError(
            f"{name} must be a number of updates or a text such as '3 epochs', '5%', '2e9 tokens' or 'rest', "
            f"received {value!r}"
        )
    if unit == "updates":
        return checks.length(name, int(number) if number.is_integer() else number)
    if unit == "%" and number > 100:
        checks.refuse(name, "at most '100%'", value, "a part of a run cannot be longer than the run")
    brief = f"{number:g}"
    text = brief if float(brief) == number else repr(number)
    return f"{text}%" if unit == "%" else f"{text} {unit if number != 1 else unit[:-1]}"


def span(name: str, value: object) -> int | str:
    """A length that something has wherever it stands: "rest" would say nothing of it."""
    found = length(name, value)
    if found == REST:
        checks.refuse(name, "a length of its own", value, "give updates, '3 epochs' or '5%'")
    return found


def optional_span(name: str, value: object) -> int | str | None:
    """A span, or None."""
    return None if value is None else span(name, value)


def optional_length(name: str, value: object) -> int | str | None:
    """A length, or None for no end."""
    return None if value is None else length(name, value)


def pause(name: str, value: object) -> int | str:
    """A length that may be 0."""
    return span(name, value) if isinstance(value, str) else checks.whole(name, value, at_least=0)


def moments(name: str, value: object) -> tuple[int | str, ...]:
    """Points of a run, in ascending order, each an update number above 0 or a text."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ArgumentTypeError(f"{name} must be a sequence of update numbers, received {value!r}")
    found = tuple(span(f"{name}[{i}]", one) for i, one in enumerate(value))
    if not found:
        raise ArgumentError(f"{name} must hold at least one update number, received none")
    for i, (one, other) in enumerate(pairwise(found)):
        if reaches(one, other):
            checks.refuse(f"{name}[{i + 1}]", f"above {name}[{i}] = {one}", other, "put them in ascending order, each once")
    return found


def reaches(one: int | str, other: int | str) -> bool:
    """Whether one length is as long as another or longer, as far as it can be told: they must be in the same unit."""
    if isinstance(one, str) and isinstance(other, str):
        (number, unit), (other_number, other_unit) = _parsed(one), _parsed(other)
        return unit == other_unit and number >= other_number
    return isinstance(one, int) and isinstance(other, int) and one >= other


def updates(value: "int | str") -> int:
    """A length that is known in updates.

    Raises:
        UnresolvedError: if it is still a text.
    """
    if isinstance(value, str):
        raise UnresolvedError(
            f"the lengths of a schedule must be known in updates before it has a value, one is {value!r}: "
            "call schedule.resolve(updates), or resolve(Horizon(...)) for epochs and tokens"
        )
    return value


def resolved(value: Any, horizon: Horizon, rest: int | None) -> Any:
    """A field of a schedule in updates; "rest" is what `rest` says is left.

    Raises:
        ArgumentError: if the horizon lacks what a unit needs, or nothing is left.
    """
    if isinstance(value, tuple):
        return tuple(resolved(one, horizon, rest) for one in value)
    if value != REST:
        return horizon.resolve(value)
    if rest is None:
        raise ArgumentError(f"the horizon must have updates to resolve 'rest', received {horizon!r}")
    if rest < 1:
        raise ArgumentError(
            f"the parts of known length must leave at least 1 of {horizon.updates} updates to the 'rest', "
            f"they leave {rest}: "
            "shorten them, or train for longer"
        )
    return rest


Length = Annotated[int | str, length]
Span = Annotated[int | str, span]
OptionalSpan = Annotated[int | str | None, optional_span]
OptionalLength = Annotated[int | str | None, optional_length]
Pause = Annotated[int | str, pause]
Moments = Annotated[tuple[int | str, ...], moments]

CHECKS = (length, span, optional_length, optional_span, pause, moments)
"""The checks by which a field is known to hold lengths."""
