"""The repeating part of a loss: batches in a fixed, sorted order give the same sawtooth epoch after epoch."""

import numpy as np

from learnrate.finder.levels import capped
from learnrate.finder.smoothing import Floats

CYCLES = 3
"""What has not come three times has not been seen to repeat."""

SURE = 3.0
"""Standard deviations of the estimate by which a lag must stand out: of sweeps of 20 to 300 updates of noise that is drawn
independently for each update, at most 1 in 100 have a season."""


def cleaned(losses: Floats) -> Floats:
    """The losses with a ceiling on divergence (see `capped`) and without what repeats in them."""
    return without_season(capped(losses))


def without_season(losses: Floats) -> Floats:
    """The losses without what repeats in them: the classical decomposition, with medians for means.

    For each place in the cycle, the median over the cycles of how far the losses there lie off the moving average over one
    cycle (Kendall and Stuart 1976, The Advanced Theory of Statistics, volume 3, section 46).
    """
    known = np.isfinite(losses)
    if known.sum() < 4 * CYCLES:
        return losses
    places = np.arange(len(losses))
    filled = np.interp(places, places[known], losses[known])
    found = season(filled)
    return losses if found is None else losses - np.resize(found, len(losses))


def season(losses: Floats) -> Floats | None:
    """One cycle of what repeats in a series, its mean 0; None where nothing does."""
    found = period(losses)
    if found is None:
        return None
    cycle = _cycle(losses, found)
    # A sawtooth that sets in half-way is what a range test looks for, and no property of the data.
    before, after = (np.array_split(series, 2) for series in (losses, losses - np.resize(cycle, len(losses))))
    return cycle if all(map(_calmer, after, before)) else None


def _calmer(one: Floats, other: Floats) -> bool:
    """By the mean square successive difference (von Neumann and others 1941), which sees the jumps of a sawtooth."""
    return bool(np.sum(np.diff(one) ** 2) < np.sum(np.diff(other) ** 2))


def period(losses: Floats) -> int | None:
    """The lag at which a series repeats itself, at least 2 and at most a third of its length; None where there is none.

    The variogram of geostatistics, with the median for the mean (Cressie 1993, Statistics for Spatial Data, section 2.4):
    how far two losses so many updates apart differ. Noise makes it level, a trend makes it rise, only what repeats makes it
    dip.
    """
    longest = len(losses) // CYCLES
    apart = np.array([0.0, *(np.median(np.abs(losses[lag:] - losses[:-lag])) for lag in range(1, 3 * longest // 2 + 2))])
    dips = {}
    for lag in range(2, longest + 1):
        around = min(np.median(apart[(lag + 1) // 2 : lag]), np.median(apart[lag + 1 : 3 * lag // 2 + 1]))
        # A median of n absolute differences of normal noise is known to about 1.17 / sqrt(n) of itself.
        deep = min(1 - SURE * 1.17 / np.sqrt(len(losses) - lag), 0.65)
        if around > 0 and apart[lag] < deep * around:
            dips[lag] = float(apart[lag] / around)
    # A multiple of a period is a period: the shortest that is nearly as good as the best is meant.
    return next((lag for lag, dip in dips.items() if dip <= 1.2 * min(dips.values())), None)


def _cycle(losses: Floats, period: int) -> Floats:
    """What repeats with this period."""
    weights = np.ones(period) if period % 2 else np.array([0.5, *np.ones(period - 1), 0.5])
    half = len(weights) // 2
    off_trend = losses - np.convolve(np.pad(losses, half, mode="edge"), weights / weights.sum(), mode="valid")
    whole = len(losses) // period
    cycle: Floats = np.median(off_trend[: whole * period].reshape(whole, period), axis=0)
    cycle -= cycle.mean()
    return cycle
