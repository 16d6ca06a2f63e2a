"""Smoothing of a curve: no lag, constant in constant out, single spikes removed."""

import math

import numpy as np
from numpy.typing import NDArray

from learnrate.errors import ArgumentError

Floats = NDArray[np.float64]


def smooth(losses: Floats, width: float | None = None) -> Floats:
    """The losses without their batch noise: see `Curve.smoothed`.

    Works on the last axis, so that many resampled curves are smoothed at once.
    """
    points = losses.shape[-1]
    width = usual_width(points) if width is None else width
    if not width > 0:
        raise ArgumentError(f"width must be above 0, received {width!r}")
    weights = smoothing_matrix(points, width)
    known = np.isfinite(losses)
    despiked = np.where(known, running_median(np.where(known, losses, np.nan)), 0.0)
    with np.errstate(invalid="ignore"):
        averaged: Floats = (despiked @ weights.T) / (known @ weights.T)
    return averaged


def usual_width(points: int) -> float:
    """Standard deviation of the weights in updates, where none is asked for."""
    return max(1.0, 0.03 * points)


def smoothed_noise(noise: float, points: int) -> float:
    """Standard deviation that noise has left when smoothed with the usual width.

    The Gaussian weights average over 2 sqrt(pi) width updates: (sum w) ** 2 / sum w ** 2.
    """
    return noise / math.sqrt(2 * math.sqrt(math.pi) * usual_width(points))


def smoothing_matrix(points: int, width: float) -> Floats:
    """Gaussian weights between every two of `points` updates; row i gives the smoothed value at update i (unnormalised)."""
    distance = np.subtract.outer(np.arange(points), np.arange(points)) / width
    weights: Floats = np.exp(-0.5 * distance**2)
    return weights


def running_median(values: Floats) -> Floats:
    """Median of five neighbours on the last axis, of the fewer there are at the ends; NaNs are left out."""
    if values.shape[-1] < 3:
        return values
    pad = [(0, 0)] * (values.ndim - 1) + [(2, 2)]
    padded = np.pad(values, pad, constant_values=np.nan)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=-1), axis=-1)  # NaNs last
    known = np.isfinite(windows).sum(axis=-1)
    low = np.take_along_axis(windows, np.maximum((known - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(windows, (known // 2).clip(max=4)[..., None], axis=-1)[..., 0]
    medians: Floats = np.where(known > 0, (low + high) / 2, np.nan)
    return medians
