"""Lengths in the units of a user: updates, epochs, tokens, a share of the run, or the rest of it."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError, UnresolvedError

if TYPE_CHECKING:
    from learnrate.schedules.base import Schedule

Number = TypeVar("Number", int, float)

REST = "rest"
"""The length of what the other parts leave of the run."""

UNRESOLVED = "unresolved"
"""The length of a schedule with a part of unresolved length."""

_UNITS = {"%": "%", "update": "updates", "step": "updates", "epoch": "epochs", "token": "tokens"}
_TEXT = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*(%|updates?|steps?|epochs?|tokens?)\s*", re.IGNORECASE)


def _parsed(text: str) -> tuple[float, str]:
    """Number and unit. The number is NaN if the text is not a length."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return math.nan, ""
    number = float(match[1] + (match[2] or ""))
    # Below the smallest float there are numbers that are not 0, such as 1e-400.
    is_read = number < math.inf and (number > 0 or not float(match[1]))
    return number if is_read else math.nan, _UNITS[match[3].lower().removesuffix("s")]


def fraction(number: float) -> Fraction:
    """The decimal that a float prints. The float 0.1 itself is slightly larger."""
    return Fraction(repr(number))


def in_tokens(length: float | str) -> float:
    """The number of tokens of a length that is in tokens; 0 for another length."""
    number, unit = _parsed(length.removeprefix("-")) if isinstance(length, str) else (0.0, "")
    return number if unit == "tokens" else 0.0


def _tokens_per_update(name: str, value: object) -> "float | Callable[[Any], Any]":
    from learnrate.schedules.base import Schedule  # which imports this module

    return value if isinstance(value, Schedule) else checks.positive(name, value)


@frozen
class Horizon:
    """What is known about the run that a schedule is for.

    Args:
        updates: Length of the run in updates.
        updates_per_epoch: Number of updates in one pass over the data.
        tokens_per_update: Number of tokens (or examples, or whatever the schedule counts) in an update. If it changes during
            the run, because the batch grows, a schedule of its own, such as
            linear(32e3, 3.2e6, "12e9 tokens") >> constant(3.2e6). Lengths in tokens then depend on where they begin, and
            lengths that are repeated must be in another unit.

    Raises:
        ArgumentError: if a number is not above 0, or none is given.

    Example:
        >>> Horizon(updates=10_000, updates_per_epoch=100).resolve("3 epochs")
        300
    """

    updates: int | None = checked(checks.optional(checks.length), default=None)
    updates_per_epoch: float | None = checked(checks.optional(checks.positive), default=None)
    tokens_per_update: float | Callable[[Any], Any] | None = checked(checks.optional(_tokens_per_update), default=None)

    def __post_init__(self) -> None:
        checks.check_fields(self)
        if self.tokens_schedule is not None and not self.tokens_schedule.is_resolved:
            from learnrate.schedules.tokens import in_updates  # which imports this module

            run = self if self.updates is None and self.updates_per_epoch is None else replace(self, tokens_per_update=None)
            object.__setattr__(self, "tokens_per_update", in_updates(self.tokens_schedule, run))
        if self.updates is None and self.updates_per_epoch is None and self.tokens_per_update is None:
            raise ArgumentError("a Horizon must have at least one number: give updates=, the length of the run")

    @property
    def tokens_schedule(self) -> "Schedule | None":
        """The tokens per update if they change during the run."""
        return self.tokens_per_update if callable(self.tokens_per_update) else None  # type: ignore[return-value]

    def resolve(self, length: "int | str") -> int:
        """A length in updates, from the start of the run, rounded to an integer of at least 1.

        Args:
            length: A number of updates, or a text such as "3 epochs", "5%" or "2e9 tokens".

        Raises:
            ArgumentError: if the horizon does not have what the unit needs, or the length is "rest".
        """
        return max(1, round(self.exactly(span("length", length))))

    def exactly(self, length: "float | str") -> Fraction:
        """A length in updates before it is rounded.

        Args:
            length: A number of updates, or a text in its normal spelling, other than "rest".

        Raises:
            ArgumentError: if the horizon does not have what the unit needs.
        """
        if not isinstance(length, str):
            return fraction(length)
        if length.startswith("-"):
            return -self.exactly(length[1:])
        number, unit = _parsed(length)
        updates = fraction(number)
        if unit == "%":
            updates *= fraction(self._required("updates", length)) / 100
        elif unit == "epochs":
            updates *= fraction(self._required("updates_per_epoch", length))
        elif self.tokens_schedule is not None:
            from learnrate.schedules.tokens import updates_for  # which imports this module

            return updates_for(number, self.tokens_schedule)
        else:
            updates /= fraction(self._required("tokens_per_update", length))
        if not updates < checks.LONGEST:
            checks.refuse("length", "at most 2 ** 62 updates", length, f"the horizon is {checks.shown(self)}")
        return updates

    def _required(self, name: str, length: str) -> float:
        value: float | None = getattr(self, name)
        if value is None:
            raise ArgumentError(
                f"the horizon must have {name} to resolve {checks.shown(length)}, received {checks.shown(self)}: "
                f"give {name}=, or lengths that do not depend on it"
            )
        return value


