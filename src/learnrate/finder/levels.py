"""Where a series of losses starts, how noisy it is, and how high is too high."""

import numpy as np

from learnrate.finder.smoothing import Floats, running_median


def difference_noise(losses: Floats) -> float:
    """Standard deviation of the batch noise, from how far each loss lies off the line between its neighbours.

    The estimator of Gasser, Sroka and Jennen-Steinmetz (1986), with the median for the mean: a trend, a bend or a few spikes
    do not pass for noise, as they would in the residuals about a smoothed curve.
    """
    off: Floats = losses[1:-1] - (losses[:-2] + losses[2:]) / 2
    return float(1.4826 * np.median(np.abs(off)) / np.sqrt(1.5))


def level(losses: Floats) -> float:
    """The level at the start: the median of the first tenth, at least three updates."""
    return float(np.median(losses[: max(3, len(losses) // 10)]))


def capped(losses: Floats) -> Floats:
    """The losses with a ceiling as far above the level at the start as they fall below it, if they fall.

    What lies above is divergence: how far is chance, and smoothing would smear it back over the LRs that still trained.
    Losses that are not finite stay.
    """
    known = losses[np.isfinite(losses)]
    if len(known) < 3:
        return losses
    start = level(known)
    fall = start - float(running_median(known).min())
    if fall <= max(4 * difference_noise(known), 1e-3 * abs(start)):
        return losses
    return np.where(losses > start + fall, np.where(np.isfinite(losses), start + fall, losses), losses)
