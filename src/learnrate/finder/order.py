"""Batches in an order that repeats: after how many updates, and whether a fall of the loss is only that order."""

import math

import numpy as np

from learnrate.finder.smoothing import Floats, convolved

FEWEST = 8
"""Fewest pairs of losses, one cycle apart, that show an order."""

ALIKE = 0.7
"""Rank correlation of the changes of the loss in two cycles above which the cycles consist of the same batches. While the
model has not changed, the same batch gives the same loss, so the correlation is near 1. Dropout and
augmentation reduce it."""

CERTAIN = 5.0
"""Standard errors by which this correlation must be above 0, because many lags are tried. By this limit, none of 288 sweeps
of shuffled batches of four data sets has an order, and all with a fixed order of up to 20 batches have one."""

NEARLY = 0.1
"""A multiple of a cycle is a cycle too: the shortest lag is taken whose correlation is this near to the best."""

NEIGHBOURS = 0.3
"""Rank correlation of the losses of neighbouring batches above which the data is sorted; 0 if it was shuffled once."""

CERTAIN_ONCE = 2.5
"""Standard errors by which that correlation must be above 0. A single lag is tried, so half of `CERTAIN` is as certain."""


def cycle_of_batches(losses: Floats) -> int | None:
    """The number of updates after which the batches repeat, read off the first half of a sweep; None if they do not.

    In the first half the LR is low: the model hardly changes, and the same batch gives the same loss again. The changes from
    update to update are compared, because a trend hardly alters their order (Spearman 1904, The proof and measurement of
    association between two things).
    """
    half = len(losses) // 2
    changes = np.round(np.diff(losses) / (np.ptp(losses) or 1.0), 9)  # so that rounding errors have no order
    correlations = {}
    for lag in range(3, half + 1):
        pairs = max(half, 3 * lag // 2) - lag
        if pairs >= FEWEST:
            correlation = _rank_correlation(changes[:pairs], changes[lag : lag + pairs])
            error = 1 / math.sqrt(pairs - 3)  # of Fisher's transform
            if correlation > ALIKE and math.atanh(min(correlation, 0.9999)) > CERTAIN * error:
                correlations[lag] = correlation
    best = max(correlations.values(), default=0.0)
    return next((lag for lag, correlation in correlations.items() if correlation > best - NEARLY), None)


def is_sorted(losses: Floats, cycle: int) -> bool:
    """Whether neighbouring batches of a cycle are more alike than others, by the autocorrelation at lag 1."""
    first = losses[: max(cycle, len(losses) // 2)]
    return _rank_correlation(first[1:], first[:-1]) > max(NEIGHBOURS, CERTAIN_ONCE / math.sqrt(len(first)))


def moving_average(losses: Floats, cycle: int) -> Floats:
    """The mean over one cycle; the first and the last loss are repeated at the ends."""
    weights = np.ones(cycle) if cycle % 2 else np.array([0.5, *np.ones(cycle - 1), 0.5])
    half = len(weights) // 2
    return convolved(np.pad(losses, half, mode="edge"), weights / weights.sum())[half : half + len(losses)]


def _rank_correlation(values: Floats, others: Floats) -> float:
    first, second = (_ranks(series) - (len(values) - 1) / 2 for series in (values, others))
    spread = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / spread if spread > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    """The position of each value in sorted order; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts + 1) / 2)[places]
    return ranks