def horizon(value: "int | Horizon") -> Horizon:
    """A horizon as a user gives it: a number is the length of the run in updates."""
    return value if isinstance(value, Horizon) else Horizon(updates=checks.length("horizon", value))


def length(name: str, value: object) -> int | str:
    """The length of a part as a schedule stores it: a number of updates, or a text in its normal spelling.

    A length of 0 updates is the number 0, in whatever unit it is written.
    """
    if not isinstance(value, str):
        return checks.whole(name, value, at_least=0, at_most=checks.LONGEST)
    if value.strip().lower() == REST:
        return REST
    number = in_normal_spelling(name, value)
    return number if isinstance(number, str) else checks.whole(name, number, at_least=0, at_most=checks.LONGEST)


def in_normal_spelling(name: str, text: str) -> float | str:
    """A length that is a text: a number if it is in updates or 0, otherwise a text with one spelling."""
    number, unit = _parsed(text)
    if math.isnan(number):
        raise ArgumentError(
            f"{name} must be a number of updates or a text such as '3 epochs', '5%', '2e9 tokens', '100 updates' "
            f"or 'rest', received {checks.shown(text)}"
        )
    if unit == "updates" or number == 0:
        return int(number) if number.is_integer() else number
    if unit == "%" and number > 100:
        checks.refuse(name, "at most '100%'", text, "a part cannot be longer than the run")
    brief = f"{number:g}"
    digits = brief if float(brief) == number else repr(number)
    return f"{digits}%" if unit == "%" else f"{digits} {unit if number != 1 else unit[:-1]}"


def span(name: str, value: object) -> int | str:
    """A length of at least 1 other than "rest": one that does not depend on the other parts of a schedule."""
    checked_length = pause(name, value)
    return checked_length if isinstance(checked_length, str) else checks.length(name, checked_length)


def pause(name: str, value: object) -> int | str:
    """A length that may be 0, other than "rest"."""
    checked_length = length(name, value)
    if checked_length == REST:
        checks.refuse(name, "a length of its own", value, "give updates, '3 epochs' or '5%'")
    return checked_length


def period(name: str, value: object) -> float | str:
    """A length that is repeated. It may have a fraction, because only the edges between repetitions are rounded."""
    number: object = value
    if isinstance(value, str):
        if value.strip().lower() == REST:
            pause(name, value)  # which refuses it
        number = in_normal_spelling(name, value)
        if isinstance(number, str):
            return number
    if not isinstance(number, (float, np.floating)):
        return checks.length(name, number)
    updates = checks.finite(name, number)
    if not 1 <= updates <= checks.LONGEST:
        checks.refuse(name, "at least 1 and at most 2 ** 62 updates", value)
    return plain(updates)


