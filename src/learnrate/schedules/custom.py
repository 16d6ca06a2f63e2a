"""Schedules by functions of the user's own: a ramp of any shape, or any function of the update count."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import numpy as np

from learnrate import checks
from learnrate.checks import Rate
from learnrate.errors import ArgumentError
from learnrate.schedules import functions, shapes
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import REST, Length, OptionalLength, updates
from learnrate.schedules.functions import Function
from learnrate.schedules.numerics import NUMBERS, Namespace, value_dtype
from learnrate.schedules.ramps import Ramp
from learnrate.schedules.shapes import Shape


@dataclass(frozen=True, repr=False)
class custom(Ramp):
    """A ramp of any shape: value(n) = start + (end - start) shape(p).

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        shape: Function from [0, 1] to [0, 1] with shape(0) = 0 and shape(1) = 1. To serve arrays it must be written with
            operators, or functions of the library that the arrays are of. One that stands in a module pickles and prints,
            and is read back by `parse(text, functions=[shape])`.
        length: Number of updates, at least 1, or a text; by default the rest of the run.

    Raises:
        ArgumentError: if a value is negative or not finite, `shape` leaves [0, 1] or misses its ends, or `length` is below
            1.
        ArgumentTypeError: if `shape` is no function.

    Example:
        >>> def smoothstep(p):
        ...     return p * p * (3 - 2 * p)
        >>> custom(1.0, 0.0, smoothstep, length=4)(1)
        0.84375
    """

    start: Rate
    end: Rate
    shape: Annotated[Function, functions.shape]
    length: Length = REST

    def _shape(self) -> Shape:
        return shapes.by_function(self.shape)


@dataclass(frozen=True, repr=False)
class function(Schedule):
    """A schedule that any function of the update count gives, as torch's LambdaLR has them.

    The function must be pure, and have a value at counts past the end of the run too, or be given a length: what drives an
    optimizer evaluates thousands of updates ahead.

    Args:
        of: Function from an update count to the value there. NumPy counts are handed to it one by one, as Python numbers;
            a torch or JAX array as it is. One that stands in a module pickles and prints, and is read back by
            `parse(text, functions=[of])`.
        length: Number of updates or a text; endless by default.

    Raises:
        ArgumentTypeError: if `of` is no function; when called, if it returns no number.
        ArgumentError: when called, if it returns a number that is negative or not finite.

    Example:
        >>> s = function(lambda n: 0.1 / (1 + n / 100))
        >>> s(100)
        0.05
    """

    of: Annotated[Function, functions.callable_]
    length: OptionalLength = None

    def _at(self, n: Any, xp: Namespace) -> Any:
        n = n if self.length is None else xp.clip(n, None, updates(self.length))
        if isinstance(n, np.ndarray):
            flat = n.reshape(-1).tolist()
            return np.fromiter((self._number(count) for count in flat), value_dtype(n, np), len(flat)).reshape(n.shape)
        return self._number(n) if xp is NUMBERS else self.of(n) + 0.0 * n

    def _number(self, n: float) -> float:
        return checks.rate(f"the value of {functions.shown(self.of)} at {n}", self.of(n))

    def _range(self) -> tuple[float, float]:
        if self.length is None:
            raise ArgumentError(f"the bounds of {self!r} cannot be known: give it a length, or bounds with clip(low, high)")
        return _tried(self, updates(self.length))


@lru_cache(maxsize=64)
def _tried(schedule: function, length: int) -> tuple[float, float]:
    values = schedule(np.arange(length + 1))
    return float(values.min()), float(values.max())
