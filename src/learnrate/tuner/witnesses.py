"""Where the trials begin: an LR from a probe, a range test, or a curve, compared with the user's own LR."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.finder.levels import difference_noise
from learnrate.finder.nonfinite import unchanged
from learnrate.finder.smoothing import Floats
from learnrate.tuner.no_answer import require_finite_start, require_level
from learnrate.tuner.probe import Probe
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Start, start_losses

ABOVE_BEST = 12.0
"""The LR of the lowest smoothed loss of a range test lies between once and twelve times the best LR of a run."""


@dataclass(frozen=True)
class Witness:
    """One source of evidence on the LR before the trials.

    Attributes:
        name: What it is.
        low: The lowest LR that it allows, as log2.
        high: The highest one.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Beginning:
    """Where the trials begin.

    Attributes:
        first: LR of the first trial, as log2.
        lowest: The lowest LR to try, as log2.
        highest: The highest LR to try, as log2.
        stride: Distance of the first trials from each other, in doublings.
        upwards: Whether the second trial has a higher LR than the first.
        reasons: What the witnesses say, and where they disagree.
    """

    first: float
    lowest: float
    highest: float
    stride: float
    upwards: bool
    reasons: tuple[str, ...] = ()


def from_probe(probe: Probe, low: float, high: float, others: Sequence[Witness]) -> Beginning:
    """Begin at the LR of a probe, a factor of two apart.

    Args:
        probe: The probe.
        low: The lowest LR to try.
        high: The highest LR to try.
        others: Other witnesses. The first one that disagrees decides in which direction the second trial lies.
    """
    first = math.log2(min(max(probe.lr, low), high))
    interval = Witness("the probe", *map(math.log2, probe.interval))
    opposed = [other for other in others if other.high < interval.low or interval.high < other.low]
    # Trials are short, and the best LR falls with the length of a training: the best of them is more often higher.
    upwards = opposed[0].low > first if opposed else True
    order = "a higher LR is tried before a lower one" if upwards else "a lower LR is tried before a higher one"
    reasons = tuple(
        f"{_capital(other.name)} {_range(other)} lies outside of the interval of the probe, {_range(interval)}: {order}."
        for other in opposed[:1]
    )
    return Beginning(first, math.log2(low), math.log2(high), 1.0, upwards, reasons)


def from_slow_probe(lr: float, low: float, high: float) -> Beginning:
    """Begin at twice the LR of a probe in which the loss has hardly fallen, and go upwards in steps of a factor of four.

    Its steps grow with what it learns, so that its LR is more often too low than too high.

    Args:
        lr: The LR that follows from its steps.
        low: The lowest LR to try.
        high: The highest LR to try.
    """
    first = math.log2(min(max(lr * 2**THRESHOLDS.above_slow_probe, low), high))
    reason = f"The trials begin at a higher LR than the {lr:.2g} that follows from the steps of the probe."
    return Beginning(first, math.log2(low), math.log2(high), THRESHOLDS.wide_stride, upwards=True, reasons=(reason,))


def from_curve(curve: Curve, bounds: Bounds | NoAnswer, low: float, high: float) -> Beginning:
    """Begin at the LR of the lowest smoothed loss of a range test, and go downwards in steps of a factor of four.

    Without bounds, begin at half of the last LR. A curve that ended early does not show which LRs are too high: it counts as
    if it had continued. So does one that a loss ended which is not finite where no LR had changed it.

    Args:
        curve: The range test.
        bounds: Its bounds.
        low: The lowest LR to try.
        high: The highest LR to try.
    """
    lowest, last = math.log2(float(curve.above_zero().lrs[0])), math.log2(float(curve.lrs[-1]))
    at_batch = curve.ended == "not finite" and unchanged(curve.losses)
    tried = curve.ended in ("swept", "diverged", "not finite") and not at_batch
    lowest, highest = max(lowest, math.log2(low)), min(math.log2(high), last if tried else math.inf)
    highest = max(lowest, highest)
    # If the trials meet the same batch, those at low LRs show it soonest: none of them diverges before.
    below_last = (last if at_batch else highest) - 1
    first = _lowest_loss(curve) - THRESHOLDS.below_lowest_loss if bounds else below_last
    return Beginning(min(max(first, lowest), highest), lowest, highest, THRESHOLDS.wide_stride, False)


def witness_of_curve(curve: Curve | None, bounds: Bounds | NoAnswer | None) -> Witness | None:
    """What a range test says about the best LR; None if there was none, or it has no bounds."""
    if curve is None or not bounds:
        return None
    lowest_loss = _lowest_loss(curve)
    return Witness("the range of LRs from the range test,", lowest_loss - math.log2(ABOVE_BEST), lowest_loss)


def _lowest_loss(curve: Curve) -> float:
    """The LR of the lowest smoothed loss, as log2."""
    return math.log2(float(curve.lrs[int(np.nanargmin(curve.smoothed()))]))


def witness_of_user(lr: float | None) -> Witness | None:
    """The LR that the optimizer has now; None if it is not known, or not above 0."""
    return Witness("the optimizer's own LR", math.log2(lr), math.log2(lr)) if lr is not None and lr > 0 else None


def start_of(curve: Curve, score: float | None, unbounded_steps: bool = False) -> Start:
    """The model before any training, as the first, very small LRs of a range test show it.

    Raises:
        NoAnswerError: if too few of their losses are finite.
    """
    require_level(curve)
    first = start_losses(curve)
    return _start(first, curve.losses[: max(2 * THRESHOLDS.start_losses, len(first))], score, unbounded_steps)


def start_of_losses(
    losses: Floats, probed: Floats, score: float | None, unbounded_steps: bool = False, late: bool = False
) -> Start:
    """The same, as updates at a very small LR show it; the first losses of a probe show the noise as well.

    Args:
        losses: Losses at the small LR.
        probed: Losses of the probe.
        score: The evaluation of the model.
        unbounded_steps: See `learnrate.OptimizerTraits`.
        late: See `Start`.

    Raises:
        NoAnswerError: if too few losses are finite.
    """
    require_finite_start(losses)
    return replace(_start(losses, probed[: THRESHOLDS.noise_losses], score, unbounded_steps), late=late)


def _start(first: Floats, more: Floats, score: float | None, unbounded_steps: bool) -> Start:
    """From the losses that show the level, and more of them that show the noise, because differences cancel a trend."""
    first = first[np.isfinite(first)]
    noise = difference_noise(more[np.isfinite(more)])
    # The standard error of a median is that of the mean, times the root of pi / 2.
    error = math.sqrt(math.pi / 2 / len(first)) * noise
    return Start(float(np.median(first)), noise, score, error, unbounded_steps)


def _range(witness: Witness) -> str:
    low, high = f"{2.0**witness.low:.2g}", f"{2.0**witness.high:.2g}"
    return low if low == high else f"{low} to {high}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
