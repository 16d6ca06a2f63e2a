"""Tests on a series: whether it has a trend, and where it begins to oscillate."""

import math

import numpy as np

from learnrate.finder.levels import difference_noise, rolling_noise
from learnrate.finder.smoothing import Floats

CHANCE = 1.28
"""Standard deviations below which a trend counts as random: by chance, one series in ten has a larger one on one side."""


def trend(values: Floats) -> float:
    """The Mann-Kendall statistic of a series, above 0 if it rises: its order in standard deviations from a random order.

    S is the number of pairs that rise minus the number of those that fall. The statistic is (S - sign(S)) / sqrt(Var S),
    with the variance corrected for ties. It assumes neither a shape of the trend nor a distribution of the noise, and single
    outliers hardly change it.

    Source: Mann (1945), Econometrica 13, 245-259; Kendall (1975), Rank Correlation Methods, with the correction for ties.

    Args:
        values: The series, finite; shape (n,).

    Returns:
        For a random order, approximately normal with mean 0 and variance 1; 0 for fewer than 3 values.

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


def flattens(losses: Floats, begin: int, end: int) -> int | None:
    """The first position from which a falling series has no falling trend in the rest, nor in the first half of the rest.

    The rest must be at least a third of the distance from `begin` to `end`, because a few neighbours do not show a slow
    fall. The half is tested because a fall followed by a rise has no trend as a whole.

    Args:
        losses: The series.
        begin: A position at which the series falls.
        end: The last position of the rest.

    Returns:
        The position; None if the series falls up to the end, or if the rest is too short to decide.
    """
    starts = range(begin, end + 2 - max(window(len(losses)), (end - begin) // 3))
    return next(
        (i for i in starts if min(trend(losses[i : end + 1]), trend(losses[i : (i + end) // 2 + 1])) > -CHANCE), None
    )


def ragged(losses: Floats, calm: int, begin: int, least: Floats) -> int | None:
    """The position at which a series begins to oscillate: its noise is three times that of the start.

    The noise is measured as in the mean square successive difference of von Neumann, which a trend does not change; here by
    the differences from the line between two neighbours, and with medians, so that a single spike is not an oscillation.

    Source: von Neumann, Kent, Bellinson and Hart (1941), The mean square successive difference, Annals of Mathematical
    Statistics 12, 153-162; "ragged" is the word of Smith (arXiv 1506.01186, section 3.3).

    Args:
        losses: The series.
        calm: Number of updates of the start.
        begin: Position at which the search begins.
        least: Noise below which nothing counts as an oscillation, in units of the loss; one value for each position.

    Returns:
        The position; None if the series does not begin to oscillate.
    """
    width = window(len(losses))
    if len(losses) < width:
        return None
    limits = np.maximum(3 * difference_noise(losses[: max(calm, width)]), least)
    if begin > len(losses) - width:
        return None
    noise = rolling_noise(losses[begin:], width)
    middle = begin + width // 2
    oscillating = np.flatnonzero(noise > limits[middle : middle + len(noise)])
    return middle + int(oscillating[0]) if oscillating.size else None


def lows_of_falls(values: Floats, least: float) -> list[float]:
    """The lowest value of each fall of more than `least`; a rise of more than `least` ends a fall.

    Example:
        >>> lows_of_falls(np.array([1.0, 3.0, 0.0, 0.5, 2.5, 1.0]), 1.0)
        [0.0, 1.0]
    """
    lows: list[float] = []
    falling, last = False, math.inf  # the highest value since the last fall, or the lowest one of a fall
    for value in values.tolist():
        if not falling:
            last = value if math.isinf(last) else max(last, value)
            if last - value > least:
                falling, last = True, value
                lows.append(value)
        elif value - last > least:
            falling, last = False, value
        else:
            last = lows[-1] = min(last, value)
    return lows


def window(points: int) -> int:
    """Number of neighbours that are tested together: a sixth of the series, and at least 16, to outnumber a spike."""
    return max(16, points // 6)
