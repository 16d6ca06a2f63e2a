"""The level of the losses at the start, their batch noise, and the height above which a loss is divergence."""

import numpy as np

from learnrate.finder.smoothing import Floats, running_median


def difference_noise(losses: Floats) -> float:
    """Standard deviation of the batch noise, from the distance of each loss to the line between its neighbours.

    The estimator of Gasser, Sroka and Jennen-Steinmetz (1986), Biometrika 73, 625-633, with the median instead of the mean:
    a trend, a bend or a few spikes do not count as noise, as they would in the residuals about a smoothed curve.
    """
    return float(_noise_of(np.abs(_off_line(losses))))


def rolling_noise(losses: Floats, width: int) -> Floats:
    """The `difference_noise` of every `width` neighbours."""
    return _noise_of(np.lib.stride_tricks.sliding_window_view(np.abs(_off_line(losses)), width - 2))


def _off_line(losses: Floats) -> Floats:
    off: Floats = losses[1:-1] - (losses[:-2] + losses[2:]) / 2
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
    return float(_median(losses[: max(3, len(losses) // 10)]))


def capped(losses: Floats) -> Floats:
    """The losses, limited to the level at the start plus their decrease below it; unchanged if they do not decrease.

    Higher losses are divergence: their size is random, and smoothing would spread them over LRs at which the model still
    trained. Losses that are not finite stay as they are.
    """
    finite = losses[np.isfinite(losses)]
    if len(finite) < 3:
        return losses
    start = level(finite)
    fall = start - float(running_median(finite).min())
    if fall <= max(4 * difference_noise(finite), 1e-3 * abs(start)):
        return losses
    return np.where(losses > start + fall, np.where(np.isfinite(losses), start + fall, losses), losses)
