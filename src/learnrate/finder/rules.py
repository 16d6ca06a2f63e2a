"""Rules: plain functions that read bounds off a curve, or say why they cannot.

`descent` is the default. `accuracy` is that of the CLR paper; the others are those of well-known finders, as they define
them, to compare with.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.accuracy import accuracy, accuracy_quarter, accuracy_third
from learnrate.finder.bootstrap import interval, redrawn
from learnrate.finder.bounds import Bounds, Intervals, NoAnswer, Reasons, two_digits
from learnrate.finder.descent import Descent, find, find_in, significant
from learnrate.finder.peers import lightning, minimum, slide, steep, torch_lr_finder, valley
from learnrate.finder.smoothing import Floats
from learnrate.finder.usable import unusable

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

MOST_POINTS = 400
"""A longer curve is read in blocks: the rest would cost time, and tell nothing more about the LR."""

__all__ = [
    "accuracy",
    "accuracy_quarter",
    "accuracy_third",
    "descent",
    "lightning",
    "minimum",
    "slide",
    "steep",
    "torch_lr_finder",
    "valley",
]


def descent(curve: "Curve") -> Bounds | NoAnswer:
    """Bounds from where the loss begins to fall, falls fastest, and ends falling (see `learnrate.finder.descent`).

    - base_lr: the first LR at which a tenth of the fall is done for good. Smith (arXiv 1506.01186, section 3.3): the LR
      "when the accuracy starts to increase".
    - max_lr: half the last LR at which the loss is as low as it gets, within its noise. Beyond it the loss rises, so that
      this is the largest LR that trains at all; "the optimum learning rate is usually within a factor of two of the largest
      one that converges" (the same section, after Bengio, arXiv 1206.5533, section 3.1.1).
    - lr: the LR where the loss falls fastest from update to update, within [base_lr, max_lr].
    - intervals: what 90 % of each lie in when the batch noise is drawn anew and, in a merged curve, the sweeps (bootstrap,
      200 draws of a fixed seed). Of a single sweep they tell its noise; a sweep from other initial weights may differ by
      more.

    A loss that becomes ragged ends the fall as a rise does ("when the accuracy slows, becomes ragged, or starts to fall" is
    Smith's upper bound), by the measure of `learnrate.finder.series.ragged`. What repeats in the losses, as in those of
    sorted data, is taken out before.

    No answer where fewer than 10 losses are finite, the fall does not stand out of the noise, or the loss only rises.

    Args:
        curve: The record of a range test.
    """
    none = unusable(curve, "descent")
    if none is not None:
        return none
    known = _coarse(curve.finite())
    found = find(known.losses, diverged=curve.ended == "diverged")
    if not significant(known.losses, found):
        return NoAnswer(
            f"the loss never fell by more than its noise within {len(curve)} updates: by {max(found.fall, 0.0):.2g}, "
            f"with a batch noise of {found.noise:.2g}.",
            f"Sweep over {4 * len(curve)} updates, over a wider range of LRs, with larger batches, or from a warm start.",
            "descent",
        )
    if found.ended < max(3, len(known) // 10):
        return NoAnswer(
            f"the loss only rises: it is lowest at the LR of {known.lrs[found.ended]:.2g}, where the sweep began.",
            f"Start the sweep at {two_digits(known.lrs[0] / 1000):.2g}.",
            "descent",
        )
    return _bounds(known, found, lost=not np.isfinite(curve.losses).all())


def _coarse(curve: "Curve") -> "Curve":
    """A long curve in blocks, each the mean of its updates: neighbours of so many have all but the same LR."""
    size = -(-len(curve) // MOST_POINTS)
    if size <= 1:
        return curve
    blocks = np.arange(0, len(curve), size)

    def means(values: Floats) -> Floats:
        averaged: Floats = np.add.reduceat(values, blocks) / np.diff([*blocks, len(values)])
        return averaged

    return replace(
        curve,
        lrs=curve.lrs[np.minimum(blocks + size // 2, len(curve) - 1)],
        losses=means(curve.losses),
        metrics={},
        updates=curve.updates[blocks],
        sweeps=tuple(map(_coarse, curve.sweeps)),
    )


def _bounds(curve: "Curve", found: Descent, lost: bool) -> Bounds:
    base, lr, top, at_once = _numbers(curve.lrs, found)
    again = [_numbers(curve.lrs, find_in(losses, curve.ended == "diverged"))[:3] for losses in redrawn(curve)]
    of_base, of_lr, of_top = np.array(again).T
    step = float((curve.lrs[-1] / curve.lrs[0]) ** (1 / (len(curve) - 1)))
    low, high = interval(of_lr, lr, step)
    intervals = Intervals(interval(of_base, base, step), interval(of_top, top, step), (max(low, base), min(high, top)))
    fastest = two_digits(curve.lrs[found.steepest])
    end = two_digits(curve.lrs[found.ended])
    low, high = intervals.lr
    over = f"the batch noise and the choice of {len(curve.sweeps)} sweeps" if curve.sweeps else "the batch noise"
    reasons = Reasons(
        base_lr=_why_base(base, curve.lrs, found, at_once),
        max_lr=_why_top(top, end, found, at_once, lost) + _where_flat(curve.lrs, found),
        lr=f"lr is {lr:.2g}: "
        + (
            "there the loss falls fastest."
            if lr == fastest
            else f"the bound next to {fastest:.2g}, where the loss falls fastest."
        ),
        interval=f"The interval of lr is {low:.2g} to {high:.2g}: there it lies in 90 % of redraws of {over}.",
    )
    return Bounds(base, top, lr, intervals, reasons, "descent")


def _numbers(lrs: Floats, found: Descent) -> tuple[float, float, float, bool]:
    """base_lr, lr and max_lr of a fall, and whether it falls all at once."""
    base, fastest, end = (two_digits(lrs[i]) for i in (found.begun, found.steepest, found.ended))
    top = two_digits(end / 2)
    at_once = top <= base
    if at_once:
        base, top = two_digits(end / 2), end
    return base, min(max(fastest, base), top), top, at_once


def _where_flat(lrs: Floats, found: Descent) -> str:
    if found.flat_from is None:
        return ""
    return f" From {lrs[found.flat_from]:.2g} on it falls no more (Mann-Kendall test)."


def _why_base(base: float, lrs: Floats, found: Descent, at_once: bool) -> str:
    if at_once:
        return f"base_lr is {base:.2g}: half of max_lr, for the loss falls all at once."
    way = f"by a tenth of the way from {found.start:.3g} to {found.lowest:.3g}"
    if found.begun < max(3, len(lrs) // 6):
        return (
            f"base_lr is {base:.2g}, where the sweep began: the loss had begun to fall by then, {way}; a lower one may do."
        )
    return f"base_lr is {base:.2g}: there the loss has begun to fall, {way}."


def _why_top(top: float, end: float, found: Descent, at_once: bool, lost: bool) -> str:
    if at_once:
        return f"max_lr is {top:.2g}: there the loss ends its fall, which begins within a factor of two."
    if found.ends_in == "rise":
        return f"max_lr is {top:.2g}: half of {end:.2g}, the last LR before the loss rises again."
    if found.ends_in == "sawtooth":
        return f"max_lr is {top:.2g}: half of {end:.2g}, the last LR before the loss becomes a sawtooth."
    if lost:
        return f"max_lr is {top:.2g}: half of {end:.2g}, the last LR before the loss was no longer finite."
    return f"max_lr is {top:.2g}: half of {end:.2g}, the last LR of the sweep; the loss had not risen yet, so more may do."
