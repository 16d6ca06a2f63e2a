"""One formula for every kind of count: Python numbers, NumPy, torch and JAX arrays, traced or not.

A schedule writes its formula once, against the few functions of `Namespace`. For an array they are those of the array's own
library (found by array-api-compat, which imports none of them); for a plain number they are those of `math`.
"""

import math
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace, is_jax_array

from learnrate.errors import ArgumentError, ArgumentTypeError


class Namespace(Protocol):
    """What the formulas need of an array library."""

    def exp(self, x: Any, /) -> Any:
        """E to the power x."""

    def sin(self, x: Any, /) -> Any:
        """Sine of x, in radians."""

    def abs(self, x: Any, /) -> Any:
        """Magnitude of x."""

    def clip(self, x: Any, low: Any, high: Any, /) -> Any:
        """X kept within [low, high]; None leaves a side open."""

    def where(self, condition: Any, yes: Any, no: Any, /) -> Any:
        """`yes` where the condition holds, else `no`."""


class _Numbers:
    """The same functions over plain Python numbers, without the cost of making arrays of them."""

    exp = staticmethod(math.exp)
    sin = staticmethod(math.sin)
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
        if not 0 <= n < 2**63:
            raise ArgumentError(f"the update count must be at least 0 and below 2 ** 63, received {n!r}")
        return n, NUMBERS
    try:
        xp = array_namespace(n)
    except TypeError:
        raise ArgumentTypeError(
            f"the update count must be a number or an array, received {n!r} of type {type(n).__name__}: "
            "wrap a list in numpy.asarray"
        ) from None
    if xp.isdtype(n.dtype, "integral"):
        # JAX has no 64 bits unless it is told to.
        widest = xp.int32 if is_jax_array(n) and n.dtype.itemsize <= 4 else xp.int64
        if n.dtype != widest:
            n = xp.astype(n, widest)
    elif not xp.isdtype(n.dtype, "real floating"):
        raise ArgumentTypeError(f"an array of update counts must hold real numbers, received dtype {n.dtype}")
    return n, xp


def progress(n: Any, length: Any, xp: Namespace) -> tuple[Any, Any]:
    """How far count `n` is along `length` updates, and how far it is from their end: p from 0 to 1, and q = 1 - p.

    Both are quotients of exact differences of counts. 1 - p would be rounded near the end, where it matters most: there
    a falling LR is a small multiple of q, and a compiler that turns the division into a product could make it negative.
    """
    done = xp.clip(n, 0, length)
    return done / length, (length - done) / length


def lerp(start: Any, end: Any, p: Any, q: Any) -> Any:
    """From `start` at p = 0 to `end` at p = 1, where q = 1 - p.

    Written as a sum of two products because this form gives both ends exactly, which `start + (end - start) * p` does not.
    """
    return start * q + end * p


def half_cosine(p: Any, q: Any, xp: Namespace) -> tuple[Any, Any]:
    """Bend p and q into half a cosine wave, flat at both ends: (1 - cos(pi p)) / 2 and (1 + cos(pi p)) / 2.

    Written as squares of sines, which lose no digits where the value is small.
    """
    return xp.sin(math.pi / 2 * p) ** 2, xp.sin(math.pi / 2 * q) ** 2
