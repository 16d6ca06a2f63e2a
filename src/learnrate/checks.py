"""Checks of arguments: one function a rule, each returns the value as a plain Python number or raises.

Plain numbers (and not, say, `numpy.float32`) keep schedules equal by value, hashable and printable as they were written.
"""

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from numbers import Real
from typing import Annotated, Any, Literal, Never, get_args, get_origin, get_type_hints

from learnrate.errors import ArgumentError, ArgumentTypeError

LONGEST = 2**62
"""Updates. Sums of two lengths must be counts as well."""


def refuse(name: str, rule: str, value: object, remedy: str = "") -> Never:
    """Raise the error that an argument's value deserves."""
    raise ArgumentError(f"{name} must be {rule}, received {value!r}" + (f": {remedy}" if remedy else ""))


def number(name: str, value: object) -> float:
    """Any real number, finite or not, as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ArgumentTypeError(f"{name} must be a number, received {value!r} of type {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:  # an integer beyond the largest float
        return math.inf


def finite(name: str, value: object) -> float:
    """A finite number."""
    checked = number(name, value)
    if not math.isfinite(checked):
        refuse(name, "finite", value)
    return checked


def rate(name: str, value: object) -> float:
    """A finite number of at least 0: an LR, or any other hyper-parameter that a schedule may drive."""
    checked = finite(name, value)
    if checked < 0:
        refuse(name, "at least 0", value, "a negative rate would climb the loss")
    return checked


def positive(name: str, value: object) -> float:
    """A finite number above 0."""
    checked = finite(name, value)
    if checked <= 0:
        refuse(name, "above 0", value)
    return checked


def factor(name: str, value: object) -> float:
    """A finite number of at least 1, which something is divided by."""
    checked = finite(name, value)
    if checked < 1:
        refuse(name, "at least 1", value, "it divides the LR, so a smaller one would raise it")
    return checked


def growth(name: str, value: object) -> float:
    """A finite number of at least 1, by which something becomes longer."""
    checked = finite(name, value)
    if checked < 1:
        refuse(name, "at least 1", value, "periods that shrink would soon be shorter than an update")
    return checked


def decay(name: str, value: object) -> float:
    """A factor in (0, 1]: with more than 1 the value would grow without limit."""
    checked = finite(name, value)
    if not 0 < checked <= 1:
        refuse(name, "above 0 and at most 1", value, "with more the value would grow without limit")
    return checked


def fraction(name: str, value: object) -> float:
    """A number strictly between 0 and 1."""
    checked = finite(name, value)
    if not 0 < checked < 1:
        refuse(name, "strictly between 0 and 1", value, "0.3 means 30 %")
    return checked


def whole(name: str, value: object, at_least: int, at_most: int | None = None) -> int:
    """An integer of at least `at_least`, and at most `at_most` where that is given."""
    try:
        if isinstance(value, bool):
            raise TypeError
        checked = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        remedy = ": round it to whole updates" if isinstance(value, float) else ""
        raise ArgumentTypeError(
            f"{name} must be an integer, received {value!r} of type {type(value).__name__}{remedy}"
        ) from None
    if checked < at_least:
        refuse(name, f"at least {at_least}", value)
    if at_most is not None and checked > at_most:
        refuse(name, f"at most {at_most}", value)
    return checked


def length(name: str, value: object) -> int:
    """A length in updates: an integer of at least 1."""
    return whole(name, value, at_least=1, at_most=LONGEST)


def flag(name: str, value: object, or_none: bool = False) -> None:
    """True or False; or None, where that leaves it open."""
    if not (isinstance(value, bool) or (or_none and value is None)):
        rule = "True, False or None" if or_none else "True or False"
        raise ArgumentTypeError(f"{name} must be {rule}, received {value!r} of type {type(value).__name__}")


def ordered(low_name: str, low: float, high_name: str, high: float) -> None:
    """Refuse bounds that are equal or the wrong way round."""
    if low >= high:
        remedy = "swap them" if low > high else "make room between them"
        raise ArgumentError(f"{low_name} must be below {high_name}, received {low!r} and {high!r}: {remedy}")


def weight(name: str, value: object) -> float:
    """A finite number of at least 0 and below 1."""
    checked = finite(name, value)
    if not 0 <= checked < 1:
        refuse(name, "at least 0 and below 1", value)
    return checked


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in options:
        refuse(name, "one of " + ", ".join(map(repr, options)), value)
    return str(value)


def optional(check: Any) -> Any:
    """`check`, with None let through."""
    return lambda name, value: None if value is None else check(name, value)


Check = Callable[[str, Any], object]


def one_of(*options: str) -> Check:
    """`choice` between these words."""
    return lambda name, value: choice(name, value, options)


@cache
def of_fields(cls: type[Any]) -> tuple[tuple[str, Check], ...]:
    """The checks that the annotated types of a dataclass' fields carry, with the fields' names."""

    def found() -> Iterator[tuple[str, Check]]:
        hints = get_type_hints(cls, include_extras=True)
        for field in fields(cls):
            hint = hints[field.name]
            if get_origin(hint) is Literal:
                yield field.name, one_of(*get_args(hint))
            elif get_origin(hint) is Annotated:
                yield from ((field.name, check) for check in get_args(hint)[1:])

    return tuple(found())


def check_fields(instance: Any) -> None:
    """Run them, and keep the values that they return."""
    for name, check in of_fields(instance.__class__):
        object.__setattr__(instance, name, check(name, getattr(instance, name)))


# What a field may be. The check travels with the type, and is run when the object is built.
Rate = Annotated[float, rate]
Positive = Annotated[float, positive]
Factor = Annotated[float, factor]
Decay = Annotated[float, decay]
Fraction = Annotated[float, fraction]
Times = Annotated[int | None, optional(length)]
