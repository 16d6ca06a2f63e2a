"""The periodic part of a loss: batches in a fixed, sorted order give the same sawtooth in every epoch."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from learnrate.finder.levels import capped, level
from learnrate.finder.order import moving_average
from learnrate.finder.smoothing import Floats, smooth

Ints = NDArray[np.intp]

CYCLES = 3
"""Fewest repetitions that show a period."""

SURE = 3.0
"""Standard errors by which the dip at a lag must be significant. Of sweeps of 20 to 300 updates of noise that is independent
from update to update, at most 1 in 100 have a season by this limit."""

SHRINKAGES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions of its size that the season may lose where the trend is lowest. For a season proportional to a loss that falls
from 2.3 to 0.5, for example, it is 0.78."""

ITERATIONS = 5
"""After these, season and trend of a hundred losses change by a hundredth of the noise."""

LONG = 4000
"""In a longer series not every lag is tried, nor every pair of losses."""

MOST_LAGS = 32
"""Lags that are tried in a long series."""


def cleaned(losses: Floats) -> Floats:
    """The losses with a limit on divergence (see `capped`) and without their season."""
    return without_season(capped(losses))


def without_season(losses: Floats) -> Floats:
    """The losses without their season (see `season`); losses that are not finite stay as they are."""
    finite = np.isfinite(losses)
    if finite.sum() < 4 * CYCLES:
        return losses
    positions = np.arange(len(losses))
    repeating = season(np.interp(positions, positions[finite], losses[finite]))
    return losses if repeating is None else losses - repeating


def season(losses: Floats) -> Floats | None:
    """What repeats in a series, of its length; None if nothing does.

    The classical decomposition, with medians instead of means: for each place in the cycle, the season is the median over
    the cycles of the difference between the losses there and the trend (Kendall and Stuart 1976, The Advanced Theory of
    Statistics, volume 3, section 46). The batches of a fixed order differ less while the model learns, so what repeats may
    shrink with the trend, as in the multiplicative form of the decomposition. There the season is proportional to the
    trend; here to its height above a floor, because a constant in the loss says nothing about the batches.
    """
    lag = period(losses)
    if lag is None:
        return None
    repeating = _best(losses, lag)
    # A sawtooth that begins in the middle is what a range test looks for, and not a property of the data.
    before, after = (np.array_split(series, 2) for series in (losses, losses - repeating))
    return repeating if all(map(_is_smoother, after, before)) else None


def _best(losses: Floats, period: int) -> Floats:
    """The season, with the shrinkage that leaves the least variation about the moving average over one cycle."""
    average = moving_average(losses, period)
    seasons = [_shrinking(losses, average, period, shrinkage) for shrinkage in SHRINKAGES]
    variations = [
        float(np.abs(losses - average - repeating + moving_average(repeating, period)).mean()) for repeating in seasons
    ]
    return seasons[int(np.argmin(variations))]


def _shrinking(losses: Floats, average: Floats, period: int, shrinkage: float) -> Floats:
    """The season if its size at the lowest trend is 1 - shrinkage of that at the start."""
    trend, start = average, level(average)
    repeating = _sized_season(losses, trend, np.ones_like(losses), period)
    # The moving average rounds the corners of the trend, and the difference counts as season: so both are computed again.
    # In a long series the corners are few.
    for _ in range(ITERATIONS if len(losses) <= LONG else 1):
        fall = start - float(trend.min())
        size = np.ones_like(losses)
        if fall > 2 * float(np.ptp(repeating)):
            size = np.maximum(1 - shrinkage * (start - trend) / fall, 0.0)
        repeating = _sized_season(losses, trend, size, period)
        trend = smooth(losses - repeating) if len(losses) <= LONG else trend
    return repeating


def _sized_season(losses: Floats, trend: Floats, size: Floats, period: int) -> Floats:
    return size * np.resize(_cycle(losses - trend, size, period), len(losses))


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
    lags = range(2, longest + 1) if len(losses) <= LONG else _likely_periods(losses, longest)
    variogram = _variogram(losses, 3 * longest // 2 + 1)
    dips = {}
    for lag in lags:
        below, above = np.arange((lag + 1) // 2, lag), np.arange(lag + 1, 3 * lag // 2 + 1)
        around, at_lag = min(np.median(variogram(below)), np.median(variogram(above))), variogram(np.array([lag]))[0]
        # The relative standard error of a median of n absolute differences of normal noise is about 1.17 / sqrt(n).
        limit = min(1 - SURE * 1.17 / np.sqrt(min(len(losses) - lag, LONG)), 0.65)
        if around > 0 and at_lag < limit * around:
            dips[lag] = float(at_lag / around)
    # A multiple of a period is a period too, so the shortest lag that is nearly as good as the best is taken.
    return next((lag for lag, dip in dips.items() if dip <= 1.2 * min(dips.values())), None)


def _variogram(losses: Floats, longest: int) -> Callable[[Ints], Floats]:
    """The median difference between two losses as a function of lags; of a long series, at `MOST_LAGS` of the lags."""
    if len(losses) <= LONG:
        table = np.array([0.0, *(np.median(np.abs(losses[lag:] - losses[:-lag])) for lag in range(1, longest + 1))])
        return table.__getitem__
    random = np.random.default_rng(0)  # equally spaced pairs may all lie at one place of the cycle

    def difference(lag: int) -> float:
        first = random.integers(len(losses) - lag, size=LONG)
        return float(np.median(np.abs(losses[first + lag] - losses[first])))

    return lambda lags: np.array([difference(lag) for lag in lags[:: 1 + len(lags) // MOST_LAGS].tolist()])


def _likely_periods(losses: Floats, longest: int) -> list[int]:
    """The shortest lags at which the autocorrelation of a long series stands out, so that not every lag is tried."""
    rest = losses - smooth(losses, 0.1 * len(losses))
    spectrum = np.abs(np.fft.rfft(rest, 2 * len(losses))) ** 2
    correlation = np.fft.irfft(spectrum)[: 3 * longest // 2 + 2]
    sums = np.concatenate([[0.0], np.cumsum(correlation)])
    lags = np.arange(2, longest + 1)
    first, last = (lags + 1) // 2, 3 * lags // 2
    above = correlation[lags] - (sums[last + 1] - sums[first]) / (last + 1 - first)
    # The highest of the lags that differ by less than a tenth, because noise makes a peak of many.
    groups = np.split(lags, np.flatnonzero(np.diff((np.log(lags) / np.log(1.1)).astype(np.intp))) + 1)
    highest = np.array([group[correlation[group].argmax()] for group in groups])
    peaks = [lag for lag in highest if correlation[lag] == correlation[highest[np.abs(highest - lag) <= 0.1 * lag]].max()]
    least = 0.5 * above.max(initial=0.0)
    return [int(lag) for lag in peaks if above[lag - 2] > least][:MOST_LAGS]


def _cycle(off_trend: Floats, size: Floats, period: int) -> Floats:
    """One cycle of the season, with mean 0, at size 1. Where what repeats is nearly 0, nothing shows its shape."""
    cycles = -(-len(off_trend) // period)
    relative = np.full(cycles * period, np.nan)
    np.divide(off_trend, size, out=relative[: len(off_trend)], where=size > 0.1)
    places = relative.reshape(cycles, period)
    shown = np.isfinite(places).any(axis=0)
    cycle = np.zeros(period)
    cycle[shown] = np.nanmedian(places[:, shown], axis=0)
    cycle[shown] -= cycle[shown].mean()
    return cycle
