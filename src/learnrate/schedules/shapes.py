"""Shapes: how a ramp gets from its start to its end, and a cycle from its bound to its peak.

A shape is a function from [0, 1] to [0, 1], 0 at 0 and 1 at 1. It is kept as two formulas, because each loses its digits at
one end: `rise` is exact near 0, `fall`, the same curve seen from its end, near 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from learnrate.schedules.functions import Function
from learnrate.schedules.numerics import Namespace, blend


class Way:
    """How far a count has come: the fraction p that is done, and the fraction q that is left.

    Each is a quotient of exact differences of counts, taken when it is asked for. 1 - p would have lost its digits near the
    end, and a compiler that turns a division into a product makes p a little more than 1 there, so that 1 - p is negative.

    Args:
        done: Count from 0 to `length`.
        length: The whole.
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


Curve = Callable[[Way], Any]


@dataclass(frozen=True)
class Shape:
    """A way from 0 to 1.

    Attributes:
        rise: What is gained, exact near the start.
        fall: What is still missing, exact near the end: 1 - rise.
    """

    rise: Curve
    fall: Curve


def _half_sine_squared(x: Any, xp: Namespace) -> Any:
    # (1 - cos(pi x)) / 2, written as the square of a sine, which loses no digits where the value is small.
    return xp.sin(math.pi / 2 * x) ** 2


LINEAR = Shape(lambda way: way.p, lambda way: way.q)
COSINE = Shape(lambda way: _half_sine_squared(way.p, way.xp), lambda way: _half_sine_squared(way.q, way.xp))
WELCH = Shape(lambda way: (p := way.p) * (2 - p), lambda way: way.q * way.q)
ONE_MINUS_SQRT = Shape(lambda way: way.xp.sqrt(way.p), lambda way: way.q / (1 + way.xp.sqrt(way.p)))

WINDOWS = {"triangular": LINEAR, "welch": WELCH, "hann": COSINE}
"""Windows of a cycle, by the name that `cyclical` takes: the way from its lower to its upper bound."""

BY_NAME = {"linear": LINEAR, "cosine": COSINE, "1-sqrt": ONE_MINUS_SQRT}
"""Ways up and down, by the names that schedules take."""


def power(exponent: float, of: Shape = LINEAR) -> Shape:
    """What is missing, to a power."""
    if exponent == 1:
        return of
    return Shape(lambda way: 1 - of.fall(way) ** exponent, lambda way: of.fall(way) ** exponent)


class _Warped(Way):
    """A way of which p ** k is done (k-decay, Zhang and Li, arXiv 2004.05909)."""

    __slots__ = ("_k",)

    def __init__(self, way: Way, k: float) -> None:
        super().__init__(way._done, way._length, way.xp)
        self._k = k

    @property
    def p(self) -> Any:
        return super().p ** self._k

    @property
    def q(self) -> Any:
        return self.xp.clip(1 - self.p, 0.0, None)


def warped(k: float, of: Shape) -> Shape:
    """A shape over p ** k in place of p."""
    if k == 1:
        return of
    return Shape(lambda way: of.rise(_Warped(way, k)), lambda way: of.fall(_Warped(way, k)))


def rex(beta: float) -> Shape:
    """1 - (1 - p) / ((1 - beta) + beta (1 - p))."""
    return Shape(
        lambda way: (p := way.p) * (1 - beta) / (1 - beta * p),
        lambda way: (q := way.q) / ((1 - beta) + beta * q),
    )


def hyperbolic(low: float, high: float, ends: str) -> Shape:
    """(1 + tanh(low (1 - p) + high p)) / 2, as published or stretched to go all the way from 0 to 1."""
    if ends == "published":
        return Shape(
            lambda way: (1 + way.xp.tanh(low + (high - low) * way.p)) / 2,
            lambda way: (1 - way.xp.tanh(high - (high - low) * way.q)) / 2,
        )
    first, last = math.tanh(low), math.tanh(high)

    # tanh(a) - tanh(b) = tanh(a - b) (1 - tanh(a) tanh(b)): exactly 0 at the end, and never below it.
    def rise(way: Way) -> Any:
        done = (high - low) * way.p
        return way.xp.tanh(done) * (1 - way.xp.tanh(low + done) * first) / (last - first)

    def fall(way: Way) -> Any:
        left = (high - low) * way.q
        return way.xp.tanh(left) * (1 - way.xp.tanh(high - left) * last) / (last - first)

    return Shape(rise, fall)


def by_function(function: Function) -> Shape:
    """A shape of the user's own, which sees no p above 1."""

    def rise(way: Way) -> Any:
        return function(way.xp.clip(way.p, 0.0, 1.0))

    return Shape(rise, lambda way: 1 - rise(way))


def between(start: float, end: float, shape: Shape, n: Any, length: float, xp: Namespace) -> Any:
    """From `start` at count 0 along a shape to `end` at count `length`, and held from there on.

    The formula of the shape is the one that is exact where the value is low.
    """
    way = Way(xp.clip(n, None, length), length, xp)
    return blend(start, end, shape.rise(way)) if start <= end else blend(end, start, shape.fall(way))
