"""One formula for every kind of count: Python numbers, NumPy, torch and JAX arrays, traced or not.

A schedule writes its formula once, against the few functions of `Namespace`. For an array they are those of the array's own
library (found by array-api-compat, which imports none of them); for a plain number they are those of `math`.
"""

import math
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace

from learnrate.errors import ArgumentError, ArgumentTypeError


class Namespace(Protocol):
    """What the formulas need of an array library."""

    def exp(self, x: Any, /) -> Any:
        """E to the power x."""

    def cos(self, x: Any, /) -> Any:
        """Cosine of x, in radians."""

    def abs(self, x: Any, /) -> Any:
        """Magnitude of x."""

    def clip(self, x: Any, low: Any, high: Any, /) -> Any:
        """X kept within [low, high]; None leaves a side open."""

    def where(self, condition: Any, yes: Any, no: Any, /) -> Any:
        """`yes` where the condition holds, else `no`."""


class _Numbers:
    """The same functions over plain Python numbers, without the cost of making arrays of them."""

    exp = staticmethod(math.exp)
    cos = staticmethod(math.cos)
    abs = staticmethod(abs)

    @staticmethod
    def clip(x: float, low: float | None, high: float | None) -> float:
        if low is not None and x < low:
            return low
        return high if high is not None and x > high else x

    @staticmethod
    def where(condition: bool, yes: float, no: float) -> float:
        return yes if condition else no


NUMBERS: Namespace = _Numbers()


def counted(n: Any) -> tuple[Any, Namespace]:
    """The count (or array of counts) ready for arithmetic, and the namespace to do it in.

    Narrow and unsigned integers are widened, because positions in a cycle are differences of integers as large as the
    schedule's lengths, and would wrap around.

    Raises:
        ArgumentError: for a negative or NaN number. Arrays are not looked into: they may be traced, or on another device.
        ArgumentTypeError: for anything that is neither a number nor an array.
    """
    if isinstance(n, np.generic):
        n = n.item()
    if isinstance(n, (int, float)) and not isinstance(n, bool):
        if not n >= 0:
            raise ArgumentError(f"the update count must be at least 0, received {n!r}: updates are counted from 0")
        return n, NUMBERS
    try:
        xp = array_namespace(n)
    except TypeError:
        raise ArgumentTypeError(
            f"the update count must be a number or an array, received {n!r} of type {type(n).__name__}: "
            "wrap a list in numpy.asarray"
        ) from None
    if xp.isdtype(n.dtype, "integral"):
        if n.dtype.itemsize < 4:
            n = xp.astype(n, xp.int32)
        elif xp.isdtype(n.dtype, "unsigned integer"):
            n = xp.astype(n, xp.int64)
    elif not xp.isdtype(n.dtype, "real floating"):
        raise ArgumentTypeError(f"an array of update counts must hold real numbers, received dtype {n.dtype}")
    return n, xp


def lerp(start: Any, end: Any, p: Any) -> Any:
    """From `start` at p = 0 to `end` at p = 1.

    Written as a sum of two products because this form gives both ends exactly, which `start + (end - start) * p` does not.
    """
    return start * (1 - p) + end * p


def progress(n: Any, length: int, xp: Namespace) -> Any:
    """How far count `n` is along `length` updates, held at 1 past the end."""
    return xp.clip(n, 0, length) / length


def half_cosine(p: Any, xp: Namespace) -> Any:
    """From 0 at p = 0 to 1 at p = 1, flat at both ends: (1 - cos(pi p)) / 2."""
    return (1 - xp.cos(math.pi * p)) / 2
