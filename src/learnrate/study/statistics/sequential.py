"""A rule for adding seeds until a difference is sure, whose error rate holds however often one looks.

The usual 95 % interval is right for a number of seeds that is fixed beforehand. If it is computed after every seed, and
seeds are added until it excludes 0, far more than 5 % of the claims are false (benchmarks/until_sure.py measures how many).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learnrate import checks

EFFECT_VARIANCE = 1.5
"""Variance g of the prior on the effect size, the mean of the differences in units of their standard deviation.

Any value keeps the error rate; it decides at which effects few seeds are needed. It was chosen by simulation, for the
smallest geometric mean of the expected numbers of seeds at nine effects from 0.3 to 5 (benchmarks/until_sure.py, with two
and four arms, with at most 30 and at most 300 seeds): 1 to 2 are equally good, 0.25 needs 15 to 20 % more seeds, and 16
needs 3 to 10 % more.
"""

LARGEST = 1e150
"""Larger numbers count as infinite: their squares overflow, and only a training that has diverged has such a score."""

WHOLE_LINE = (-math.inf, math.inf)


def fewest_pairs(level: float, comparisons: int = 1) -> int:
    """The number of seeds below which nothing is sure: 6 for two arms at 95 %, 8 for four arms.

    It is the number from which on a sign test can reach the level. The evidence assumes normal noise, under which fewer
    seeds may be enough. But if a seed suits either the one arm or the other, always by nearly the same amount, five
    differences have one sign by chance in one study of 16. Simulated, the rule makes 7 % of false claims there without
    this limit and less than 5 % with it. It costs a third of a seed at an effect of 2 standard deviations, and at 5 one seed
    with two arms and two with four (benchmarks/until_sure.py).

    Args:
        level: Of the interval, for example 0.95.
        comparisons: Number of pairs of arms that are compared.

    Returns:
        The number of seeds.

    Raises:
        ArgumentError: if an argument is out of its range.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> fewest_pairs(0.95), fewest_pairs(0.95, comparisons=6)
        (6, 8)
    """
    return 1 + math.ceil(math.log2(_bar(level, comparisons)))


def _bar(level: float, comparisons: int) -> float:
    """The evidence from which on a difference is sure: the error rate is shared among the comparisons (Bonferroni)."""
    level = checks.fraction("level", level)
    return checks.whole("comparisons", comparisons, at_least=1) / (1 - level)


def log_evidence(differences: ArrayLike, effect_variance: float = EFFECT_VARIANCE) -> NDArray[np.float64]:
    """Logarithm of the evidence against a mean of 0, after each seed.

    The evidence after n seeds is the likelihood of the differences if the effect size has the prior N(0, g), over their
    likelihood if it is 0, both averaged over the unknown standard deviation s by the prior ds / s (right Haar):

        E(n) = (1 + n g) ** -0.5 * ((1 + t ** 2 / (n - 1)) / (1 + t ** 2 / ((n - 1) * (1 + n g)))) ** (n / 2)

    with the t statistic of the n differences. Under normal noise with a mean of 0 it is a martingale of the scale-free
    data that starts at 1, so that the probability that it ever exceeds c is at most 1 / c, by Ville's inequality.

    Args:
        differences: Finite numbers in the order in which the seeds were added; more axes than the first are other studies.
        effect_variance: g.

    Returns:
        An array of the same shape.

    Sources: Rouder, Speckman, Sun, Morey and Iverson, Bayesian t tests for accepting and rejecting the null hypothesis,
    Psychonomic Bulletin and Review 16 (2009), equation 1 before g is averaged over; Hendriksen, de Heide and Grünwald,
    Optional stopping with Bayes factors, Bayesian Analysis 16 (2021), for the right Haar prior under optional stopping;
    Wang and Ramdas, Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance,
    arXiv 2310.03722.

    Example:
        >>> np.exp(log_evidence([1.0, 1.5, 0.5, 1.2, 0.9, 1.1])).round(1).tolist()
        [1.0, 1.8, 2.6, 6.9, 18.8, 62.6]
    """
    _, means, squares = _moments(np.asarray(differences, dtype=np.float64))
    n = _counts(means)
    shrunk = 1 + n * effect_variance
    signal = n * means**2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(squares + signal) - np.log(squares + signal / shrunk)
    # Differences that are all 0 have no t statistic; they count as one of 0.
    ratio = np.where(squares + signal == 0, 0.0, ratio)
    evidence: NDArray[np.float64] = -0.5 * np.log(shrunk) + n / 2 * ratio
    return evidence


def _counts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arange(1, len(values) + 1, dtype=np.float64).reshape(-1, *[1] * (values.ndim - 1))


def _moments(differences: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scale, and after each seed, on this scale: the mean and the sum of squares about it."""
    scale = np.max(np.abs(differences), axis=0, initial=0.0)
    scale = np.where(scale == 0, 1.0, scale)
    values = differences / scale  # so that no square underflows or overflows
    means, squares = np.empty_like(values), np.empty_like(values)
    mean, square = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for index, value in enumerate(values):  # Welford's recurrence: sums of squares would lose their digits
        deviation = value - mean
        mean = mean + deviation / (index + 1)
        square = square + deviation * (value - mean)
        means[index], squares[index] = mean, square
    return scale, means, squares


