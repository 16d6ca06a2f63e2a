"""Student's t distribution for whole degrees of freedom, in closed form: NumPy is all that learnrate's base needs."""

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learnrate import checks

MOST_DEGREES = 1_000_000
"""The series have half as many terms."""


def cdf(t: ArrayLike, degrees: int) -> NDArray[np.float64]:
    """Probability that a variable with Student's t distribution is at most `t`.

    Args:
        t: One or many values, infinite ones included.
        degrees: Degrees of freedom, at least 1.

    Returns:
        The probabilities, with an absolute error below 1e-13.

    Raises:
        ArgumentError: if `degrees` is out of its range.
        ArgumentTypeError: if `degrees` is not an integer.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.

    Example:
        >>> float(cdf(4.302653, 2))
        0.975
    """
    degrees = checks.whole("degrees", degrees, at_least=1, at_most=MOST_DEGREES)
    values = np.asarray(t, dtype=np.float64)
    return 0.5 + 0.5 * np.sign(values) * _within(np.arctan(np.abs(values) / math.sqrt(degrees)), degrees)


def _within(angle: NDArray[np.float64], degrees: int) -> NDArray[np.float64]:
    """Probability that abs(t) is at most sqrt(degrees) * tan(angle)."""
    sine, cosine = np.sin(angle), np.cos(angle)
    odd = degrees % 2
    term = np.ones_like(angle)
    total = np.zeros_like(angle)
    for k in range((degrees - odd) // 2):
        total = total + term
        term = term * cosine**2 * ((2 * k + 1 + odd) / (2 * k + 2 + odd))
    if odd:
        return 2 / math.pi * (angle + sine * cosine * total)
    return sine * total


@cache
def quantile(probability: float, degrees: int) -> float:
    """The value that a variable with Student's t distribution does not exceed with a probability.

    Args:
        probability: Strictly between 0 and 1.
        degrees: Degrees of freedom, at least 1.

    Returns:
        The value.

    Raises:
        ArgumentError: if an argument is out of its range.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> quantile(0.975, 2)
        4.302653
    """
    probability = checks.fraction("probability", probability)
    degrees = checks.whole("degrees", degrees, at_least=1, at_most=MOST_DEGREES)
    within = abs(2 * probability - 1)
    # Bisection over the angle, which has a bounded range whatever the tail: to the last bit after 60 steps.
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _within(np.asarray(middle), degrees) < within:
            low = middle
        else:
            high = middle
    return math.copysign(math.sqrt(degrees) * math.tan((low + high) / 2), probability - 0.5)
