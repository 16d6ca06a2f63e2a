"""Rules: plain functions that read bounds off a curve, or say why they cannot.

`descent` is the default. The others are those of well-known finders, as they define them, to compare with.
"""

from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.bounds import Bounds, NoAnswer, Reasons, two_digits
from learnrate.finder.descent import Descent, find, redrawn_steepest, significant
from learnrate.finder.peers import lightning, minimum, slide, steep, torch_lr_finder, valley
from learnrate.finder.smoothing import Floats
from learnrate.finder.usable import unusable

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

__all__ = ["descent", "lightning", "minimum", "slide", "steep", "torch_lr_finder", "valley"]


def descent(curve: "Curve") -> Bounds | NoAnswer:
    """Bounds from where the loss begins to fall, falls fastest, and ends falling (see `learnrate.finder.descent`).

    - base_lr: the first LR at which a tenth of the fall is done for good. Smith (arXiv 1506.01186, section 3.3): the LR
      "when the accuracy starts to increase".
    - max_lr: half the last LR at which the loss is as low as it gets, within its noise. Beyond it the loss rises, so that
      this is the largest LR that trains at all; "the optimum learning rate is usually within a factor of two of the largest
      one that converges" (the same section, after Bengio, arXiv 1206.5533, section 3.1.1).
    - lr: the LR where the loss falls fastest from update to update, within [base_lr, max_lr].
    - interval: what 90 % of `lr` lie in when the batch noise is drawn anew (residual bootstrap, 400 draws of a fixed seed).
      It tells the noise of this one sweep; a sweep from other initial weights may differ by more.

    No answer where fewer than 10 losses are finite, the fall does not stand out of the noise, or the loss only rises.

    Args:
        curve: The record of a range test.
    """
    none = unusable(curve, "descent")
    if none is not None:
        return none
    known = curve.finite()
    found = find(known.losses, diverged=curve.ended == "diverged")
    if not significant(known.losses, found):
        return NoAnswer(
            f"the loss never fell by more than its noise within {len(known)} updates: by {max(found.fall, 0.0):.2g}, "
            f"with a batch noise of {found.noise:.2g}.",
            f"Sweep over {4 * len(known)} updates, over a wider range of LRs, with larger batches, or from a warm start.",
            "descent",
        )
    if found.ended < max(3, len(known) // 10):
        return NoAnswer(
            f"the loss only rises: it is lowest at the LR of {known.lrs[found.ended]:.2g}, where the sweep began.",
            f"Start the sweep at {two_digits(known.lrs[0] / 1000):.2g}.",
            "descent",
        )
    return _bounds(known.lrs, known.losses, found, lost=len(known) < len(curve))


def _bounds(lrs: Floats, losses: Floats, found: Descent, lost: bool) -> Bounds:
    base, fastest, end = (two_digits(lrs[i]) for i in (found.begun, found.steepest, found.ended))
    top = two_digits(end / 2)
    at_once = top <= base
    if at_once:
        base, top = two_digits(end / 2), end
    lr = min(max(fastest, base), top)
    redrawn = np.clip([lrs[i] for i in redrawn_steepest(losses)], base, top)
    low, high = (two_digits(bound) for bound in np.quantile(redrawn, (0.05, 0.95)))
    low, high = max(min(low, lr), base), min(max(high, lr), top)
    reasons = Reasons(
        base_lr=_why_base(base, lrs, found, at_once),
        max_lr=_why_top(top, end, found, at_once, lost),
        lr=f"lr is {lr:.2g}: "
        + (
            "there the loss falls fastest."
            if lr == fastest
            else f"the bound next to {fastest:.2g}, where the loss falls fastest."
        ),
        interval=f"The interval of lr is {low:.2g} to {high:.2g}: there it lies in 90 % of redraws of the batch noise.",
    )
    return Bounds(base, top, lr, (low, high), reasons, "descent")


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
    if lost:
        return f"max_lr is {top:.2g}: half of {end:.2g}, the last LR before the loss was no longer finite."
    return f"max_lr is {top:.2g}: half of {end:.2g}, the last LR of the sweep; the loss had not risen yet, so more may do."
