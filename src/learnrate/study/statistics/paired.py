"""From the scores of two arms with the same seeds to their difference."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.study.statistics import sequential, signs, student
from learnrate.study.statistics.difference import Difference

ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""Differences that lie within this share of the largest score are equal: the scores have been rounded, and so is a
difference of them. 0.97 - 0.95 is not 0.96 - 0.94."""


def difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    names: tuple[str, str] = ("first", "second"),
    higher_is_better: bool = True,
    level: float = 0.95,
    comparisons: int = 1,
    anytime: bool = False,
) -> Difference:
    """Compare two arms by their scores with the same seeds.

    For a number of seeds that is fixed beforehand the interval is the paired t interval, which is right for any number from
    two on if the differences are normally distributed; the probability is the posterior one under the prior
    p(mean, s) = 1 / s, a t distribution with one degree of freedom less than seeds. With `anytime` the interval and `sure`
    follow the rule of `learnrate.study.statistics.sequential`, and hold after every seed at once.

    A single seed, or differences that are all equal, have no spread for an interval. Scores that are not finite have no
    mean. In these cases the interval is infinite, and the signs of the differences decide.

    Args:
        first: Scores of the first arm, one a seed.
        second: Scores of the second arm with the same seeds, in the same order; with `anytime` the order in which the seeds
            were planned.
        names: Their names.
        higher_is_better: False for losses.
        level: Of the interval.
        comparisons: Number of pairs of arms that are compared in all. `p_value` and `sure` account for it (Bonferroni), and
            with `anytime` the interval as well.
        anytime: Whether seeds are added until the difference is sure.

    Returns:
        The difference.

    Raises:
        ArgumentError: if the numbers of scores differ, or an argument is out of its range.
        ArgumentTypeError: if an argument is of the wrong type.

    Sources: Box and Tiao, Bayesian Inference in Statistical Analysis (1973), 2.4, for the posterior; Benavoli, Corani,
    Demsar and Zaffalon, Time for a change, Journal of Machine Learning Research 18 (2017), for its use in comparisons.

    Example:
        >>> compared = difference([0.91, 0.93, 0.92], [0.90, 0.90, 0.90], names=("wsd", "cosine"))
        >>> compared.interval, compared.probability, compared.sure
        ((-0.0048, 0.0448), 0.963, False)
        >>> difference([0.91, 0.92, 0.92], [0.89, 0.90, 0.91], names=("wsd", "cosine")).better
        'wsd'
    """
    ours, theirs = (_scores(name, values) for name, values in (("first", first), ("second", second)))
    if len(ours) != len(theirs):
        raise ArgumentError(
            f"first and second must be scores with the same seeds, received {len(ours)} and {len(theirs)}: "
            "leave seeds out that only one has"
        )
    level = checks.fraction("level", level)
    comparisons = checks.whole("comparisons", comparisons, at_least=1)
    for name, value in (("higher_is_better", higher_is_better), ("anytime", anytime)):
        checks.flag(name, value)
    pair = checks.several(checks.text)("names", names)
    if len(pair) != 2 or pair[0] == pair[1]:
        checks.refuse("names", "two different names", names)
    differences = ours - theirs  # NaN where one of them has diverged
    finite = np.isfinite(differences)
    tolerance = ROUNDING * float(np.max(np.abs(np.concatenate([ours[finite], theirs[finite]])), initial=0.0))
    differences = np.where(np.abs(differences) <= tolerance, 0.0, differences)
    order = _order(ours, theirs, higher_is_better, tolerance)
    compared = Difference(
        *pair,
        pairs=len(ours),
        mean=_mean(differences, tolerance),
        spread=_spread(differences, tolerance),
        interval=sequential.WHOLE_LINE,
        level=level,
        probability=signs.probability(int((order > 0).sum()), int((order < 0).sum())),
        p_value=1.0,
        sure=False,
        first_better=int((order > 0).sum()),
        second_better=int((order < 0).sum()),
        not_finite=int((~finite).sum()),
        comparisons=comparisons,
        anytime=anytime,
        higher_is_better=higher_is_better,
    )
    if compared.spread > 0:
        t = compared.mean / _standard_error(compared)
        probability = student.cdf(t if higher_is_better else -t, compared.pairs - 1)
        compared = replace(compared, probability=float(probability))
    return _judged_anytime(compared, differences, order, tolerance) if anytime else _judged(compared)


