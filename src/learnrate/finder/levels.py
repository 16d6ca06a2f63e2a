"""The level of the losses at the start, their batch noise, and the height above which a loss is divergence."""

import numpy as np

from learnrate.finder.smoothing import Floats, running_median

ROUNDED = 2.0
"""A change is no rounding if it is more than this number of distances between two numbers: each of two is rounded by up to a
half, and a mean of neighbours that are rounded in the same direction no less."""


CLEAR_NOISES = 6.0
"""Standard deviations of the batch noise by which a loss, or an average of a few, hardly ever changes by chance."""

CLEAR_SHARE = 0.05
"""Share of the level at the start: a smaller rise is no divergence, however small the noise is."""


def clear_rise(noise: float, start: float) -> float:
    """The smallest rise that is no batch noise and matters, for a loss with this level at the start."""
    return max(CLEAR_NOISES * noise, CLEAR_SHARE * abs(start))


def difference_noise(losses: Floats) -> float:
    """Standard deviation of the batch noise, from the distance of each loss to the line between its neighbours.

    The estimator of Gasser, Sroka and Jennen-Steinmetz (1986), Biometrika 73, 625-633, with the median instead of the mean:
    a trend, a bend or a few spikes do not count as noise, as they would in the residuals about a smoothed curve.
    """
    return float(noise_of_each(losses))


def noise_of_each(series: Floats) -> Floats:
    """The `difference_noise` of each series, over the last axis."""
    return _noise_of(np.abs(_off_line(series)))


def rolling_noise(losses: Floats, width: int) -> Floats:
    """The `difference_noise` of every `width` neighbours."""
    return _noise_of(np.lib.stride_tricks.sliding_window_view(np.abs(_off_line(losses)), width - 2))


def _off_line(losses: Floats) -> Floats:
    off: Floats = losses[..., 1:-1] - (losses[..., :-2] + losses[..., 2:]) / 2
    return off


def _noise_of(distances: Floats) -> Floats:
    noise: Floats = 1.4826 * _median(distances) / np.sqrt(1.5)
    return noise


def _median(values: Floats) -> Floats:
    """The median over the last axis; for a hundred numbers, numpy.median takes five times as long."""
    count = values.shape[-1]
    if not count or not np.isfinite(values).all():
        return np.asarray(np.median(values, axis=-1))
    ordered = np.sort(values, axis=-1)
    return ordered[..., count // 2] if count % 2 else (ordered[..., count // 2 - 1] + ordered[..., count // 2]) / 2


def level(losses: Floats) -> float:
    """The level at the start: the median of the first tenth, and of at least three updates."""
    return float(_level_of_each(losses))


def _level_of_each(series: Floats) -> Floats:
    return _median(series[..., : max(3, series.shape[-1] // 10)])


def capped(losses: Floats) -> Floats:
    """The losses, limited to the level at the start plus their decrease below it; unchanged if they do not decrease.

    Higher losses are divergence: their size is random, and smoothing would spread them over LRs at which the model still
    trained. Losses that are not finite stay as they are.
    """
    finite = losses[np.isfinite(losses)]
    if len(finite) < 3:
        return losses
    return np.where(np.isfinite(losses), np.minimum(losses, _ceiling_of_each(finite, rounding(finite))), losses)


def capped_each(series: Floats, rounded: float) -> Floats:
    """`capped` of each series of at least three finite losses, over the last axis.

    Args:
        series: The series; shape (series, updates).
        rounded: The `rounding` of the losses from which they were made.
    """
    return np.minimum(series, _ceiling_of_each(series, rounded)[..., None])


def _ceiling_of_each(series: Floats, rounded: float) -> Floats:
    start = _level_of_each(series)
    fall = start - running_median(series).min(axis=-1)
    return np.where(fall > np.maximum(4 * noise_of_each(series), ROUNDED * rounded), start + fall, np.inf)


def rounding(losses: Floats) -> float:
    """The distance of two neighbouring numbers in the format of the losses, at their median: divergence does not count.

    The format is the coarsest of bfloat16, float16, float32 and float64 in which the finite losses are what they are.
    """
    finite = losses[np.isfinite(losses)]
    digits, exponents = np.frexp(finite)
    bits = next((bits for bits in (8, 11, 24) if not np.mod(np.ldexp(digits, bits), 1).any()), 53)
    return float(np.ldexp(1.0, int(np.median(exponents)) - bits))
