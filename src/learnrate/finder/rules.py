"""Rules: plain functions that read bounds off a curve, or say why they cannot.

`descent` is the default. `accuracy` is the rule of the CLR paper. The others are the rules of well-known finders, as those
define them, for comparison.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.accuracy import accuracy, accuracy_quarter, accuracy_third
from learnrate.finder.bootstrap import SAMPLES, interval, resample
from learnrate.finder.bounds import (
    Bounds,
    Intervals,
    NoAnswer,
    Reasons,
    batch_at_fault,
    require_curve,
    two_digits,
    unreadable,
)
from learnrate.finder.descent import REMAINS, Descent, find_descent, is_significant, locate_descents, sure_change
from learnrate.finder.levels import ROUNDED, capped, rounding
from learnrate.finder.nonfinite import last_run
from learnrate.finder.peers import lightning, minimum, slide, steep, torch_lr_finder, valley
from learnrate.finder.smoothing import Floats, smooth

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

MOST_POINTS = 400
"""A longer curve is averaged in blocks: more points would take time and not change the LRs."""

ROUNDING_ERRORS = 16
"""Most distances between two floats by which the smoothing of a constant loss may go below it."""

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
    """Bounds from where the loss begins to fall, falls fastest, and stops falling (see `learnrate.finder.descent`).

    - base_lr: the first LR from which a tenth of the fall remains done. Smith (arXiv 1506.01186, section 3.3): the LR
      "when the accuracy starts to increase".
    - max_lr: half of the last LR at which the loss is as low as it gets, within its noise. Above it the loss rises, so it is
      the largest LR that trains; "the optimum learning rate is usually within a factor of two of the largest one that
      converges" (the same section, after Bengio, arXiv 1206.5533, section 3.1.1).
    - lr: the LR at which the loss falls fastest from update to update, within [base_lr, max_lr].
    - intervals: the 90 % interval of each LR over 200 bootstrap samples (with a fixed seed) of the batch noise and, for a
      merged curve, of the sweeps. The intervals of a single sweep do not include other initial weights, which may change
      the LRs by more.

    A loss that begins to oscillate ends the fall, as a rise does ("when the accuracy slows, becomes ragged, or starts to
    fall" is Smith's upper bound); the measure is `learnrate.finder.series.ragged`. The periodic part of the losses, which
    sorted data causes, is removed first.

    There is no answer if fewer than 10 losses are finite, if the fall is not significant, or if the loss only rises.

    Args:
        curve: The record of a range test.

    Returns:
        `Bounds` with a reason and an interval for each LR, or `NoAnswer`.

    Example:
        >>> from learnrate import Curve
        >>> lrs = np.geomspace(1e-4, 10.0, 101)
        >>> losses = np.interp(np.log10(lrs), [-4, -3, -1, 0, 1], [2.3, 2.3, 0.5, 0.5, 3.0])
        >>> bounds = descent(Curve(lrs, losses))
        >>> bounds.base_lr, bounds.max_lr
        (0.0016, 0.5)
        >>> print(bounds.reasons.base_lr)
        base_lr 0.0016: the loss has fallen by at least 10 % of its total decrease (2.3 to 0.5).
    """
    curve = require_curve(curve).above_zero()
    no_answer = unreadable(curve, "descent")
    if no_answer is not None:
        return no_answer
    fault = batch_at_fault(curve)
    if fault is not None:
        return NoAnswer(f"{fault[0]}.", fault[1], "descent")
    finite = _in_blocks(curve.finite())
    fall = find_descent(finite.losses, diverged=curve.ended == "diverged")
    if not is_significant(finite.losses, fall):
        return NoAnswer(*_why_not(curve.finite(), finite, fall), "descent")
    if _is_lowest_at_start(finite, fall):
        return NoAnswer(
            *_why_lowest_at_start(finite, fall),
            "descent",
        )
    return _bounds(finite, fall, not_finite=last_run(curve.losses) is not None)


def _is_lowest_at_start(curve: "Curve", fall: Descent) -> bool:
    return fall.end < max(3, len(curve) // 10)


def _start_lower(curve: "Curve") -> str:
    return f"Start the sweep at LR {two_digits(curve.lrs[0] / 1000):.2g}"


def _why_lowest_at_start(curve: "Curve", fall: Descent) -> tuple[str, str]:
    """Why there is no answer if the loss is lowest at the start of the sweep, and what would help."""
    lowest = f"the loss is lowest at LR {curve.lrs[fall.end]:.2g}, at the start of the sweep,"
    smoothed = smooth(curve.losses[fall.end :])
    falls_again = float((np.maximum.accumulate(smoothed) - smoothed).max()) > 0.5 * float(np.ptp(smoothed))
    if falls_again:
        return f"{lowest} and rises and falls above it.", (
            f"{_start_lower(curve)}, and shuffle the data if its batches have an order."
        )
    return f"{lowest} and rises above it.", f"{_start_lower(curve)}."


def _why_not(whole: "Curve", curve: "Curve", fall: Descent) -> tuple[str, str]:
    """Why a fall is not significant, and what would help; `curve` are the means of the blocks of `whole`."""
    end, block = whole.lrs[-1], _block(whole)
    higher = f"Sweep to a higher LR, such as {two_digits(100 * end):.2g}"
    more = f"use {4 * len(whole)} updates or larger batches"
    sure = sure_change(fall.noise, fall.points, rounding(curve.losses))
    # The smoothed loss ends a little above a fall that has just begun.
    falls_at_end = fall.end >= len(curve) - 1 and fall.bottom >= len(curve) - max(3, len(curve) // 20)
    rises = float(np.median(curve.losses[-3:])) > fall.start + sure
    within = f"the loss did not fall significantly within {len(whole)} updates:"
    digits = rounding(whole.losses)
    # A loss that changes by a few digits, and never downwards, may fall within them.
    if fall.fall <= ROUNDING_ERRORS * np.spacing(abs(fall.start)) and np.ptp(whole.losses) > 8 * digits:
        reason = f"{within} smoothed, it is never below its level at the start, {fall.start:.6g}."
        return reason, f"{_start_lower(curve) if rises else higher}, or {more}."
    if fall.fall <= ROUNDED * digits:
        reason = f"{within} it fell by {max(fall.fall, 0.0):.2g}, and two numbers of its format differ by {digits:.2g}."
        return reason, "Compute the loss in a format of more digits (float32 or float64), or subtract a constant from it."
    if fall.fall > sure and fall.repeats:
        return (
            f"the loss fell by {fall.fall:.2g}, rose, and fell by as much again: its batches have an order.",
            f"Shuffle the data, or {more}.",
        )
    if fall.fall > sure and fall.cycle:
        return (
            f"the batches have an order, which repeats after {fall.cycle * block} updates and which the loss follows: its "
            f"fall by {fall.fall:.2g} may be that of a part of the data.",
            f"Shuffle the data, or {more}.",
        )
    if fall.fall <= REMAINS * fall.season:
        return (
            f"the loss fell by {fall.fall:.2g}, and what repeats in its batches, which have an order, is {fall.season:.2g}.",
            f"Shuffle the data, or {more}.",
        )
    if rises and _is_lowest_at_start(curve, fall):
        return _why_lowest_at_start(curve, fall)
    if fall.fall > sure:
        reason = f"{within} it fell by {fall.fall:.2g}, but before that it had already changed by {fall.deviation:.2g}."
    else:
        noise = fall.noise * math.sqrt(block)
        reason = (
            f"{within} it fell by {max(fall.fall, 0.0):.2g}, but with a batch noise of {noise:.2g} only a fall of more "
            f"than {sure:.2g} is significant."
        )
        if rises:
            return f"{reason[:-1]}; then it rises.", f"{_start_lower(curve)}, or {more}."
    if falls_at_end:
        return f"{reason[:-1]}; it is lowest at the last LR, {end:.2g}.", f"{higher}, or {more}."
    return reason, f"{more[0].upper()}{more[1:]}, a wider range of LRs, or a partly trained model."


def _block(curve: "Curve") -> int:
    """Number of updates of which a long curve is averaged."""
    return -(-len(curve) // MOST_POINTS)


def _in_blocks(curve: "Curve") -> "Curve":
    """A long curve with the means of blocks of updates, whose LRs are nearly the same.

    What repeats is removed first: a cycle is seldom a whole number of blocks.
    """
    size = _block(curve)
    if size <= 1:
        return curve
    losses = curve.losses - (capped(curve.losses) - curve.cleaned)
    starts = np.arange(0, len(curve), size)

    def means(values: Floats) -> Floats:
        averages: Floats = np.add.reduceat(values, starts) / np.diff([*starts, len(values)])
        return averages

    return replace(
        curve,
        lrs=curve.lrs[np.minimum(starts + size // 2, len(curve) - 1)],
        losses=means(losses),
        metrics={},
        updates=curve.updates[starts],
        sweeps=tuple(map(_in_blocks, curve.sweeps)),
    )


def _bounds(curve: "Curve", fall: Descent, not_finite: bool) -> Bounds:
    """The bounds of a significant fall; `not_finite` says whether losses that are not finite follow it."""
    base, lr, top, sudden = _numbers(curve.lrs, fall)
    diverged = curve.ended == "diverged"
    samples = [_numbers(curve.lrs, fall)[:3] for fall in locate_descents(resample(curve), diverged, rounding(curve.losses))]
    bases, fastest_lrs, tops = np.array(samples).T
    step = float((curve.lrs[-1] / curve.lrs[0]) ** (1 / (len(curve) - 1)))
    low, high = interval(fastest_lrs, lr, step)
    intervals = Intervals(interval(bases, base, step), interval(tops, top, step), (max(low, base), min(high, top)))
    low, high = intervals.lr
    sources = f"the batch noise and the choice of {len(curve.sweeps)} sweeps" if curve.sweeps else "the batch noise"
    reasons = Reasons(
        base_lr=f"base_lr {base:.2g}: {_why_base(curve.lrs, fall, sudden)}.",
        max_lr=f"max_lr {top:.2g}: {_why_top(curve.lrs, fall, sudden, not_finite)}." + _where_flat(curve.lrs, fall),
        lr=f"lr {lr:.2g}: {_why_lr(lr, two_digits(curve.lrs[fall.steepest]))}.",
        interval=f"90 % interval of lr: {low:.2g} to {high:.2g}, over {SAMPLES} bootstrap samples of {sources}.",
    )
    return Bounds(base, top, lr, intervals, reasons, "descent")


def _numbers(lrs: Floats, fall: Descent) -> tuple[float, float, float, bool]:
    """base_lr, lr and max_lr of a fall, and whether it is sudden: within a factor of two in LR."""
    base, fastest, end = (two_digits(lrs[i]) for i in (fall.begin, fall.steepest, fall.end))
    top = two_digits(end / 2)
    sudden = top <= base
    if sudden:
        base, top = two_digits(end / 2), end
    return base, min(max(fastest, base), top), top, sudden


def _why_base(lrs: Floats, fall: Descent, sudden: bool) -> str:
    if sudden:
        return "half of max_lr, because the loss falls within a factor of two in LR"
    # At least: where noise hides a tenth, the fall begins later.
    levels = f"{fall.start:.3g} to {fall.lowest:.3g}"
    if fall.fall < 0.05 * abs(fall.start):  # whose first digits are the same
        levels = f"by {fall.fall:.2g} from {fall.start:.3g}"
    done = f"the loss has fallen by at least 10 % of its total decrease ({levels})"
    if fall.begin < max(3, len(lrs) // 6):
        return f"{done} near the start of the sweep, so a lower LR may also work"
    return done


def _why_top(lrs: Floats, fall: Descent, sudden: bool, not_finite: bool) -> str:
    if sudden:
        return "the last LR at which the loss is at its lowest"
    half = f"half of {two_digits(lrs[fall.end]):.2g}, the last LR "
    if fall.end_cause == "rise":
        return half + "before the loss rises again"
    if fall.end_cause == "oscillation":
        return half + "before the loss begins to oscillate"
    if not_finite:
        return half + "at which the loss is finite"
    return half + "of the sweep; the loss does not rise there, so a higher LR may also work"


def _why_lr(lr: float, fastest: float) -> str:
    if lr == fastest:
        return "the loss falls fastest here"
    return f"the bound closest to {fastest:.2g}, where the loss falls fastest"


def _where_flat(lrs: Floats, fall: Descent) -> str:
    if fall.flat_from is None:
        return ""
    return f" From LR {lrs[fall.flat_from]:.2g} on, the loss no longer falls (Mann-Kendall test)."
