"""Lengths in the units of a user: updates, epochs, tokens, a share of the run, or the rest of it."""

import re
from itertools import pairwise
from typing import Any

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError, UnresolvedError

REST = "rest"
"""The length of what the other parts leave of the run."""

UNRESOLVED = "unresolved"
"""The length of a schedule with a part of unresolved length."""

_UNITS = {"%": "%", "update": "updates", "epoch": "epochs", "token": "tokens"}
_TEXT = re.compile(r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(%|updates?|epochs?|tokens?)\s*", re.IGNORECASE)


def _parsed(text: str) -> tuple[float, str]:
    """Number and unit. The number is 0 if the text is not a length."""
    match = _TEXT.fullmatch(text)
    return (float(match[1]), _UNITS[match[2].lower().removesuffix("s")]) if match else (0.0, "")


@frozen
class Horizon:
    """What is known about the run that a schedule is for.

    Args:
        updates: Length of the run in updates.
        updates_per_epoch: Number of updates in one pass over the data.
        tokens_per_update: Number of tokens (or examples, or whatever the schedule counts) in an update.

    Raises:
        ArgumentError: if a number is not above 0, or none is given.

    Example:
        >>> Horizon(updates=10_000, updates_per_epoch=100).resolve("3 epochs")
        300
    """

    updates: int | None = checked(checks.optional(checks.length), default=None)
    updates_per_epoch: float | None = checked(checks.optional(checks.positive), default=None)
    tokens_per_update: float | None = checked(checks.optional(checks.positive), default=None)

    def __post_init__(self) -> None:
        checks.check_fields(self)
        if self.updates is None and self.updates_per_epoch is None and self.tokens_per_update is None:
            raise ArgumentError("a Horizon must have at least one number: give updates=, the length of the run")

    def resolve(self, length: "int | str") -> int:
        """A length in updates, rounded to an integer of at least 1.

        Args:
            length: A number of updates, or a text such as "3 epochs", "5%" or "2e9 tokens".

        Raises:
            ArgumentError: if the horizon does not have what the unit needs, or the length is "rest".
        """
        text = span("length", length)
        if isinstance(text, int):
            return text
        number, unit = _parsed(text)
        if unit == "%":
            number *= self._required("updates", text) / 100
        elif unit == "epochs":
            number *= self._required("updates_per_epoch", text)
        else:
            number /= self._required("tokens_per_update", text)
        if not number < checks.LONGEST:
            checks.refuse("length", "at most 2 ** 62 updates", text, f"the horizon is {self!r}")
        return max(1, round(number))

    def _required(self, name: str, length: str) -> float:
        value: float | None = getattr(self, name)
        if value is None:
            raise ArgumentError(
                f"the horizon must have {name} to resolve {length!r}, received {self!r}: give Horizon({name}=...)"
            )
        return value


def horizon(value: "int | Horizon") -> Horizon:
    """A horizon as a user gives it: a number is the length of the run in updates."""
    return value if isinstance(value, Horizon) else Horizon(updates=checks.length("horizon", value))


def length(name: str, value: object) -> int | str:
    """A length as a schedule stores it: a number of updates, or a text in its normal spelling."""
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
        checks.refuse(name, "at most '100%'", value, "a part cannot be longer than the run")
    brief = f"{number:g}"
    text = brief if float(brief) == number else repr(number)
    return f"{text}%" if unit == "%" else f"{text} {unit if number != 1 else unit[:-1]}"


def span(name: str, value: object) -> int | str:
    """A length other than "rest": one that does not depend on the other parts of a schedule."""
    checked_length = length(name, value)
    if checked_length == REST:
        checks.refuse(name, "a length of its own", value, "give updates, '3 epochs' or '5%'")
    return checked_length


optional_length = checks.optional(length)
optional_span = checks.optional(span)


def pause(name: str, value: object) -> int | str:
    """A length that may be 0."""
    return span(name, value) if isinstance(value, str) else checks.whole(name, value, at_least=0)


def moments(name: str, value: object) -> tuple[int | str, ...]:
    """Points of a run in ascending order: update numbers above 0, or texts."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        checks.refuse_type(name, "a sequence of update numbers", value)
    points = tuple(span(f"{name}[{i}]", point) for i, point in enumerate(value))
    if not points:
        raise ArgumentError(f"{name} must have at least one update number, received none")
    for i, (point, following) in enumerate(pairwise(points)):
        if reaches(point, following):
            checks.refuse(f"{name}[{i + 1}]", f"above {name}[{i}] = {point}", following, "sort them and remove duplicates")
    return points


def reaches(length: int | str, other: int | str) -> bool:
    """Whether `length` is at least `other`. False if they cannot be compared because their units differ."""
    if isinstance(length, str) and isinstance(other, str):
        (number, unit), (other_number, other_unit) = _parsed(length), _parsed(other)
        return unit == other_unit and number >= other_number
    return isinstance(length, int) and isinstance(other, int) and length >= other


def updates(length: "int | str") -> int:
    """A resolved length, which is a number of updates.

    Raises:
        UnresolvedError: if it is a text.
    """
    if isinstance(length, str):
        raise UnresolvedError(
            f"the lengths of a schedule must be known in updates before it has a value, received {length!r}: "
            "call schedule.resolve(updates), or resolve(Horizon(...)) for epochs and tokens"
        )
    return length


def resolved(value: Any, horizon: Horizon, rest: int | None) -> Any:
    """A field of a schedule in updates: a length, or a tuple of lengths.

    Args:
        value: The field.
        horizon: The run.
        rest: Value of "rest" in updates; None if the length of the run is not known.

    Raises:
        ArgumentError: if the horizon does not have what a unit needs, or nothing is left for "rest".
    """
    if isinstance(value, tuple):
        return tuple(resolved(length, horizon, rest) for length in value)
    if value != REST:
        return horizon.resolve(value)
    if rest is None:
        raise ArgumentError(f"the horizon must have updates to resolve 'rest', received {horizon!r}")
    if rest < 1:
        raise ArgumentError(
            f"the other parts must leave at least 1 of {horizon.updates} updates for the 'rest', they leave {rest}: "
            "make them shorter, or the run longer"
        )
    return rest


CHECKS = (length, span, optional_length, optional_span, pause, moments)
"""The checks of fields that contain lengths."""
