"""Shapes: the curve of a ramp from its start to its end, and of a cycle from its lower bound to its peak.

A shape is a function from [0, 1] to [0, 1] that is 0 at 0 and 1 at 1. It has two formulas, because each is exact near one
end only: `rise` near 0, and `fall`, which is 1 - rise, near 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from learnrate.schedules.functions import Function
from learnrate.schedules.numerics import Namespace, blend


class Progress:
    """Progress of a ramp: the fraction p that is done, and the fraction q that is left.

    Each is a quotient of exact differences of counts, computed on access. 1 - p would lose its digits near the end, and
    could be negative there, because a compiler that replaces a division by a product can make p slightly more than 1.

    Args:
        done: Count from 0 to `length`.
        length: Length of the ramp.
        xp: The namespace of the counts.
    """

    __slots__ = ("_done", "_length", "xp")

    def __init__(self, done: Any, length: Any, xp: Namespace) -> None:
        self._done, self._length, self.xp = done, length, xp

    @property
    def p(self) -> Any:
        """The fraction that is done, exact near 0."""
        return self._done / self._length

    @property
    def q(self) -> Any:
        """The fraction that is left, exact near 0 and never below it."""
        return (self._length - self._done) / self._length


@dataclass(frozen=True)
class Shape:
    """A curve from 0 to 1.

    Attributes:
        rise: The curve, exact near the start.
        fall: 1 - rise, exact near the end.
    """

    rise: Callable[[Progress], Any]
    fall: Callable[[Progress], Any]


def _half_sine_squared(x: Any, xp: Namespace) -> Any:
    # (1 - cos(pi x)) / 2 as the square of a sine, which loses no digits when the value is small.
    return xp.sin(math.pi / 2 * x) ** 2


LINEAR = Shape(lambda at: at.p, lambda at: at.q)
COSINE = Shape(lambda at: _half_sine_squared(at.p, at.xp), lambda at: _half_sine_squared(at.q, at.xp))
WELCH = Shape(lambda at: (p := at.p) * (2 - p), lambda at: at.q * at.q)
ONE_MINUS_SQRT = Shape(lambda at: at.xp.sqrt(at.p), lambda at: at.q / (1 + at.xp.sqrt(at.p)))

WINDOWS = {"triangular": LINEAR, "welch": WELCH, "hann": COSINE}
"""Windows of a cycle from its lower to its upper bound, by the names that `cyclical` accepts."""

BY_NAME = {"linear": LINEAR, "cosine": COSINE, "1-sqrt": ONE_MINUS_SQRT}
"""Shapes by the names that schedules accept."""


def power(exponent: float, of: Shape = LINEAR) -> Shape:
    """A shape with `fall ** exponent` as its fall."""
    if exponent == 1:
        return of
    return Shape(lambda at: 1 - of.fall(at) ** exponent, lambda at: of.fall(at) ** exponent)


class _Warped(Progress):
    """The progress p ** k (k-decay, Zhang and Li, arXiv 2004.05909)."""

    __slots__ = ("_k",)

    def __init__(self, at: Progress, k: float) -> None:
        super().__init__(at._done, at._length, at.xp)
        self._k = k

    @property
    def p(self) -> Any:
        return super().p ** self._k

    @property
    def q(self) -> Any:
        return self.xp.clip(1 - self.p, 0.0, None)


def warped(k: float, of: Shape) -> Shape:
    """A shape of p ** k instead of p."""
    if k == 1:
        return of
    return Shape(lambda at: of.rise(_Warped(at, k)), lambda at: of.fall(_Warped(at, k)))


def rex(beta: float) -> Shape:
    """1 - (1 - p) / ((1 - beta) + beta (1 - p))."""
    return Shape(
        lambda at: (p := at.p) * (1 - beta) / (1 - beta * p),
        lambda at: (q := at.q) / ((1 - beta) + beta * q),
    )


def hyperbolic(low: float, high: float, ends: str) -> Shape:
    """(1 + tanh(low (1 - p) + high p)) / 2, as published, or stretched to reach 0 and 1 exactly."""
    if ends == "published":
        return Shape(
            lambda at: (1 + at.xp.tanh(low + (high - low) * at.p)) / 2,
            lambda at: (1 - at.xp.tanh(high - (high - low) * at.q)) / 2,
        )
    first, last = math.tanh(low), math.tanh(high)

    # tanh(a) - tanh(b) = tanh(a - b) (1 - tanh(a) tanh(b)), which is exactly 0 at the end and never negative.
    def rise(at: Progress) -> Any:
        done = (high - low) * at.p
        return at.xp.tanh(done) * (1 - at.xp.tanh(low + done) * first) / (last - first)

    def fall(at: Progress) -> Any:
        left = (high - low) * at.q
        return at.xp.tanh(left) * (1 - at.xp.tanh(high - left) * last) / (last - first)

    return Shape(rise, fall)


def by_function(function: Function) -> Shape:
    """A shape of the user, which is never called with p above 1."""

    def rise(at: Progress) -> Any:
        return function(at.xp.clip(at.p, 0.0, 1.0))

    return Shape(rise, lambda at: 1 - rise(at))


def between(start: float, end: float, shape: Shape, n: Any, length: float, xp: Namespace) -> Any:
    """From `start` at count 0 with a shape to `end` at count `length`, and constant from there on.

    It uses the formula of the shape that is exact where the value is low.
    """
    if length == 0:
        return end + 0.0 * n
    at = Progress(xp.clip(n, None, length), length, xp)
    if (start > end) is False:
        return blend(start, end, shape.rise(at))
    return blend(end, start, shape.fall(at))  # also if JAX traces an end


def geometric(start: float, end: float, n: Any, length: int, xp: Namespace) -> Any:
    """From `start` at count 0 by a constant factor per update to `end` at count `length`, and constant from there on."""
    if length == 0:
        return end + 0.0 * n
    done = xp.clip(n, None, length)
    return start ** ((length - done) / length) * end ** (done / length)
