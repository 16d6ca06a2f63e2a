"""The periodic part of a loss: batches in a fixed, sorted order give the same sawtooth in every epoch."""

import numpy as np

from learnrate.finder.levels import capped
from learnrate.finder.smoothing import Floats

CYCLES = 3
"""Fewest repetitions that show a period."""

SURE = 3.0
"""Standard errors by which the dip at a lag must be significant. Of sweeps of 20 to 300 updates of noise that is independent
from update to update, at most 1 in 100 have a season by this limit."""


def cleaned(losses: Floats) -> Floats:
    """The losses with a limit on divergence (see `capped`) and without their season."""
    return without_season(capped(losses))


def without_season(losses: Floats) -> Floats:
    """The losses without their season: the classical decomposition, with medians instead of means.

    For each place in the cycle, the season is the median over the cycles of the difference between the losses there and
    their moving average over one cycle (Kendall and Stuart 1976, The Advanced Theory of Statistics, volume 3, section 46).
    """
    finite = np.isfinite(losses)
    if finite.sum() < 4 * CYCLES:
        return losses
    positions = np.arange(len(losses))
    cycle = season(np.interp(positions, positions[finite], losses[finite]))
    return losses if cycle is None else losses - np.resize(cycle, len(losses))


def season(losses: Floats) -> Floats | None:
    """One cycle of the periodic part of a series, with mean 0; None if the series has none."""
    lag = period(losses)
    if lag is None:
        return None
    cycle = _cycle(losses, lag)
    # A sawtooth that begins in the middle is what a range test looks for, and not a property of the data.
    before, after = (np.array_split(series, 2) for series in (losses, losses - np.resize(cycle, len(losses))))
    return cycle if all(map(_is_smoother, after, before)) else None


def _is_smoother(series: Floats, other: Floats) -> bool:
    """By the mean square successive difference (von Neumann and others 1941), which measures the jumps of a sawtooth."""
    return bool(np.sum(np.diff(series) ** 2) < np.sum(np.diff(other) ** 2))


def period(losses: Floats) -> int | None:
    """The lag at which a series repeats, at least 2 and at most a third of its length; None if it does not repeat.

    Uses the variogram of geostatistics, with the median instead of the mean (Cressie 1993, Statistics for Spatial Data,
    section 2.4): the difference between two losses as a function of the lag. Noise keeps it constant, a trend makes it rise,
    and only a period makes it dip.
    """
    longest = len(losses) // CYCLES
    lags = range(1, 3 * longest // 2 + 2)
    variogram = np.array([0.0, *(np.median(np.abs(losses[lag:] - losses[:-lag])) for lag in lags)])
    dips = {}
    for lag in range(2, longest + 1):
        around = min(np.median(variogram[(lag + 1) // 2 : lag]), np.median(variogram[lag + 1 : 3 * lag // 2 + 1]))
        # The relative standard error of a median of n absolute differences of normal noise is about 1.17 / sqrt(n).
        limit = min(1 - SURE * 1.17 / np.sqrt(len(losses) - lag), 0.65)
        if around > 0 and variogram[lag] < limit * around:
            dips[lag] = float(variogram[lag] / around)
    # A multiple of a period is a period too, so the shortest lag that is nearly as good as the best is taken.
    return next((lag for lag, dip in dips.items() if dip <= 1.2 * min(dips.values())), None)


def _cycle(losses: Floats, period: int) -> Floats:
    """The periodic part for a known period."""
    weights = np.ones(period) if period % 2 else np.array([0.5, *np.ones(period - 1), 0.5])
    half = len(weights) // 2
    off_trend = losses - np.convolve(np.pad(losses, half, mode="edge"), weights / weights.sum(), mode="valid")
    cycles = len(losses) // period
    cycle: Floats = np.median(off_trend[: cycles * period].reshape(cycles, period), axis=0)
    cycle -= cycle.mean()
    return cycle
