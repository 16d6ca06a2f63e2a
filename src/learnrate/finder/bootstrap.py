"""Drawing the noise of a curve anew, to learn how well what is read off it is known."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.bounds import two_digits
from learnrate.finder.season import cleaned
from learnrate.finder.smoothing import Floats, smooth

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

DRAWS = 200

INFLATED = 1.1
"""The smoothed line follows the noise a little: residuals about it have sqrt(1 - 2 w(0) + sum w ** 2), 0.91, of its standard
deviation at the usual width of three updates."""


def redrawn(curve: "Curve") -> Floats:
    """The losses of the curve as they might have been, drawn with a fixed seed.

    A wild bootstrap: each deviation from the smoothed losses keeps its place and gets a random sign, for the noise shrinks
    with the loss and must not be shuffled over the curve (Wu 1986, Annals of Statistics 14, 1261-1295; Liu 1988, Annals of
    Statistics 16, 1696-1708). Of a merged curve the sweeps are drawn as well, with replacement, and each draw is the mean of
    as many sweeps as there are.

    Args:
        curve: A curve whose losses are finite.

    Returns:
        Array of shape (DRAWS, updates).
    """
    return redrawn_series([sweep.losses for sweep in curve.sweeps or (curve,)])


def redrawn_series(sweeps: Sequence[Floats]) -> Floats:
    """`redrawn` for series of any kind, one a sweep, all of one length."""
    random = np.random.default_rng(0)
    losses = np.array([cleaned(series) for series in sweeps])
    smoothed = smooth(losses)
    residuals = (losses - smoothed) * INFLATED
    drawn = np.zeros((DRAWS, losses.shape[1]))
    for _ in range(len(losses)):
        picked = random.integers(len(losses), size=DRAWS)
        drawn += smoothed[picked] + residuals[picked] * random.choice([-1.0, 1.0], size=drawn.shape)
    return drawn / len(losses)


def interval(values: Floats, value: float, step: float = 1.0) -> tuple[float, float]:
    """What 90 % of the redrawn values lie in, moved to where their median is `value`, what was read off the curve itself.

    Moved, for the redraws scatter about the smoothed line, whose corners are rounder than the curve's: they tell how far
    noise moves an answer, and not where it lies. And widened by half a `step`, the ratio of the LRs of two neighbouring
    updates: what lies between the two was not tried.
    """
    if not values.size:
        return value, value
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    low, high = value * low / middle / math.sqrt(step), value * high / middle * math.sqrt(step)
    return min(two_digits(low), value), max(two_digits(high), value)
