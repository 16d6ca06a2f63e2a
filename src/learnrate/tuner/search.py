"""Which LRs are tried next, and in trials of which length: a pure function of the trials so far.

The coarse search tries a few LRs far apart in short trials; the refinement tries LRs around the estimate in longer ones.
LRs are log2 inside of this file.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.finder.nonfinite import unchanged
from learnrate.trainable import LR_DRIFT
from learnrate.tuner.estimate import best_log2_lr, estimate, regrets, rounded_lr
from learnrate.tuner.evidence import (
    beyond_plateau,
    distinguishable,
    learned,
    off_plateau,
    safe,
    stability_edge,
    stopped_learning,
)
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Rung, Stage, Start, Trial, rungs


@dataclass(frozen=True)
class Limits:
    """The bounds of a search.

    Attributes:
        first: LR of the first trial, as log2.
        lowest: The lowest LR of the range test, as log2: where all trials diverge, the search goes no lower.
        highest: The highest LR to expect, as log2: the search goes one doubling further at most.
        coarse_updates: Length of a coarse trial.
        refinement_updates: Length of a refinement trial; 0 before the coarse search has ended.
        horizon: Length of the whole run in updates.
        lr_drift: See `learnrate.OptimizerTraits`.
        batched: Whether several trials are trained as one batch, so that four cost hardly more than two.
        falls_from: The lower bound of the range test, as log2, where its loss begins to fall; infinite if it gave none.
    """

    first: float
    lowest: float
    highest: float
    coarse_updates: int
    horizon: int
    refinement_updates: int = 0
    lr_drift: float = LR_DRIFT
    batched: bool = False
    falls_from: float = math.inf


@dataclass(frozen=True)
class Proposal:
    """The next trials.

    Attributes:
        max_lrs: Their LRs, at least one.
        updates: Length of each.
        stage: "coarse" or "refinement".
    """

    max_lrs: tuple[float, ...]
    updates: int
    stage: Stage


def next_coarse(trials: Sequence[Trial], start: Start, limits: Limits) -> Proposal | None:
    """The next trials of the coarse search; None when the best LR has a worse one on either side.

    Args:
        trials: The coarse trials so far, in their order.
        start: The model before any training.
        limits: The bounds of the search.
    """
    updates, stride = limits.coarse_updates, THRESHOLDS.coarse_stride

    def prefix(count: int) -> Rung:
        return _safe_rung(trials[:count], updates, start)

    # Downwards in pairs, until a trial does not diverge. The LRs follow from the number of pairs, not from the LRs of the
    # trials, which are rounded.
    count, first = 2, limits.first
    while len(trials) >= count and not prefix(count).sound and first > limits.lowest:
        count, first = count + 2, first - 2 * stride
    if len(trials) < count:
        return _proposal([first, first - stride], trials, updates, "coarse")
    # Upwards from the first pair, while the trials are on a plateau that the LR of a trial changes.
    above = first + stride
    while (
        not off_plateau(prefix(count), start)
        and above <= limits.highest + 1
        and stability_edge(rungs(trials[:count]), start) > above
    ):
        if len(trials) == count:
            return _proposal([above], trials, updates, "coarse")
        count, above = count + 1, above + stride
        if not distinguishable(prefix(count), start):
            break
    rung = _safe_rung(trials, updates, start)
    if not rung.trials or len(trials) >= THRESHOLDS.most_coarse:
        return None
    # Then downwards, while the lowest LR learns as much as the best one: where steps are bounded, short trials at LRs that
    # are far too high may all learn the same.
    lowest = rung.log2_lrs[0]
    as_good = learned(rung, start) and regrets(rung, start)[lowest] <= THRESHOLDS.tolerance
    if as_good or (not beyond_plateau(rung, start) and lowest > limits.falls_from):
        return _proposal([lowest - stride], trials, updates, "coarse")
    # Then beyond the best LR.
    if not off_plateau(rung, start):
        return None
    beyond = _beyond_best(rung, stability_edge(rungs(trials), start), start, stride)
    return None if beyond is None or beyond > limits.highest + 1 else _proposal([beyond], trials, updates, "coarse")


def next_refinement(trials: Sequence[Trial], start: Start, limits: Limits) -> Proposal | None:
    """The next trials of the refinement, about a factor of two apart around the estimate of the coarse trials.

    If no coarse trial left the plateau at the start, or all learned the same, the trials are a factor of four apart and
    begin with the highest LR that did not stop learning: it leaves a plateau first.

    Args:
        trials: The coarse trials and the trials of this refinement so far, in their order.
        start: The model before any training.
        limits: The bounds of the search.
    """
    updates = limits.refinement_updates
    coarse = [trial for trial in trials if trial.stage == "coarse"]
    left_plateau = any(off_plateau(rung, start) for rung in safe(rungs(coarse), start))
    if len(coarse) == len(trials):
        proposal = _proposal(_around_estimate(coarse, start, limits, left_plateau), trials, updates, "refinement")
        if proposal is not None:
            return proposal
    rung = _safe_rung(trials, updates, start)
    # Trials that diverge early leave a part of the budget to others.
    if not 0 < len(rung.trials) < 2 * THRESHOLDS.refinement_trials:
        return None
    if not off_plateau(rung, start) and (left_plateau or not distinguishable(rung, start)):
        # What was fast at first is not any more, or all are still equal: the lower LRs were not tried at this length.
        following: float | None = rung.log2_lrs[0] - THRESHOLDS.coarse_stride
    else:
        stride = 1 if left_plateau else THRESHOLDS.coarse_stride
        following = _beyond_best(rung, stability_edge(rungs(trials), start), start, stride)
    if following is None:
        following = _beside_best(rung, start)
    return _proposal([following], trials, updates, "refinement")


def _around_estimate(coarse: Sequence[Trial], start: Start, limits: Limits, left_plateau: bool) -> list[float]:
    if not left_plateau:
        top = _highest_learning(coarse, start)
        return [top, top - THRESHOLDS.coarse_stride]
    middle = estimate(rungs(coarse), start, limits.horizon, limits.lr_drift).log2_lr
    # One by one, each trial is placed by the results of those before it; as one batch, four trials cost no more than two.
    # Where an LR at an end of the coarse trials may be the best, two trials are left to go on in its direction.
    together = limits.batched and _is_bracketed(_safe_rung(coarse, limits.coarse_updates, start), start)
    return [middle + distance for distance in ((-0.5, 0.5, -1.5, 1.5) if together else (-0.5, 0.5))]


def _is_bracketed(rung: Rung, start: Start) -> bool:
    """Whether the lowest and the highest LR of a rung are worse than the best one."""
    by_lr, tried = regrets(rung, start), rung.log2_lrs
    return len(tried) > 2 and min(by_lr[tried[0]], by_lr[tried[-1]]) > THRESHOLDS.tolerance


def _proposal(log2_lrs: Iterable[float], trials: Sequence[Trial], updates: int, stage: Stage) -> Proposal | None:
    """A proposal of the LRs that were not tried at this length; None if there are none."""
    tried = {trial.max_lr for trial in trials if trial.updates == updates}
    lrs = [rounded_lr(log2_lr) for log2_lr in log2_lrs if abs(log2_lr) <= THRESHOLDS.largest_log2]
    new = tuple(lr for lr in dict.fromkeys(lrs) if lr not in tried)
    return Proposal(new, updates, stage) if new else None


def _safe_rung(trials: Sequence[Trial], updates: int, start: Start) -> Rung:
    """The trials of this length, those from the stability edge of all trials on counted as diverged."""
    return next((rung for rung in safe(rungs(trials), start) if rung.updates == updates), Rung(updates, ()))


def _beyond_best(rung: Rung, edge: float, start: Start, stride: float) -> float | None:
    """The next LR outside of the rung, if its best LR is the lowest or the highest."""
    tried = rung.log2_lrs
    best = best_log2_lr(rung, start)
    if best <= tried[0]:
        # As far again as the trials reach: the best LR may be a factor of a thousand lower, and few trials are left. Not
        # with the last of them, because nothing would show what lies between.
        sound = [trial.log2_lr for trial in rung.sound]
        is_last = len(tried) >= THRESHOLDS.refinement_trials - 1
        return tried[0] - (stride if is_last else max(stride, max(sound, default=best) - best))
    if best < tried[-1] or edge <= tried[-1] + THRESHOLDS.edge_gap:
        return None
    return min(tried[-1] + stride, (tried[-1] + edge) / 2)


def _beside_best(rung: Rung, start: Start) -> float:
    """The middle between the best LR of a rung and the better one of its neighbours."""
    tried, by_lr = rung.log2_lrs, regrets(rung, start)
    place = tried.index(best_log2_lr(rung, start))
    neighbours = [tried[beside] for beside in (place - 1, place + 1) if 0 <= beside < len(tried)]
    return (tried[place] + min(neighbours, key=lambda log2_lr: by_lr[log2_lr])) / 2


def _highest_learning(trials: Sequence[Trial], start: Start) -> float:
    """The highest LR below all that diverged, and that did not stop learning; otherwise a factor of four below those."""
    too_high = {trial.max_lr for trial in trials if trial.diverged or stopped_learning(trial, start)}
    edge = min((trial.max_lr for trial in trials if trial.diverged), default=math.inf)
    lower = [trial.max_lr for trial in trials if trial.max_lr < edge and trial.max_lr not in too_high]
    return math.log2(max(lower)) if lower else math.log2(min(too_high)) - THRESHOLDS.coarse_stride


def coarse_length(budget: int, horizon: int) -> int:
    """Updates of a coarse trial, for a budget and a run of these lengths."""
    by_share = max(THRESHOLDS.coarse_updates, math.floor(THRESHOLDS.coarse_share * budget))
    affordable = min(by_share, budget // THRESHOLDS.coarse_trials, math.floor(THRESHOLDS.longest_trial * horizon))
    return min(max(THRESHOLDS.shortest_trial, affordable), horizon)


def refinement_length(remaining: int, horizon: int, families: int, coarse: int) -> int:
    """Updates of a refinement trial; 0 if the budget is too small for trials that show more than the coarse ones.

    Several families are refined even in trials shorter than the coarse ones, which only the first family had.

    Args:
        remaining: Updates of the budget that remain after the coarse search.
        horizon: Length of the whole run.
        families: Number of families.
        coarse: Length of a coarse trial.
    """
    affordable = remaining // (THRESHOLDS.refinement_trials * families)
    updates = min(affordable, math.floor(THRESHOLDS.longest_trial * horizon))
    if families > 1 and updates == coarse:
        updates -= 1  # a rung of its own: the coarse trials are those of one family
    shortest = THRESHOLDS.shortest_trial
    if families == 1:
        shortest = max(shortest, math.ceil(THRESHOLDS.refinement_ratio * coarse))
    return updates if updates >= shortest else 0


def search_range(curve: Curve, bounds: Bounds | NoAnswer, high: float) -> tuple[float, float, float]:
    """The first, the lowest and the highest LR of the search, as log2.

    If the curve has bounds, the first LR is that of its lowest smoothed loss, which lies between once and twelve times the
    best LR of a run; otherwise it is half of the last LR. A curve that ended early does not show which LRs are too high: it
    counts as if it had continued. So does one that a loss ended which is not finite where no LR had changed it.

    Args:
        curve: The range test.
        bounds: Its bounds.
        high: The last LR that was planned.
    """
    lowest, last = math.log2(float(curve.above_zero().lrs[0])), math.log2(float(curve.lrs[-1]))
    at_batch = curve.ended == "not finite" and unchanged(curve.losses)
    tried = curve.ended in ("swept", "diverged", "not finite") and not at_batch
    highest = last if tried else max(last, math.log2(high))
    if not bounds:
        # If the trials meet the same batch, those at low LRs show it soonest: none of them diverges before.
        return (last if at_batch else highest) - 1, lowest, highest
    return math.log2(float(curve.lrs[int(np.nanargmin(curve.smoothed()))])), lowest, highest
