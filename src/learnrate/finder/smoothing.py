"""Smoothing of a curve without lag: a constant stays constant, and single spikes are removed."""

import math

import numpy as np
from numpy.typing import NDArray

from learnrate.errors import ArgumentError

Floats = NDArray[np.float64]


def smooth(losses: Floats, width: float | None = None) -> Floats:
    """The losses without their batch noise: see `Curve.smoothed`.

    Works on the last axis, so that many resampled curves are smoothed in one call.
    """
    width = usual_width(losses.shape[-1]) if width is None else width
    if not 0 < width < math.inf:
        raise ArgumentError(f"width must be above 0 and finite, received {width!r}")
    if not losses.shape[-1]:
        return losses
    finite = np.isfinite(losses)
    despiked = np.where(finite, running_median(np.where(finite, losses, np.nan)), 0.0)
    with np.errstate(invalid="ignore"):
        averages: Floats = _convolved(despiked, width) / _convolved(finite.astype(float), width)
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
    reach = min(math.ceil(4 * width), values.shape[-1] - 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    stop = reach + values.shape[-1]
    sums: Floats = np.apply_along_axis(lambda row: np.convolve(row, weights)[reach:stop], -1, values)
    return sums


def running_median(values: Floats) -> Floats:
    """Median of five neighbours on the last axis, and of three or four at the ends. NaNs are left out."""
    if values.shape[-1] < 3:
        return values
    pad = [(0, 0)] * (values.ndim - 1) + [(2, 2)]
    padded = np.pad(values, pad, constant_values=np.nan)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=-1), axis=-1)  # NaNs last
    count = np.isfinite(windows).sum(axis=-1)
    low = np.take_along_axis(windows, np.maximum((count - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(windows, (count // 2).clip(max=4)[..., None], axis=-1)[..., 0]
    medians: Floats = np.where(count > 0, (low + high) / 2, np.nan)
    return medians
