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

Curve = Callable[[Any, Namespace], Any]


@dataclass(frozen=True)
class Shape:
    """A way from 0 to 1.

    Attributes:
        rise: What is gained at the fraction p of the way.
        fall: What is still missing at the fraction q before the end: `fall(1 - p) == 1 - rise(p)`.
    """

    rise: Curve
    fall: Curve


def _half_sine_squared(x: Any, xp: Namespace) -> Any:
    # (1 - cos(pi x)) / 2, written as the square of a sine, which loses no digits where the value is small.
    return xp.sin(math.pi / 2 * x) ** 2


LINEAR = Shape(lambda p, xp: p, lambda q, xp: q)
COSINE = Shape(_half_sine_squared, _half_sine_squared)
WELCH = Shape(lambda p, xp: p * (2 - p), lambda q, xp: q * q)
ONE_MINUS_SQRT = Shape(lambda p, xp: xp.sqrt(p), lambda q, xp: q / (1 + xp.sqrt(1 - q)))

WINDOWS = {"triangular": LINEAR, "welch": WELCH, "hann": COSINE}
"""Windows of a cycle, by the name that `cyclical` takes: the way from its lower to its upper bound."""

COOLDOWNS = {"linear": LINEAR, "cosine": COSINE, "1-sqrt": ONE_MINUS_SQRT}
"""Ways down, by name."""


def power(exponent: float, of: Shape = LINEAR) -> Shape:
    """What is missing, to a power."""
    if exponent == 1:
        return of
    return Shape(lambda p, xp: 1 - (1 - of.rise(p, xp)) ** exponent, lambda q, xp: of.fall(q, xp) ** exponent)


def warped(k: float, of: Shape) -> Shape:
    """A shape over p ** k in place of p (k-decay, Zhang and Li, arXiv 2004.05909)."""
    if k == 1:
        return of
    return Shape(lambda p, xp: of.rise(p**k, xp), lambda q, xp: of.fall(1 - (1 - q) ** k, xp))


def rex(beta: float) -> Shape:
    """1 - (1 - p) / ((1 - beta) + beta (1 - p))."""
    return Shape(
        lambda p, xp: p * (1 - beta) / (1 - beta * p),
        lambda q, xp: q / ((1 - beta) + beta * q),
    )


def hyperbolic(low: float, high: float, ends: str) -> Shape:
    """(1 + tanh(low (1 - p) + high p)) / 2, as published or stretched to go all the way from 0 to 1."""
    if ends == "published":
        return Shape(
            lambda p, xp: (1 + xp.tanh(low + (high - low) * p)) / 2,
            lambda q, xp: (1 - xp.tanh(high - (high - low) * q)) / 2,
        )
    first, last = math.tanh(low), math.tanh(high)

    # tanh(a) - tanh(b) = tanh(a - b) (1 - tanh(a) tanh(b)): exactly 0 at the end, and never below it.
    def rise(p: Any, xp: Namespace) -> Any:
        way = (high - low) * p
        return xp.tanh(way) * (1 - xp.tanh(low + way) * first) / (last - first)

    def fall(q: Any, xp: Namespace) -> Any:
        way = (high - low) * q
        return xp.tanh(way) * (1 - xp.tanh(high - way) * last) / (last - first)

    return Shape(rise, fall)


def by_function(function: Function) -> Shape:
    """A shape of the user's own."""
    return Shape(lambda p, xp: function(p), lambda q, xp: 1 - function(1 - q))


def between(start: float, end: float, shape: Shape, n: Any, length: float, xp: Namespace) -> Any:
    """From `start` at count 0 along a shape to `end` at count `length`, and held from there on.

    The fraction is a quotient of exact differences of counts, taken from the end that the lower value is at: there a small
    value is a small multiple of it, which 1 - p would have rounded away, and a compiler that turns the division into a
    product cannot make it negative.
    """
    done = xp.clip(n, None, length)
    if start <= end:
        return blend(start, end, shape.rise(done / length, xp))
    return blend(end, start, shape.fall((length - done) / length, xp))
