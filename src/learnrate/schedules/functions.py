"""Functions of the user's own inside a schedule: how they are checked, printed and found again."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentTypeError

Function = Callable[[Any], Any]


def dotted_name(function: Function) -> str | None:
    """module.name of a function that can be found there; None for a lambda, a local function or a method."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    found = getattr(sys.modules.get(module or ""), name, None)
    return f"{module}.{name}" if found is function else None


def shown(function: Function) -> str:
    """How a function stands in the printed form of a schedule."""
    return dotted_name(function) or f"<{getattr(function, '__qualname__', type(function).__name__)}>"


def by_name(functions: Iterable[Function]) -> Mapping[str, Function]:
    """Functions under the names that schedules print them by.

    Raises:
        ArgumentTypeError: if one has no such name.
    """
    named = {}
    if not isinstance(functions, Iterable):
        raise ArgumentTypeError(f"functions must be a sequence of functions, received {functions!r}")
    for function in functions:
        name = dotted_name(function) if callable(function) else None
        if name is None:
            raise ArgumentTypeError(f"functions must be functions that stand in a module, received {function!r}")
        named[name] = function
    return named


def callable_(name: str, value: object) -> Function:
    """Something that can be called."""
    from learnrate.schedules.base import Schedule  # which prints functions

    if not callable(value) or isinstance(value, Schedule):
        raise ArgumentTypeError(f"{name} must be a function, received {value!r} of type {type(value).__name__}")
    return value


def shape(name: str, value: object) -> Function:
    """A function from [0, 1] to [0, 1] that is 0 at 0 and 1 at 1, tried at a few places."""
    function = callable_(name, value)
    for p in (0.0, 0.25, 0.5, 0.75, 1.0):
        found = checks.finite(f"{name}({p})", function(p))
        if not -1e-9 <= found <= 1 + 1e-9:
            checks.refuse(f"{name}({p})", "within [0, 1]", found, "a shape says how much of the way is done")
        if p in (0.0, 1.0) and not math.isclose(found, p, abs_tol=1e-9):
            checks.refuse(f"{name}({p})", f"{p:g}", found, "a shape goes from 0 to 1; start and end say between what")
    return function