def sure_after(differences: ArrayLike, level: float = 0.95, comparisons: int = 1) -> NDArray[np.bool_]:
    """Whether the rule is sure that the mean is not 0, after each seed.

    Args:
        differences: As `log_evidence` takes them.
        level: Of the interval, for example 0.95.
        comparisons: Number of pairs of arms that are compared.

    Returns:
        An array of the same shape.

    Raises:
        ArgumentError: if `level` or `comparisons` is out of its range.
        ArgumentTypeError: if one of them is of the wrong type.

    Example:
        >>> sure_after([1.0, 1.5, 0.5, 1.2, 0.9, 1.1]).tolist()
        [False, False, False, False, False, True]
    """
    evidence = log_evidence(differences)
    return (evidence >= math.log(_bar(level, comparisons))) & (_counts(evidence) >= fewest_pairs(level, comparisons))


def anytime_interval(
    differences: ArrayLike, level: float = 0.95, comparisons: int = 1, tolerance: float = 0.0
) -> tuple[float, float]:
    """An interval for the mean that holds after every seed at once, so that seeds may be added until it excludes 0.

    It contains the means against which the evidence (`log_evidence`) is too small at every number of seeds so far. The noise
    is taken to be normal; its size need not be known. With `comparisons`
    it is right for all pairs together. All k * (k - 1) / 2 pairs of k arms have to be counted: which arm leads is known
    only from the same scores, so that to count the pairs with the leader alone would select by the result.

    Args:
        differences: One number for each seed, in the order in which the seeds were added. The rule looks at the first n of
            them for every n, so seeds that end later than others must not be left out: a training that diverges ends early.
        level: Probability that it contains the mean, with all numbers of seeds and all comparisons together.
        comparisons: Number of pairs of arms that are compared.
        tolerance: Differences that lie within it are equal: the rounding of the scores that they were computed from.

    Returns:
        Its ends, in the unit of the differences; infinite with fewer seeds than `fewest_pairs`, with differences that are
        all equal, or if one of them is not finite.

    Raises:
        ArgumentError: if an argument is out of its range.
        ArgumentTypeError: if an argument is of the wrong type.

    Source: Wang and Ramdas, Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance,
    arXiv 2310.03722, for confidence sequences from such evidence.

    Example:
        >>> anytime_interval([1.0, 1.5, 0.5, 1.2, 0.9, 1.1])
        (0.36, 1.71)
    """
    values = np.array(checks.several(checks.number, "numbers")("differences", differences), dtype=np.float64)
    fewest, log_bar = fewest_pairs(level, comparisons), math.log(_bar(level, comparisons))
    if len(values) < fewest or not (np.abs(values) <= LARGEST).all():
        return WHOLE_LINE
    scale, means, squares = _moments(values)
    n = _counts(means)
    differ = np.maximum.accumulate(values) - np.minimum.accumulate(values) > tolerance
    # E(n) = bar, solved for t ** 2 / (n - 1): with K = (bar * sqrt(1 + n g)) ** (2 / n) it is (K - 1) / (1 - K / (1 + n g)).
    shrunk = 1 + n * EFFECT_VARIANCE
    log_k = 2 / n * (log_bar + 0.5 * np.log(shrunk))
    room = -np.expm1(log_k - np.log(shrunk))
    usable = (n >= fewest) & differ & (room > 0)
    if not usable.any():
        return WHOLE_LINE
    widths = np.sqrt(squares[usable] / n[usable] * np.expm1(log_k[usable]) / room[usable])
    lows, highs = (scale * (means[usable] - widths), scale * (means[usable] + widths))
    low, high = float(lows.max()), float(highs.min())
    # With the probability `level` the mean lies in all of them. If no number does, the differences have changed: then the
    # interval of the present number of seeds stands alone.
    return (low, high) if low <= high else (float(lows[-1]), float(highs[-1]))
