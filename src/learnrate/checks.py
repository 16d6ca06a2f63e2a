"""Checks of arguments: one function per rule.

Each returns the value as a plain Python object, or raises `ArgumentTypeError` for a value of the wrong type and
`ArgumentError` for a value that breaks the rule. Plain numbers (not, for example, `numpy.float32`) keep schedules equal by
value, hashable, and printable as written.

A frozen class names the check of each field beside its type, and runs all of them when an object is built:

    @frozen
    class no_progress:
        updates: int = checked(length)

        def __post_init__(self) -> None:
            check_fields(self)
"""

import difflib
import math
import operator
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from numbers import Rational, Real
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Never, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from learnrate.errors import ArgumentError, ArgumentTypeError

T = TypeVar("T")
Check = Callable[[str, Any], T]
"""From the name and the value of an argument to the value that is stored."""

LONGEST = 2**62
"""Longest length in updates. The sum of two lengths must fit into 64 bits as well."""


SHOWN = 200
"""Characters of a value that an error message shows: a model prints all its layers, a list all its tensors."""


def short(text: str, longest: int = SHOWN) -> str:
    """A text for an error message, in one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest]} ..."


def shown(value: object) -> str:
    """A value for an error message, in one line of bounded length."""
    try:
        return short(repr(value))
    except Exception:
        # Python does not print an integer of thousands of digits, nor a list that is nested as deep. The error that
        # is about to be raised matters more than the form of the value in it.
        size = f" of {value.bit_length()} bits" if isinstance(value, int) else ""
        return f"<{type(value).__name__}{size}>"


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """The remedy for a name that does not exist: the most similar one of `names`, or `otherwise` if none is similar."""
    similar = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {similar[0]!r}?" if similar else otherwise


def refuse(name: str, rule: str, value: object, remedy: str = "") -> Never:
    """Raise the error for a value that breaks its rule.

    Raises:
        ArgumentError: always.
    """
    raise ArgumentError(f"{name} must be {rule}, received {shown(value)}" + (f": {remedy}" if remedy else ""))


def refuse_type(name: str, rule: str, value: object, remedy: str = "") -> Never:
    """Raise the error for a value of the wrong type.

    Raises:
        ArgumentTypeError: always.
    """
    received = f"{shown(value)} of type {type(value).__name__}"
    raise ArgumentTypeError(f"{name} must be {rule}, received {received}" + (f": {remedy}" if remedy else "")) from None


def number(name: str, value: object) -> float:
    """Any real number, finite or not, as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        refuse_type(name, "a number", value)
    try:
        return float(value)
    except OverflowError:  # an integer beyond the largest float
        return math.inf


def representable(name: str, value: object) -> float:
    """A number that a float can hold: any float, and no integer beyond the largest one."""
    checked = number(name, value)
    if math.isinf(checked) and isinstance(value, Rational):
        refuse(name, "within the range of a float", value)
    return checked


def finite(name: str, value: object) -> float:
    """A finite number."""
    checked = number(name, value)
    if not math.isfinite(checked):
        refuse(name, "finite", value)
    return checked


def rate(name: str, value: object) -> float:
    """A finite number of at least 0: an LR, or another hyper-parameter that a schedule can set."""
    checked = finite(name, value)
    if checked < 0:
        refuse(name, "at least 0", value, "with a negative rate the loss increases")
    return checked


def positive(name: str, value: object) -> float:
    """A finite number above 0."""
    checked = finite(name, value)
    if checked <= 0:
        refuse(name, "above 0", value)
    return checked


LARGEST_LR = 1e30
"""Single precision, in which most models train, ends at 3.4e38, and an optimizer multiplies the LR by other numbers."""


def positive_single(name: str, value: object) -> float:
    """A number above 0 that an optimizer can compute with in single precision."""
    checked = positive(name, value)
    if checked > LARGEST_LR:
        refuse(name, "at most 1e30", value, "single precision holds no number above 3.4e38")
    return checked


