"""Schedules from a function of the user: a ramp of any shape, or any function of the update count."""

from functools import lru_cache
from typing import Any

import numpy as np

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError
from learnrate.schedules import durations, functions, shapes
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import REST, updates
from learnrate.schedules.functions import Function
from learnrate.schedules.numerics import NUMBERS, Namespace, value_dtype
from learnrate.schedules.ramps import Ramp
from learnrate.schedules.shapes import Shape

__all__ = ["custom", "function"]

MOST_EVALUATED = 10_000_000
"""Updates at which a function of the user is evaluated to know its bounds, which takes seconds."""


@frozen
class custom(Ramp):
    """A ramp of any shape: value(n) = start + (end - start) shape(p).

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        shape: Function from [0, 1] to [0, 1] with shape(0) = 0 and shape(1) = 1. To accept arrays it must use operators, or
            functions of the library of the arrays. A function at the top level of a module can be pickled and printed, and
            `parse(text, functions=[shape])` reads it.
        length: Number of updates or a text; by default the rest of the run.

    Raises:
        ArgumentError: if a value is negative or not finite, `shape` leaves [0, 1] or misses its ends, or `length` is below
            0.
        ArgumentTypeError: if `shape` is not a function.

    Example:
        >>> def smoothstep(p):
        ...     return p * p * (3 - 2 * p)
        >>> custom(1.0, 0.0, smoothstep, length=4)(1)
        0.84375
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    shape: Function = checked(functions.shape)
    length: int | str = checked(durations.length, default=REST)

    def _shape(self) -> Shape:
        return shapes.by_function(self.shape)


@frozen
class function(Schedule):
    """Any function of the update count, like torch's LambdaLR.

    The function must be pure. It must also have values at counts after the end of the run, or `length` must be given,
    because the adapters that drive an optimizer evaluate thousands of updates in advance.

    Args:
        of: Function from an update count to the value. NumPy counts are passed one by one, as Python numbers; a torch or JAX
            array is passed as a whole. A function at the top level of a module can be pickled and printed, and
            `parse(text, functions=[of])` reads it.
        length: Number of updates or a text; without end by default.

    Raises:
        ArgumentTypeError: if `of` is not a function; when called, if `of` does not return a number.
        ArgumentError: when called, if `of` returns a number that is negative or not finite.

    Example:
        >>> s = function(lambda n: 0.1 / (1 + n / 100))
        >>> s(100)
        0.05
    """

    of: Function = checked(functions.callable_)
    length: int | str | None = checked(durations.optional_length, default=None)

    def _at(self, n: Any, xp: Namespace) -> Any:
        n = n if self.length is None else xp.clip(n, None, updates(self.length))
        if isinstance(n, np.ndarray):
            flat = n.reshape(-1).tolist()
            return np.fromiter((self._number(count) for count in flat), value_dtype(n, np), len(flat)).reshape(n.shape)
        return self._number(n) if xp is NUMBERS else self.of(n) + 0.0 * n

    def _number(self, n: float) -> float:
        return checks.rate(f"the value of {functions.shown(self.of)} at {n}", self.of(n))

    def _range(self) -> tuple[float, float]:
        if self.length is None or updates(self.length) > MOST_EVALUATED:
            remedy = "give it a length" if self.length is None else f"give it at most {MOST_EVALUATED} updates"
            raise ArgumentError(f"the bounds of {checks.shown(self)} are unknown: {remedy}, or bounds with clip(low, high)")
        return _evaluated_range(self, updates(self.length))


@lru_cache(maxsize=64)
def _evaluated_range(schedule: function, length: int) -> tuple[float, float]:
    values = schedule(np.arange(length + 1))
    return float(values.min()), float(values.max())
