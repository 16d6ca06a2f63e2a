"""Functions of the user in a schedule: how they are checked, printed, and read again."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from learnrate import checks

Function = Callable[[Any], Any]


def dotted_name(function: Function) -> str | None:
    """module.name of a function at the top level of a module; None for a lambda, a local function or a method."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    is_top_level = getattr(sys.modules.get(module or ""), name, None) is function
    return f"{module}.{name}" if is_top_level else None


def shown(function: Function) -> str:
    """A function in the printed form of a schedule."""
    return dotted_name(function) or f"<{getattr(function, '__qualname__', type(function).__name__)}>"


def by_name(functions: Iterable[Function]) -> Mapping[str, Function]:
    """Functions by the names that schedules print.

    Raises:
        ArgumentTypeError: if a function has no such name.
    """
    return dict(checks.several(_with_name, of="functions")("functions", functions))


def _with_name(name: str, function: object) -> tuple[str, Function]:
    """A check: a function that can be named, with its name."""
    dotted = dotted_name(function) if callable(function) else None
    if dotted is None:
        checks.refuse_type(name, "a function at the top level of a module", function)
    return dotted, function  # type: ignore[return-value]


def callable_(name: str, value: object) -> Function:
    """A check: something that can be called, but not a schedule."""
    from learnrate.schedules.base import Schedule  # which imports this module

    if not callable(value) or isinstance(value, Schedule):
        checks.refuse_type(name, "a function", value)
    return value


def shape(name: str, value: object) -> Function:
    """A check: a function from [0, 1] to [0, 1] that is 0 at 0 and 1 at 1, evaluated at a few points."""
    function = callable_(name, value)
    for p in (0.0, 0.25, 0.5, 0.75, 1.0):
        value_at_p = checks.finite(f"{name}({p})", function(p))
        if not -1e-9 <= value_at_p <= 1 + 1e-9:
            checks.refuse(f"{name}({p})", "within [0, 1]", value_at_p, "a shape is the completed fraction of the change")
        if p in (0.0, 1.0) and not math.isclose(value_at_p, p, abs_tol=1e-9):
            checks.refuse(f"{name}({p})", f"{p:g}", value_at_p, "a shape goes from 0 to 1; start and end are the values")
    return function