def is_traced(value: object) -> bool:
    """Whether it is a single number that JAX traces, which has no value that could be checked."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.core.Tracer) and value.ndim == 0


def rate_or_traced(name: str, value: object) -> float:
    """A finite number of at least 0, or a number that JAX traces, as with `jax.vmap` over the peaks of a schedule."""
    return value if is_traced(value) else rate(name, value)  # type: ignore[return-value]


def positive_or_traced(name: str, value: object) -> float:
    """A finite number above 0, or a number that JAX traces."""
    return value if is_traced(value) else positive(name, value)  # type: ignore[return-value]


def factor(name: str, value: object) -> float:
    """A finite divisor of at least 1."""
    checked = finite(name, value)
    if checked < 1:
        refuse(name, "at least 1", value, "the LR is divided by it, so a smaller value would increase the LR")
    return checked


def growth(name: str, value: object) -> float:
    """A finite factor of at least 1 on the length of each next period."""
    checked = finite(name, value)
    if checked < 1:
        refuse(name, "at least 1", value, "periods that shrink soon become shorter than one update")
    return checked


def decay(name: str, value: object) -> float:
    """A factor in (0, 1], which is applied again and again."""
    checked = finite(name, value)
    if not 0 < checked <= 1:
        refuse(name, "above 0 and at most 1", value, "with a larger factor the value grows without limit")
    return checked


def fraction(name: str, value: object) -> float:
    """A number strictly between 0 and 1."""
    checked = finite(name, value)
    if not 0 < checked < 1:
        refuse(name, "strictly between 0 and 1", value, "0.3 means 30 %")
    return checked


def weight(name: str, value: object) -> float:
    """A finite number of at least 0 and below 1."""
    checked = finite(name, value)
    if not 0 <= checked < 1:
        refuse(name, "at least 0 and below 1", value)
    return checked


def whole(name: str, value: object, at_least: int, at_most: int | None = None) -> int:
    """An integer of at least `at_least`, and at most `at_most` if that is given."""
    try:
        if isinstance(value, bool):
            raise TypeError
        checked = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):  # the last two from arrays and tensors that have no single value
        refuse_type(name, "an integer", value, "round it to an integer" if isinstance(value, float) else "")
    if checked < at_least:
        refuse(name, f"at least {at_least}", value)
    if at_most is not None and checked > at_most:
        refuse(name, f"at most {at_most}", value)
    return checked


def seed(name: str, value: object) -> int:
    """A seed of random numbers, as torch takes it: an integer of 64 bits, with or without a sign."""
    return whole(name, value, at_least=-(2**63), at_most=2**64 - 1)


def length(name: str, value: object) -> int:
    """A length in updates: an integer of at least 1."""
    return whole(name, value, at_least=1, at_most=LONGEST)


def flag(name: str, value: object, or_none: bool = False) -> None:
    """Refuse anything but True and False, and None if `or_none`."""
    if not (isinstance(value, bool) or (or_none and value is None)):
        refuse_type(name, "True, False or None" if or_none else "True or False", value)


def function_or_none(name: str, value: object, arguments: str) -> None:
    """Refuse what is neither None nor a function; `arguments` says which ones it is called with, for the error."""
    if value is not None and not callable(value):
        refuse_type(name, f"a function {arguments}", value)


def text(name: str, value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        refuse_type(name, "a text", value)
    return str(value)


def instance(kind: type[T] | UnionType, description: str) -> Check[T]:
    """The check that a value is of a class, or of one of several."""

    def check(name: str, value: object) -> T:
        if not isinstance(value, kind):
            refuse_type(name, description, value)
        return value

    return check


def several(check: Check[T], of: str = "") -> Check[tuple[T, ...]]:
    """The check `check` of every entry of an iterable. A text or a mapping is refused, although it can be iterated over.

    Args:
        check: Called with "name[index]" and the entry.
        of: What the entries are, in the plural, for the error.
    """

    def check_all(name: str, values: Any) -> tuple[T, ...]:
        if isinstance(values, (str, bytes, Mapping)) or not is_iterable(values):
            refuse_type(name, f"a sequence of {of}" if of else "a sequence", values)
        return tuple(check(f"{name}[{index}]", value) for index, value in enumerate(values))

    return check_all


def is_iterable(value: object) -> bool:
    """Whether a value can be iterated over. Not by trying: to begin an iteration of a DataLoader draws random numbers."""
    # An array or a tensor without a dimension has the method, which fails.
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0


def path(name: str, value: object) -> Path:
    """A path in the file system, as a text or an `os.PathLike`."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        refuse_type(name, "a str or a pathlib.Path", value)
    if "\0" in os.fspath(value):
        refuse(name, "the name of a file", value, "no name holds the character 0")
    return Path(value)


