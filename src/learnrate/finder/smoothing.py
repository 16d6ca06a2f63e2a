"""Smoothing of a curve without lag: a constant stays constant, and single spikes are removed."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from learnrate import checks
from learnrate.errors import ArgumentError

Floats = NDArray[np.float64]

MOST_WEIGHTS = 256
"""Up to this number of weights, sums are computed directly, which is faster than by Fourier transforms."""


def smooth(losses: Floats, width: float | None = None) -> Floats:
    """The losses without their batch noise: see `Curve.smoothed`.

    Works on the last axis, so that many resampled curves are smoothed in one call.
    """
    width = usual_width(losses.shape[-1]) if width is None else width
    if not 0 < width < math.inf:
        raise ArgumentError(f"width must be above 0 and finite, received {checks.shown(width)}")
    if not losses.shape[-1]:
        return losses
    finite = np.isfinite(losses)
    if finite.all():
        smoothed: Floats = _convolved(running_median(losses), width) / _weight_sums(losses.shape[-1], width)
        return smoothed
    despiked = np.where(finite, running_median(np.where(finite, losses, np.nan)), 0.0)
    weights = _convolved(finite.astype(float), width)
    # Rounded sums are not exactly 0 where no loss is within reach.
    none = weights < _weights(losses.shape[-1], width).min() / 2
    averages: Floats = np.where(none, np.nan, _convolved(despiked, width) / np.where(none, 1.0, weights))
    return averages


def usual_width(points: int) -> float:
    """The default standard deviation of the weights, in updates."""
    return max(1.0, 0.03 * points)


def smoothed_noise(noise: float, width: float) -> float:
    """Standard deviation of the noise after smoothing.

    The Gaussian weights average over (sum w) ** 2 / sum w ** 2 = 2 sqrt(pi) width updates.
    """
    return noise / math.sqrt(2 * math.sqrt(math.pi) * width)


def _convolved(values: Floats, width: float) -> Floats:
    """Sums with Gaussian weights along the last axis. The weights end at four standard deviations."""
    return convolved(values, _weights(values.shape[-1], width))


def convolved(values: Floats, weights: Floats) -> Floats:
    """Sums of each value and its neighbours along the last axis, with an odd number of weights."""
    if len(weights) > MOST_WEIGHTS:
        return _convolved_by_fourier(values, weights)
    reach = len(weights) // 2
    stop = reach + values.shape[-1]
    if values.ndim == 1:
        return np.convolve(values, weights)[reach:stop]
    sums: Floats = np.apply_along_axis(lambda row: np.convolve(row, weights)[reach:stop], -1, values)
    return sums


def _convolved_by_fourier(values: Floats, weights: Floats) -> Floats:
    """The same sums in n log n steps.

    A Fourier transform spreads the rounding error of the largest value over all sums, so values far above the others
    (divergence that no limit applied to) are summed apart, and only where they are within reach.
    """
    scale = np.median(np.abs(values), axis=-1, keepdims=True)
    usual = np.abs(values) <= 1e6 * scale
    sums = _fourier_sums(np.where(usual, values, 0.0), weights)
    if usual.all():
        return sums
    within_reach = _fourier_sums((~usual).astype(float), np.ones_like(weights)) > 0.5
    largest = np.abs(values).max(axis=-1, keepdims=True)
    large = _fourier_sums(np.where(usual, 0.0, values) / largest, weights) * largest
    return np.where(within_reach, sums + large, sums)


def _fourier_sums(values: Floats, weights: Floats) -> Floats:
    points, reach = values.shape[-1], len(weights) // 2
    size = 1 << (points + len(weights) - 2).bit_length()
    products = np.fft.rfft(values, size) * np.fft.rfft(weights, size)
    sums: Floats = np.fft.irfft(products, size)[..., reach : reach + points]
    return sums


# The intervals of bounds smooth hundreds of series of one length, one after the other.
@lru_cache(maxsize=16)
def _weights(points: int, width: float) -> Floats:
    reach = min(math.ceil(4 * width), points - 1)
    return np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)


@lru_cache(maxsize=16)
def _weight_sums(points: int, width: float) -> Floats:
    """What the sums are divided by if all losses are finite."""
    return _convolved(np.ones(points), width)


def running_median(values: Floats) -> Floats:
    """Median of five neighbours on the last axis, and of three or four at the ends. NaNs are left out."""
    if values.shape[-1] < 3:
        return values
    if values.shape[-1] >= 5 and np.isfinite(values).all():
        return _running_median_of_finite(values)
    pad = [(0, 0)] * (values.ndim - 1) + [(2, 2)]
    padded = np.pad(values, pad, constant_values=np.nan)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=-1), axis=-1)  # NaNs last
    count = np.isfinite(windows).sum(axis=-1)
    low = np.take_along_axis(windows, np.maximum((count - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(windows, (count // 2).clip(max=4)[..., None], axis=-1)[..., 0]
    medians: Floats = np.where(count > 0, (low + high) / 2, np.nan)
    return medians


def _running_median_of_finite(values: Floats) -> Floats:
    """The same without the cost of NaNs, which few series have."""
    medians = np.empty_like(values)
    a, b, c, d, e = (values[..., first : values.shape[-1] - 4 + first] for first in range(5))
    # The third of five is the middle one of e, the larger of both minima and the smaller of both maxima of pairs.
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    medians[..., 2:-2] = np.maximum(np.minimum(low, high), np.minimum(e, np.maximum(low, high)))
    for end, next_to_end, neighbours in ((0, 1, values[..., :4]), (-1, -2, values[..., :-5:-1])):
        three, four = np.sort(neighbours[..., :3], axis=-1), np.sort(neighbours, axis=-1)
        medians[..., end], medians[..., next_to_end] = three[..., 1], (four[..., 1] + four[..., 2]) / 2
    return medians
