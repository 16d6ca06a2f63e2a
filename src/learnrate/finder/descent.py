"""Where the loss of a range test begins to fall, falls fastest, and ends falling, and how well that is known."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from learnrate.finder.smoothing import Floats, running_median, smooth, smoothed_noise

SIGNIFICANT = 7.0
"""A fall counts when it is so many standard deviations of the smoothed noise: in sweeps of 20 to 300 updates of pure noise
(normal, exponential and chi-squared) about one in 1,000 falls so far, for the minimum is taken over the whole curve."""

RESAMPLES = 400


@dataclass(frozen=True)
class Descent:
    """The one fall of a range test.

    Attributes:
        start: Level of the loss before it falls: the median of the first tenth.
        lowest: The least smoothed loss of the fall.
        noise: Standard deviation of the batch noise.
        begun: Position at which a tenth of the fall is done for good.
        steepest: Position at which the loss falls fastest from update to update.
        ended: Last position at which the loss is still as low as it gets, within its noise.
        ends_in: "rise" where the loss rises after it, "sweep" where the sweep ends there.
    """

    start: float
    lowest: float
    noise: float
    begun: int
    steepest: int
    ended: int
    ends_in: Literal["rise", "sweep"]

    @property
    def fall(self) -> float:
        """How far the loss falls."""
        return self.start - self.lowest


def find(losses: Floats) -> Descent:
    """The fall in a series of finite losses, which need not be one that stands out of the noise: see `significant`."""
    noise = difference_noise(losses)
    smoothed = smooth(capped(losses, noise))
    return _landmarks(smoothed, noise)


def significant(descent: Descent, points: int) -> bool:
    """Whether the fall stands out of the batch noise, and of the digits of the loss."""
    return descent.fall > _sure_change(descent.start, descent.noise, points)


def _sure_change(start: float, noise: float, points: int) -> float:
    return max(SIGNIFICANT * smoothed_noise(noise, points), 1e-3 * abs(start))


def redrawn_steepest(losses: Floats) -> list[int]:
    """Where the loss falls fastest when its noise is drawn anew, once for each of 400 draws of a fixed seed.

    A residual bootstrap: the deviations from the smoothed losses are shuffled over the updates, with replacement
    (Efron and Tibshirani 1993, chapter 9).
    """
    noise = difference_noise(losses)
    clean = capped(losses, noise)
    smoothed = smooth(clean)
    residuals = clean - smoothed
    draws = np.random.default_rng(0).choice(residuals - residuals.mean(), size=(RESAMPLES, len(residuals)))
    return [_landmarks(redrawn, noise).steepest for redrawn in smooth(smoothed + draws)]


def difference_noise(losses: Floats) -> float:
    """Standard deviation of the batch noise, from how far each loss lies off the line between its neighbours.

    The estimator of Gasser, Sroka and Jennen-Steinmetz (1986), with the median for the mean: a trend, a bend or a few spikes
    do not pass for noise, as they would in the residuals about a smoothed curve.
    """
    off: Floats = losses[1:-1] - (losses[:-2] + losses[2:]) / 2
    return float(1.4826 * np.median(np.abs(off)) / np.sqrt(1.5))


def level(losses: Floats) -> float:
    """The level at the start: the median of the first tenth, at least three updates."""
    return float(np.median(losses[: max(3, len(losses) // 10)]))


def capped(losses: Floats, noise: float) -> Floats:
    """The losses with a ceiling as far above the level at the start as they fall below it.

    What lies above is divergence: how far is chance, and smoothing would smear it back over the LRs that still trained.
    """
    start = level(losses)
    room = max(start - float(running_median(losses).min()), 4 * noise)
    return np.minimum(losses, start + room)


def _landmarks(smoothed: Floats, noise: float) -> Descent:
    start = level(smoothed)
    valley = smoothed[: _first_rise(smoothed, start, _sure_change(start, noise, len(smoothed)))]
    bottom = int(valley.argmin())
    lowest = float(valley[bottom])
    fall = start - lowest
    # The bottom is often flat: any of its points may be the lowest by chance, the last one is where training still works.
    as_low = lowest + max(2 * smoothed_noise(noise, len(smoothed)), 0.02 * fall)
    above = np.flatnonzero(valley[bottom:] > as_low)
    ended = bottom + int(above[0]) - 1 if above.size else len(valley) - 1
    waiting = np.flatnonzero(valley[: bottom + 1] > start - 0.1 * fall)
    begun = min(int(waiting[-1]) + 1, bottom) if waiting.size else 0
    steepest = begun + int(np.gradient(smoothed)[begun : bottom + 1].argmin())
    ends_in: Literal["rise", "sweep"] = "sweep" if ended == len(smoothed) - 1 else "rise"
    return Descent(start, lowest, noise, begun, steepest, ended, ends_in)


def _first_rise(smoothed: Floats, start: float, sure: float) -> int:
    """Position at which the loss, after its first sure fall, has surely lost half of it again; the length if it never does.

    A second dip behind such a hump is training of another kind (or of a wrecked model), and no LR of the first.
    """
    lowest = np.minimum.accumulate(smoothed)
    fallen = start - lowest
    risen = smoothed - lowest
    lost = np.flatnonzero((fallen > sure) & (risen > 0.5 * fallen + sure))
    return int(lost[0]) if lost.size else len(smoothed)