def _scores(name: str, values: Sequence[float]) -> NDArray[np.float64]:
    """The scores; NaN for those of trainings that have diverged."""
    scores = np.array(checks.several(checks.number, "numbers")(name, values), dtype=np.float64)
    return np.where(np.abs(scores) <= sequential.LARGEST, scores, math.nan)


def _mean(differences: NDArray[np.float64], tolerance: float) -> float:
    """The mean of the differences; 0 if it is no more than a rounding error of theirs."""
    mean = float(differences.mean()) if len(differences) else math.nan
    return 0.0 if abs(mean) <= tolerance else mean


def _spread(differences: NDArray[np.float64], tolerance: float) -> float:
    if len(differences) < 2 or not np.isfinite(differences).all():
        return math.nan
    if np.ptp(differences) <= tolerance:
        return 0.0
    scale = np.max(np.abs(differences))  # so that no square underflows
    return float(scale * np.std(differences / scale, ddof=1))


def _standard_error(compared: Difference) -> float:
    return compared.spread / math.sqrt(compared.pairs)


def _order(ours: NDArray[Any], theirs: NDArray[Any], higher_is_better: bool, tolerance: float) -> NDArray[np.int64]:
    """1 for each seed with which the first is better, -1 where the second is, 0 where neither is."""
    sign = 1.0 if higher_is_better else -1.0
    ranks = [np.where(np.isnan(scores), -math.inf, sign * scores) for scores in (ours, theirs)]
    with np.errstate(invalid="ignore"):
        apart = np.abs(ranks[0] - ranks[1]) > tolerance  # False for two that have diverged: their difference is NaN
    return np.where(apart, np.where(ranks[0] > ranks[1], 1, -1), 0)


def adjusted(compared: Difference, p_value: float) -> Difference:
    """The difference with a p-value that accounts for other comparisons, and the decision that follows."""
    return replace(compared, p_value=p_value, sure=p_value <= 1 - compared.level)


def _judged(compared: Difference) -> Difference:
    """The difference with interval, p-value and decision for a number of seeds that was fixed beforehand."""
    p_value = signs.p_value(compared.first_better, compared.second_better)
    if compared.spread > 0:
        error, degrees = _standard_error(compared), compared.pairs - 1
        half = student.quantile((1 + compared.level) / 2, degrees) * error
        compared = replace(compared, interval=(compared.mean - half, compared.mean + half))
        p_value = float(2 * student.cdf(-abs(compared.mean / error), degrees))
    return adjusted(compared, min(1.0, compared.comparisons * p_value))


def _judged_anytime(
    compared: Difference, differences: NDArray[np.float64], order: NDArray[np.int64], tolerance: float
) -> Difference:
    """The difference with interval, p-value and decision of the rule for adding seeds.

    From the first training that has diverged on, only signs count: the evidence before it is multiplied by theirs, which
    again makes a martingale under no difference, because the sign of each later seed is a fair coin.
    """
    if not compared.pairs:
        return compared
    level, comparisons = compared.level, compared.comparisons
    start = int(np.argmin(np.isfinite(differences))) if compared.not_finite else len(differences)
    evidence = list(sequential.log_evidence(differences[:start]))
    before, wins, losses = (evidence[-1] if evidence else 0.0), 0, 0
    for sign in order[start:]:
        wins, losses = wins + int(sign > 0), losses + int(sign < 0)
        evidence.append(before + signs.log_evidence(wins, losses))
    strongest = max(evidence[sequential.fewest_pairs(level, comparisons) - 1 :], default=0.0)
    interval = sequential.anytime_interval(differences, level, comparisons, tolerance)
    compared = adjusted(replace(compared, interval=interval), min(1.0, comparisons * math.exp(-strongest)))
    # Evidence of earlier seeds that later seeds contradict supports neither arm.
    no_side = compared.first_better == compared.second_better if math.isinf(interval[0]) else interval[0] <= 0 <= interval[1]
    return replace(compared, sure=compared.sure and not no_side)