def interval(name: str, value: object) -> tuple[float, float]:
    """Two numbers of at least 0 in ascending order; the upper one may be infinite."""
    ends = several(number)(name, value)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
        refuse(name, "two numbers of at least 0, the lower one first", value)
    return ends[0], ends[1]


def ordered(low_name: str, low: float, high_name: str, high: float) -> None:
    """Refuse bounds that are equal or in the wrong order."""
    if not (is_traced(low) or is_traced(high)) and low >= high:
        remedy = "swap them" if low > high else "they must differ"
        raise ArgumentError(f"{low_name} must be below {high_name}, received {shown(low)} and {shown(high)}: {remedy}")


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """One of the words in `options`."""
    if not isinstance(value, str) or value not in options:
        refuse(name, "one of " + ", ".join(map(repr, options)), value)
    return str(value)


def numpy_seed(name: str, value: object) -> int:
    """An integer from 0 to 2 ** 32 - 1, the largest seed that NumPy takes."""
    return whole(name, value, at_least=0, at_most=2**32 - 1)


def one_of(*options: str) -> Check[str]:
    """The check `choice` with these options."""
    return lambda name, value: choice(name, value, options)


def optional(check: Check[T]) -> Check[T | None]:
    """The check `check`, which also allows None."""
    return lambda name, value: None if value is None else check(name, value)


_CHECK = "check"
"""Key of a field's metadata."""


def checked(check: Check[T], *, default: Any = MISSING) -> T:
    """A field of a `frozen` class with a check. Its type is what the check returns.

    Args:
        check: Called with the name and the value of the field; returns the value to store, or raises.
        default: Default value of the field.

    Example:
        >>> @frozen
        ... class Trial:
        ...     lr: float = checked(positive)
        ...
        ...     def __post_init__(self) -> None:
        ...         check_fields(self)
        >>> Trial(1)
        Trial(lr=1.0)
        >>> Trial(0)
        Traceback (most recent call last):
        learnrate.errors.ArgumentError: lr must be above 0, received 0
    """
    specifier: T = field(default=default, metadata={_CHECK: check})
    return specifier


@dataclass_transform(frozen_default=True, field_specifiers=(checked, field))
def frozen(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass. A `__repr__` that it defines or inherits is kept."""
    return dataclass(frozen=True, repr=cls.__repr__ is object.__repr__)(cls)


def unchecked(cls: type[T], **attributes: Any) -> T:
    """An instance of a class made by `frozen`, of values that are known to keep its rules. They are not looked at again."""
    instance = object.__new__(cls)
    for name, value in attributes.items():
        object.__setattr__(instance, name, value)
    return instance


@cache
def of_fields(cls: type[Any]) -> tuple[tuple[str, Check[Any]], ...]:
    """Name and check of the fields that have one. A `Literal` type is its own check."""
    hints = get_type_hints(cls)
    checks = ((specifier.name, _check_of(specifier, hints[specifier.name])) for specifier in fields(cls))
    return tuple((name, check) for name, check in checks if check is not None)


def _check_of(specifier: "Field[Any]", hint: Any) -> Check[Any] | None:
    if _CHECK in specifier.metadata:
        check: Check[Any] = specifier.metadata[_CHECK]
        return check
    return one_of(*get_args(hint)) if get_origin(hint) is Literal else None


def check_fields(instance: Any) -> None:
    """Check the fields of an object, and store the values that the checks return."""
    for name, check in of_fields(instance.__class__):
        object.__setattr__(instance, name, check(name, getattr(instance, name)))