def plain(updates: "float | Fraction") -> float:
    """A number of updates as a period stores it: an int if it is whole."""
    return int(updates) if updates == int(updates) else float(updates)


def offset(name: str, value: object) -> int | str:
    """A number of updates, or a text, that may be negative."""
    if not isinstance(value, str):
        return checks.whole(name, value, at_least=-checks.LONGEST, at_most=checks.LONGEST)
    is_negative = value.lstrip().startswith("-")
    distance = pause(name, value.lstrip()[1:] if is_negative else value)
    if isinstance(distance, str):
        return f"-{distance}" if is_negative else distance
    return -distance if is_negative else distance


optional_length = checks.optional(length)
optional_period = checks.optional(period)


def moments(name: str, value: object) -> tuple[int | str, ...]:
    """Points of a run in ascending order: update numbers above 0, or texts."""
    points = checks.several(span, of="update numbers")(name, value)
    if not points:
        raise ArgumentError(f"{name} must have at least one update number, received none")
    for i, (point, following) in enumerate(pairwise(points)):
        if reaches(point, following):
            checks.refuse(f"{name}[{i + 1}]", f"above {name}[{i}] = {point}", following, "sort them and remove duplicates")
    return points


def reaches(length: float | str, other: float | str) -> bool:
    """Whether `length` is at least `other`. False if they cannot be compared because their units differ."""
    if isinstance(length, str) and isinstance(other, str):
        (number, unit), (other_number, other_unit) = _parsed(length), _parsed(other)
        return unit == other_unit and number >= other_number
    return not isinstance(length, str) and not isinstance(other, str) and length >= other


def updates(length: Number | str) -> Number:
    """A resolved length, which is a number of updates.

    Raises:
        UnresolvedError: if it is a text.
    """
    if isinstance(length, str):
        raise UnresolvedError(
            f"the lengths of a schedule must be known in updates before it has a value, received {checks.shown(length)}: "
            "call schedule.resolve(updates), or resolve(Horizon(...)) for epochs and tokens"
        )
    return length


def require_steady_tokens(lengths: Iterable[float | str], horizon: Horizon) -> None:
    """Refuse lengths in tokens that have no single length in updates, because they are repeated or begin elsewhere."""
    if horizon.tokens_schedule is not None and any(map(in_tokens, lengths)):
        raise ArgumentError(
            "a length that is repeated, moved or inside a period must be in updates, epochs or percent while "
            f"tokens_per_update changes, received {' and '.join(str(length) for length in lengths if in_tokens(length))}"
        )


def resolved(check: Any, value: Any, horizon: Horizon, rest: int | None) -> Any:
    """A field of a schedule in updates: a length, or a tuple of lengths.

    Args:
        check: The check of the field.
        value: The field.
        horizon: The run.
        rest: Value of "rest" in updates; None if the length of the run is not known.

    Raises:
        ArgumentError: if the horizon does not have what a unit needs, or nothing is left for "rest".
    """
    if isinstance(value, tuple):
        return tuple(resolved(check, length, horizon, rest) for length in value)
    if not isinstance(value, str):
        return value
    if value == REST:
        return _left(horizon, rest)
    if check in (period, optional_period, pause, offset):
        require_steady_tokens([value], horizon)
    if check in (period, optional_period):
        return plain(max(Fraction(1), horizon.exactly(value)))
    return round(horizon.exactly(value)) if check in (pause, offset) else horizon.resolve(value)


def _left(horizon: Horizon, rest: int | None) -> int:
    if rest is None:
        raise ArgumentError(f"the horizon must have updates to resolve 'rest', received {checks.shown(horizon)}")
    if rest < 0:
        raise ArgumentError(
            f"the other parts must leave at least 0 of {horizon.updates} updates for the 'rest', they need {-rest} more: "
            "make them shorter, or the run longer"
        )
    return rest


CHECKS = (length, span, optional_length, period, optional_period, pause, offset, moments)
"""The checks of fields that contain lengths."""
