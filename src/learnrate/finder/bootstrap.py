"""Bootstrap of a curve: how much an LR that is read off it depends on the noise."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.bounds import two_digits
from learnrate.finder.season import cleaned
from learnrate.finder.smoothing import Floats, smooth

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

SAMPLES = 200

INFLATION = 1.1
"""The smoothed losses follow the noise a little: residuals about them have sqrt(1 - 2 w(0) + sum w ** 2) = 0.91 of its
standard deviation at the usual width of three updates."""


def resample(curve: "Curve") -> Floats:
    """Bootstrap samples of the losses of a curve, drawn with a fixed seed.

    A wild bootstrap: each deviation from the smoothed losses keeps its position and gets a random sign, because the noise
    shrinks with the loss and must not be moved along the curve (Wu 1986, Annals of Statistics 14, 1261-1295; Liu 1988,
    Annals of Statistics 16, 1696-1708). For a merged curve, the sweeps are drawn too, with replacement, and each sample is
    the mean of as many sweeps as the curve has.

    Args:
        curve: A curve whose losses are finite.

    Returns:
        Array of shape (SAMPLES, updates).
    """
    return resample_series([sweep.losses for sweep in curve.sweeps or (curve,)])


def resample_series(sweeps: Sequence[Floats]) -> Floats:
    """`resample` for any series: one for each sweep, all of the same length."""
    random = np.random.default_rng(0)
    losses = np.array([cleaned(series) for series in sweeps])
    smoothed = smooth(losses)
    residuals = (losses - smoothed) * INFLATION
    sums = np.zeros((SAMPLES, losses.shape[1]))
    for _ in range(len(losses)):
        picked = random.integers(len(losses), size=SAMPLES)
        sums += smoothed[picked] + residuals[picked] * random.choice([-1.0, 1.0], size=sums.shape)
    return sums / len(losses)


def interval(values: Floats, value: float, step: float = 1.0) -> tuple[float, float]:
    """The 90 % interval of an LR from its bootstrap values.

    The interval is scaled so that the median of the values becomes `value`: the samples vary about the smoothed losses,
    whose corners are rounder than those of the curve, so they measure how far noise moves an LR, and not where it is.
    It is widened by half a `step` on both sides, because no LR between two updates was tried.

    Args:
        values: The LR in each bootstrap sample.
        value: The LR read off the curve itself.
        step: Ratio of the LRs of two consecutive updates.
    """
    if not values.size:
        return value, value
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    low, high = value * low / middle / math.sqrt(step), value * high / middle * math.sqrt(step)
    return min(two_digits(low), value), max(two_digits(high), value)
