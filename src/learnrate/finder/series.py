"""Tests on a series: whether it has a trend, and where it becomes ragged."""

import math

import numpy as np

from learnrate.finder.levels import difference_noise
from learnrate.finder.smoothing import Floats


def trend(values: Floats) -> float:
    """The Mann-Kendall statistic of a series: how many standard deviations its order is from chance; above 0 where it rises.

    Counts the pairs that rise less those that fall, S, and returns (S - sign(S)) / sqrt(Var S) with the variance corrected
    for ties. It asks for no shape of the trend and no law of the noise, and single outliers hardly move it.

    Source: Mann (1945), Econometrica 13, 245-259; Kendall (1975), Rank Correlation Methods, with the correction for ties.

    Args:
        values: The series, finite; shape (n,).

    Returns:
        About normal with mean 0 and variance 1 where the order is chance; 0 for fewer than 3 values.

    Example:
        >>> round(trend(np.arange(10.0)), 2), round(trend(np.array([1.0, 3.0, 2.0, 2.0, 3.0, 1.0])), 2)
        (3.94, 0.0)
    """
    n = len(values)
    if n < 3:
        return 0.0
    balance = float(np.triu(np.sign(values[None, :] - values[:, None])).sum())
    ties = np.unique(values, return_counts=True)[1].astype(float)
    variance = (n * (n - 1) * (2 * n + 5) - np.sum(ties * (ties - 1) * (2 * ties + 5))) / 18
    return (balance - math.copysign(min(1.0, abs(balance)), balance)) / math.sqrt(variance) if variance > 0 else 0.0


CHANCE = 1.28
"""A trend less than so many standard deviations from chance is none: one in ten series of chance has more, on one side."""


def flattens(losses: Floats, begin: int, end: int) -> int | None:
    """Where a falling series falls no more: the first position from which all that is left has no falling trend.

    All that is left, and at least a third of the way, for a slow fall does not show in a few neighbours; and the first half
    of it likewise, for a fall that is followed by a rise has no trend on the whole.

    Args:
        losses: The series.
        begin: Where it is known to fall.
        end: The last position that is looked at.

    Returns:
        The position; None where the series falls to the end, or too little is left to tell.
    """
    starts = range(begin, end + 2 - max(window(len(losses)), (end - begin) // 3))
    return next(
        (i for i in starts if min(trend(losses[i : end + 1]), trend(losses[i : (i + end) // 2 + 1])) > -CHANCE), None
    )


def ragged(losses: Floats, calm: int, begin: int, least: Floats) -> int | None:
    """Where a series becomes a sawtooth: the noise between neighbours is three times that of the calm start.

    The measure of von Neumann, the mean square successive difference, which a trend does not enter; here of the differences
    from the line between two neighbours, and with medians, so that a single spike is no sawtooth.

    Source: von Neumann, Kent, Bellinson and Hart (1941), The mean square successive difference, Annals of Mathematical
    Statistics 12, 153-162; "ragged" is the word of Smith (arXiv 1506.01186, section 3.3).

    Args:
        losses: The series.
        calm: Number of updates at the start that are calm.
        begin: Position at which the search begins.
        least: Noise below which nothing counts as ragged, in units of the loss; one for each position.

    Returns:
        The position; None where the series stays smooth.
    """
    width = window(len(losses))
    if len(losses) < width:
        return None
    limits = np.maximum(3 * difference_noise(losses[: max(calm, width)]), least)
    for i in range(begin, len(losses) - width + 1):
        middle = i + width // 2
        if difference_noise(losses[i : i + width]) > limits[middle]:
            return middle
    return None


def window(points: int) -> int:
    """How many neighbours are looked at together: a sixth of the series, at least 16: a spike is not half of them."""
    return max(16, points // 6)
