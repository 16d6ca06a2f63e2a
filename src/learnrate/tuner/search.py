"""Which trial is worth its price: a pure function of the trials so far.

The search starts at the LR that a probe or a range test gave. It goes on in the direction in which LRs get better, a factor
of two at a time, until the next trial is expected to cost more than it saves. LRs are log2 inside of this file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from learnrate.tuner.estimate import best_log2_lr, lowest_off_plateau, regrets, rounded_lr
from learnrate.tuner.evidence import informative, safe, spike_limit, stability_edge
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Rung, Start, Trial, rungs


@dataclass(frozen=True)
class Limits:
    """The bounds of a search.

    Attributes:
        first: LR of the first trial, as log2.
        lowest: The lowest LR to try, as log2.
        highest: The highest LR to try, as log2.
        updates: Length of a trial.
        longest: Length of the longest trial.
        horizon: Length of the whole run in updates.
        stride: Distance between two LRs, in doublings, until the best one has a worse one on either side.
        upwards: Whether the second trial has a higher LR than the first.
        probe_fall: Share of the loss that fell in the probe; 0 if there was none.
        is_certain: Whether the best LR is near the first one: otherwise the search goes on below LRs that are as good as the
            best one.
        batched: Whether several trials are trained as one batch, so that three cost hardly more time than one.
    """

    first: float
    lowest: float
    highest: float
    updates: int
    longest: int
    horizon: int
    stride: float = 1.0
    upwards: bool = True
    is_certain: bool = True
    probe_fall: float = 0.0
    batched: bool = False


@dataclass(frozen=True)
class Proposal:
    """The next trials.

    Attributes:
        max_lrs: Their LRs, at least one.
        updates: Length of each.
        purpose: What they are for: a part of a sentence.
    """

    max_lrs: tuple[float, ...]
    updates: int
    purpose: str


@dataclass(frozen=True)
class Stop:
    """The end of a search.

    Attributes:
        reason: Why no other trial is worth its price: a part of a sentence.
    """

    reason: str


@dataclass(frozen=True)
class Offer:
    """A trial that might be made.

    Attributes:
        log2_lr: Its LR.
        saving: The expected fall of the regret, as a share of what the best trial learned.
        purpose: See `Proposal`.
    """

    log2_lr: float
    saving: float
    purpose: str


def next_trials(trials: Sequence[Trial], remaining: int, *, start: Start, limits: Limits) -> Proposal | Stop:
    """The next trials, or why there are none.

    Args:
        trials: The trials so far, in their order.
        remaining: Updates that the budget has left.
        start: The model before any training.
        limits: The bounds of the search.
    """
    if not trials:
        return _first(limits)
    updates = max(trial.updates for trial in trials)
    rung = next(rung for rung in safe(rungs(trials), start) if rung.updates == updates)
    if not rung.sound:
        return _below_all(rung, limits)
    longer = _longer(rung, start, limits, remaining)
    if longer is not None:
        return longer
    edge = min(stability_edge(rungs(trials), start), spike_limit(rungs(trials), start))
    tried = {trial.max_lr for trial in rung.trials}
    offers = _offers(rung, edge, start, limits, remaining)
    offers = [offer for offer in offers if _allowed(offer.log2_lr, limits) not in tried]
    if not offers:
        return Stop(_nothing_left(rung, edge, start, limits))
    best = max(offers, key=lambda offer: offer.saving)
    lr, share = _allowed(best.log2_lr, limits), updates / limits.horizon
    price = THRESHOLDS.price * share
    if best.saving <= price:
        return Stop(
            f"another trial, at LR {lr:.2g}, is expected to save {100 * best.saving:.1f} % of what the best trial learned; "
            f"it costs {100 * share:.2g} % of a training run, which is worth {100 * price:.1f} %"
        )
    return Proposal((lr,), updates, best.purpose)


def _allowed(log2_lr: float, limits: Limits) -> float:
    """An LR with two digits, within the limits."""
    return float(min(max(rounded_lr(log2_lr), 2.0**limits.lowest), 2.0**limits.highest))


def _first(limits: Limits) -> Proposal:
    distances = (0.0, limits.stride, -limits.stride) if limits.batched else (0.0,)
    lrs = dict.fromkeys(_allowed(limits.first + distance, limits) for distance in distances)
    return Proposal(tuple(lrs), limits.updates, "the first LR")


def _below_all(rung: Rung, limits: Limits) -> Proposal | Stop:
    """Further and further below, while every trial diverges: such trials end early and cost little."""
    lr = _allowed(rung.log2_lrs[0] - THRESHOLDS.diverged_stride * len(rung.trials), limits)
    if lr in {trial.max_lr for trial in rung.trials} or len(rung.trials) >= THRESHOLDS.most_diverged:
        return Stop("every trial diverged")
    return Proposal((lr,), rung.updates, "every higher LR diverged")


def _nothing_left(rung: Rung, edge: float, start: Start, limits: Limits) -> str:
    """Why there is no LR around the best one that was not tried."""
    best, tried = best_log2_lr(rung, start), rung.log2_lrs
    if best == tried[0] < tried[-1]:
        return f"no LR below {2.0**best:.2g}, the best one, may be tried (`low`)"
    if best == tried[-1] and edge > limits.highest:
        return f"no LR above {2.0**best:.2g}, the best one, may be tried (`high`)"
    return "the best LR has a worse one on either side" if best < tried[-1] else "higher LRs are unsafe"


def _longer(rung: Rung, start: Start, limits: Limits, remaining: int) -> Proposal | None:
    """Longer trials where those of this length do not show which LR is good in a long run; None if they do."""
    updates = min(limits.longest, remaining // THRESHOLDS.longer_trials)
    # Where nobody knows the scale of the LR, a trial that hardly learned may be far too high or too low.
    enough = 1 if limits.is_certain else THRESHOLDS.uncertain_trials
    if updates < THRESHOLDS.longer_ratio * rung.updates or len(rung.sound) < enough:
        return None
    purpose = why_longer(rung, start)
    if purpose is None:
        return None
    return Proposal((_allowed(best_log2_lr(rung, start), limits),), updates, purpose)


def why_longer(rung: Rung, start: Start) -> str | None:
    """Why these trials do not show which LR is good in a long run; None if they do.

    If the best trial has hardly begun to learn, what is fastest then says little about the rest of the training. If all
    trials learned the same, and little, the loss may have fallen from its start to a plateau.
    """
    fall, scale = rung.best_fall(start), abs(start.loss)
    if fall < THRESHOLDS.slow_fall * scale:
        return "the loss fell by less than a tenth in shorter trials"
    same = len(rung.sound) > 1 and max(regrets(rung, start).values()) <= THRESHOLDS.tolerance
    if same and fall < THRESHOLDS.same_fall * scale:
        return "shorter trials all learned the same, and little"
    if not informative(rung, start):
        return "the noise hides whether shorter trials learned"
    return "lower LRs did not leave a plateau in shorter trials" if lowest_off_plateau(rung, start) is not None else None


def _offers(rung: Rung, edge: float, start: Start, limits: Limits, remaining: int) -> list[Offer]:
    """The trials around the best LR that were not made: above, below, and between it and a neighbour that is far away."""
    by_lr, tried = regrets(rung, start), rung.log2_lrs
    best = best_log2_lr(rung, start)
    place = tried.index(best)
    below = tried[place - 1] if place > 0 else None
    above = tried[place + 1] if place + 1 < len(tried) else None
    # Trials that are as good as the best one, or show nothing, say where to go on only if the best LR must be near.
    is_open = not limits.is_certain or not informative(rung, start)

    def slope(neighbour: float | None) -> float | None:
        """Regret of a neighbour, for each doubling between; None if it says nothing about the other side."""
        if neighbour is None or (is_open and by_lr[neighbour] <= THRESHOLDS.tolerance):
            return None
        return by_lr[neighbour] / abs(neighbour - best)

    if is_open and rung.best_fall(start) < THRESHOLDS.slow_fall * abs(start.loss):
        return _to_both_sides(rung, edge, start, limits, remaining)
    offers = []
    highest = min(limits.highest, edge - THRESHOLDS.edge_gap)
    if above is None and best + THRESHOLDS.edge_gap < highest:
        lr = min(best + _stride(best, limits), (best + edge) / 2, limits.highest)
        offers.append(_beyond(lr, best, slope(below), limits.upwards, "a higher LR may be better"))
    if below is None and best - THRESHOLDS.edge_gap > limits.lowest:
        stride = _stride(best, limits)
        # As far again as the trials reach, where they began at an LR that may be a thousand times too high.
        reach = stride if limits.is_certain else max(stride, max(trial.log2_lr for trial in rung.sound) - best)
        lr = max(best - reach, limits.lowest)
        offers.append(_beyond(lr, best, slope(above), not limits.upwards, "a lower LR may be better"))
    for neighbour in (below, above):
        if neighbour is not None and abs(neighbour - best) > THRESHOLDS.widest_gap:
            saving = THRESHOLDS.share_between * min(by_lr[neighbour], THRESHOLDS.most_between)
            offers.append(Offer((best + neighbour) / 2, saving, "the best LR may lie between two that were tried"))
    return offers


def _to_both_sides(rung: Rung, edge: float, start: Start, limits: Limits, remaining: int) -> list[Offer]:
    """Where no trial has begun to learn, the best one shows nothing: by turns a higher and a lower LR than all so far.

    The lower one first if a probe has learned far more near the first LR: then that is too high.
    """
    tried, best = rung.log2_lrs, best_log2_lr(rung, start)
    if remaining < 2 * rung.updates and len(rung.sound) > 1 and best - tried[0] < THRESHOLDS.compared_stride:
        lr = max(best - THRESHOLDS.compared_stride, limits.lowest)
        if not informative(rung, start):
            return [Offer(lr, 1.0, "a trial that learns nothing, to show whether the others learned")]
    higher, lower = sum(lr > limits.first for lr in tried), sum(lr < limits.first for lr in tried)
    is_too_high = limits.probe_fall * abs(start.loss) > THRESHOLDS.contradiction * max(rung.best_fall(start), 0.0)
    is_higher_next = higher < lower if is_too_high else higher <= lower
    offers = []
    if tried[-1] + THRESHOLDS.edge_gap < min(limits.highest, edge - THRESHOLDS.edge_gap):
        lr = min(tried[-1] + THRESHOLDS.wide_stride, (tried[-1] + edge) / 2, limits.highest)
        offers.append(_beyond(lr, best, None, is_higher_next, "no trial has begun to learn: a higher LR"))
    if tried[0] - THRESHOLDS.edge_gap > limits.lowest:
        lr = max(tried[0] - THRESHOLDS.wide_stride, limits.lowest)
        offers.append(_beyond(lr, best, None, not is_higher_next, "no trial has begun to learn: a lower LR"))
    return offers


def _stride(best: float, limits: Limits) -> float:
    """Doublings to the next LR: more if the best one is far from the first, because that was far off."""
    is_far = abs(best - limits.first) > THRESHOLDS.near_first
    return max(limits.stride, THRESHOLDS.wide_stride) if is_far else limits.stride


def _beyond(lr: float, best: float, slope: float | None, preferred: bool, purpose: str) -> Offer:
    """A trial beyond the best LR, which is the highest or the lowest so far."""
    if slope is None:
        return Offer(lr, THRESHOLDS.unknown_saving * (1.0 if preferred else 0.9), purpose)
    gain = THRESHOLDS.share_of_last * slope * abs(lr - best)
    return Offer(lr, max(THRESHOLDS.least_saving, gain), purpose)
