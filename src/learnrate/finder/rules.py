"""Rules: plain functions that read bounds off a curve, or say why they cannot.

`descent` is the default. The others are those of well-known finders, as they define them, to compare with.
"""

from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.bounds import Bounds, NoAnswer, Reasons, two_digits
from learnrate.finder.smoothing import Floats, smooth, smoothed_noise

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

MIN_POINTS = 10
RESAMPLES = 400

SIGNIFICANT = 7.0
"""A fall counts when it is so many standard deviations of the smoothed noise: in sweeps of 20 to 300 updates of pure noise
(normal, exponential and chi-squared) about one in 1,000 falls so far, for the minimum is taken over the whole curve."""


def descent(curve: "Curve") -> Bounds | NoAnswer:
    """Bounds from where the smoothed loss begins to fall, falls fastest, and ends falling.

    With L0 the level at the start (median of the first tenth) and Lmin the minimum of the smoothed loss:

    - base_lr: the first LR at which a tenth of the fall L0 - Lmin is done for good. Smith (arXiv 1506.01186,
      section 3.3): the LR "when the accuracy starts to increase".
    - max_lr: half the LR of the minimum. At the minimum itself harm by the LR and gain by further training just balance, so
      that it lies on the edge, and beyond it the loss is ragged or rises.
    - lr: the LR where the loss falls fastest along log LR, within [base_lr, max_lr].
    - interval: 5th to 95th percentile of `lr` when the residuals about the smoothed loss are drawn anew
      (residual bootstrap, Efron and Tibshirani 1993, chapter 9; 400 draws of a fixed seed).

    No answer where fewer than 10 losses are finite, the fall does not stand out of the noise, or the loss only rises.

    Args:
        curve: The record of a range test.
    """
    name = "descent"
    curve = curve.finite()
    if len(curve) < MIN_POINTS:
        return _too_short(len(curve), name)
    lrs, losses = curve.lrs, curve.losses
    smoothed = smooth(losses)
    landmarks = _landmarks(smoothed)
    start, lowest = _level(smoothed), float(smoothed.min())
    residuals = losses - smoothed
    noise = _noise(losses)
    fall = start - lowest
    if float(np.ptp(losses)) == 0.0:
        return NoAnswer(
            f"the loss is exactly {losses[0]:.6g} at every update.",
            "Check that the loss depends on the parameters that the optimizer holds.",
            name,
        )
    if fall <= max(SIGNIFICANT * smoothed_noise(noise, len(curve)), 1e-3 * abs(start)):
        return NoAnswer(
            f"the loss never moved within {len(curve)} updates: it fell by {max(fall, 0.0):.2g}, "
            f"with a batch noise of {noise:.2g}.",
            f"Sweep over {4 * len(curve)} updates, over a wider range of LRs, with larger batches, or from a warm start.",
            name,
        )
    if landmarks[2] < max(3, len(curve) // 10):
        return NoAnswer(
            f"the loss only rises: it is lowest at the LR of {lrs[landmarks[2]]:.2g}, where the sweep began.",
            f"Give low={two_digits(lrs[0] / 1000):.2g}.",
            name,
        )
    base, best, end = (two_digits(lrs[i]) for i in landmarks)
    top = max(two_digits(end / 2), base)
    if top == base:
        # The whole fall lies within a factor of two: the bounds are its two sides.
        base = two_digits(base / 2)
    best = min(max(best, base), top)
    low, high = (two_digits(lr) for lr in _interval(lrs, smoothed, residuals))
    low, high = min(max(low, base), best), max(min(high, top), best)
    return Bounds(
        base_lr=base,
        max_lr=top,
        lr=best,
        interval=(low, high),
        reasons=Reasons(
            base_lr=(
                f"base_lr is {base:.2g}: there the loss has begun to fall, by a tenth of the way "
                f"from {start:.3g} to {lowest:.3g}."
            ),
            max_lr=f"max_lr is {top:.2g}: half the LR of {end:.2g} at which the loss ended its fall.",
            lr=f"lr is {best:.2g}: there the loss falls fastest.",
            interval=f"The interval of lr is {low:.2g} to {high:.2g}: 90 % of redraws of the batch noise fall into it.",
        ),
        rule=name,
    )


def steepest(curve: "Curve") -> Bounds | NoAnswer:
    """The LR where the smoothed loss falls fastest from update to update, as in pytorch-lr-finder and Lightning.

    base_lr and max_lr are that LR divided and multiplied by 3.

    Args:
        curve: The record of a range test.
    """
    name = "steepest"
    curve = curve.finite()
    if len(curve) < MIN_POINTS:
        return _too_short(len(curve), name)
    slopes = np.gradient(smooth(curve.losses))
    if slopes.min() >= 0:
        return NoAnswer("the loss falls nowhere.", "Give more updates or a wider range of LRs.", name)
    lr = two_digits(curve.lrs[slopes.argmin()])
    return _around(
        lr,
        two_digits(lr / 3),
        two_digits(lr * 3),
        f"lr is {lr:.2g}: there the smoothed loss falls fastest from update to update.",
        name,
    )


def minimum(curve: "Curve") -> Bounds | NoAnswer:
    """A tenth of the LR at which the smoothed loss is lowest, as in fastai's `minimum`.

    max_lr is the LR of the minimum, base_lr a tenth of `lr`.

    Args:
        curve: The record of a range test.
    """
    name = "minimum"
    curve = curve.finite()
    if len(curve) < MIN_POINTS:
        return _too_short(len(curve), name)
    at = int(smooth(curve.losses).argmin())
    if at == 0:
        return NoAnswer("the loss is lowest at the lowest LR.", "Give more updates, or a lower first LR.", name)
    edge = two_digits(curve.lrs[at])
    lr, low = two_digits(edge / 10), two_digits(edge / 100)
    return _around(lr, low, edge, f"lr is {lr:.2g}: a tenth of the LR where the smoothed loss is lowest.", name)


def _around(lr: float, low: float, high: float, reason: str, rule: str) -> Bounds:
    reasons = Reasons(
        base_lr=f"base_lr is {low:.2g} by convention of the rule.",
        max_lr=f"max_lr is {high:.2g} by convention of the rule.",
        lr=reason,
        interval=f"The interval is {low:.2g} to {high:.2g}: the rule gives none of its own.",
    )
    return Bounds(low, high, lr, (low, high), reasons, rule)


def _too_short(points: int, rule: str) -> NoAnswer:
    return NoAnswer(
        f"only {points} losses are finite.",
        f"A curve needs at least {MIN_POINTS}: start from a lower LR, or give more updates.",
        rule,
    )


def _level(smoothed: Floats) -> float:
    """The level at the start: the median of the first tenth, at least three updates."""
    return float(np.median(smoothed[: max(3, len(smoothed) // 10)]))


def _noise(losses: Floats) -> float:
    """Standard deviation of the batch noise, from how far each loss lies off the line between its neighbours.

    The estimator of Gasser, Sroka and Jennen-Steinmetz (1986), with the median for the mean: a trend, a bend or a few spikes
    do not pass for noise, as they would in the residuals about a smoothed curve.
    """
    off: Floats = losses[1:-1] - (losses[:-2] + losses[2:]) / 2
    return float(1.4826 * np.median(np.abs(off)) / np.sqrt(1.5))


def _landmarks(smoothed: Floats) -> tuple[int, int, int]:
    """Where the fall begins, is fastest, and ends, as positions in the curve."""
    end = int(smoothed.argmin())
    start = _level(smoothed)
    begun = smoothed[: end + 1] > start - 0.1 * (start - smoothed[end])
    first = int(np.flatnonzero(begun)[-1]) + 1 if begun.any() else 0
    first = min(first, end)
    slopes = np.gradient(smoothed)[first : end + 1]
    return first, first + int(slopes.argmin()), end


def _interval(lrs: Floats, smoothed: Floats, residuals: Floats) -> tuple[float, float]:
    """90 % interval of the LR of fastest descent, by residual bootstrap."""
    draws = np.random.default_rng(0).choice(residuals - residuals.mean(), size=(RESAMPLES, len(residuals)))
    best = [lrs[_landmarks(redrawn)[1]] for redrawn in smooth(smoothed + draws)]
    low, high = np.quantile(best, (0.05, 0.95))
    return float(low), float(high)
