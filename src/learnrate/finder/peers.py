"""The rules of well-known finders, as they define them, to compare with.

Each averages the losses, drops some at both ends and picks one LR of the rest. All of that is the peer's, flaws included,
for a mended rule would not tell what the peer suggests. The rest of `Bounds` is a reading: max_lr is the suggestion, since
its users train up to it, and base_lr the conventional part of it.

A curve does not tell for how many updates a sweep was planned. Where fastai counts in planned updates, those made count
here; the two differ where a sweep ended early.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from learnrate.finder.bootstrap import DRAWS, interval, redrawn
from learnrate.finder.bounds import Bounds, Intervals, NoAnswer, Reasons, two_digits
from learnrate.finder.smoothing import Floats
from learnrate.finder.usable import unusable

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

Ints = NDArray[np.intp]
Pick = Callable[[Floats, Floats], Ints]
"""From LRs (n) and averaged losses (draws, n) to a position for each draw, -1 where there is none."""

SLIDE_WIDTH = 15
SLIDE_THRESHOLD = 0.005


@dataclass(frozen=True)
class Peer:
    """What a finder does with the losses before its rule sees them, and how its suggestion is used.

    Attributes:
        name: As its users call it.
        averaged: Its average over the updates so far, on the last axis.
        skipped: From the number of updates to how many it drops at the start and at the end.
        lost: What becomes of averages that are not finite: all is "cut" from the first on, they alone are "dropped", or they
            spoil the rule ("spoilt").
        base_part: max_lr / base_lr.
        why_base: Where that comes from.
    """

    name: str
    averaged: Callable[[Floats], Floats]
    skipped: Callable[[int], tuple[int, int]]
    lost: Literal["cut", "dropped", "spoilt"]
    base_part: float
    why_base: str


def _exponential(losses: Floats, beta: float, first: Floats | float) -> Floats:
    """The averages a = beta a + (1 - beta) loss on the last axis, from a = first before the first update."""
    averages = np.empty_like(losses)
    now = np.broadcast_to(first, losses.shape[:-1])
    # A loss that is not finite spoils all averages after it, as in every peer: that is no fault to warn of.
    with np.errstate(invalid="ignore", over="ignore"):
        for update in range(losses.shape[-1]):
            now = beta * now + (1 - beta) * losses[..., update]
            averages[..., update] = now
    return averages


def _corrected(losses: Floats, ahead: int) -> Floats:
    """The averages of beta 0.98 from 0, over what their weights sum to after `ahead` updates more."""
    updates = np.arange(losses.shape[-1]) + 1.0 + ahead
    averages: Floats = _exponential(losses, 0.98, 0.0) / (1 - 0.98**updates)
    return averages


FASTAI = Peer(
    name="fastai",
    averaged=lambda losses: _corrected(losses, ahead=0),
    skipped=lambda updates: (updates // 10, 5),
    lost="cut",
    base_part=25.0,
    why_base="a 25th of max_lr, where fastai's fit_one_cycle starts (its div)",
)

SMITH = "a quarter of max_lr (Smith, arXiv 1506.01186, section 3.3: a third or a quarter)"

TORCH_LR_FINDER = Peer(
    name="torch_lr_finder",
    averaged=lambda losses: _exponential(losses, 0.95, losses[..., 0]),
    skipped=lambda updates: (10, 5),
    lost="spoilt",
    base_part=4.0,
    why_base=SMITH,
)

LIGHTNING = Peer(
    name="Lightning",
    averaged=lambda losses: _corrected(losses, ahead=1),
    skipped=lambda updates: (10, 1),
    lost="dropped",
    base_part=4.0,
    why_base=SMITH,
)


def valley(curve: "Curve") -> Bounds | NoAnswer:
    """The middle of the longest series of ever lower losses: fastai's default.

    Source: fastai 2.8, `callback/schedule.py`, `valley`, on what `Learner.lr_find` hands it: the averages of the recorder
    (`AvgSmoothLoss`: beta 0.98, divided by 1 - beta ** k at the k-th update) without the first tenth and the last five, cut
    at the first that is not finite (fastai: at the first NaN, which the average becomes one update after an infinite loss).

    With L the length of the longest decreasing subsequence and e the first position at which one of that length ends, the
    pick is the LR at s + floor(L / 3) + floor(L / 6), s = e - L. The members of a subsequence need not be neighbours, so
    in a noisy curve s lies after the place where the series begins, and the pick further right.

    No answer where the averages fall nowhere (fastai suggests the first LR left), or where no series is longer than the
    first two, which makes the position -1 (fastai suggests the last LR).

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "valley",
        _valley,
        needed=2,
        why="half-way down the longest series of ever lower averaged losses, counted back from its end",
        astray="no series of ever lower averaged losses is longer than the first two, and the rule points before them",
    )


def slide(curve: "Curve") -> Bounds | NoAnswer:
    """The first LR, coming from the highest, at which the slope of the loss stays the same over 15 updates.

    Source: fastai 2.8, `callback/schedule.py`, `slide` with its defaults (lr_diff 15, thresh 0.005, adjust_value 1), on the
    losses that `valley` sees.

    With g the gradient of the averages over the update (`np.gradient`), a pair of positions (r, r - 15) slides down from
    the last update while |g(r) - g(r - 15)| > 0.005; the pick is the LR at the left of the last such pair, or of the very
    first where there is none. The threshold is in units of the loss for each update, so the pick changes with the unit.

    No answer where fewer than 16 averages are left (fastai raises), they fall nowhere, or the pair slides off the lowest LR.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "slide",
        _slide,
        needed=SLIDE_WIDTH + 1,
        why="coming from the highest LR, the slopes of the averaged loss 15 updates apart differ by 0.005 at most, there or "
        "just below",
        astray="the slopes of the averaged loss 15 updates apart differ by more than 0.005 down to the lowest LR",
    )


def minimum(curve: "Curve") -> Bounds | NoAnswer:
    """A tenth of the LR at which the loss is lowest.

    Source: fastai 2.8, `callback/schedule.py`, `minimum`: LR[argmin averages] / 10, on the losses that `valley` sees.

    No answer where the averages fall nowhere, or are lowest at the lowest LR left.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "minimum",
        _minimum,
        needed=2,
        part=0.1,
        why="a tenth of the LR at which the averaged loss is lowest",
        astray="the averaged loss is lowest at the lowest LR",
    )


def steep(curve: "Curve") -> Bounds | NoAnswer:
    """The LR at which the loss falls fastest over the logarithm of the LR.

    Source: fastai 2.8, `callback/schedule.py`, `steep`, on the losses that `valley` sees: the first of the two neighbours
    with the least (a[i + 1] - a[i]) / (log LR[i + 1] - log LR[i]).

    No answer where the averages fall nowhere.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "steep",
        lambda lrs, losses: _falling(np.diff(losses) / np.diff(np.log(lrs))),
        needed=2,
        why="from there to the next update the averaged loss falls fastest over log LR",
    )


def torch_lr_finder(curve: "Curve") -> Bounds | NoAnswer:
    """The LR at which the loss falls fastest from update to update.

    Source: pytorch-lr-finder 0.2.2, `torch_lr_finder/lr_finder.py`, `LRFinder.range_test` (smooth_f 0.05:
    a = 0.05 loss + 0.95 a, from the first loss on, so that nothing is to be corrected) and `LRFinder.plot` (skip_start 10,
    skip_end 5): the LR at the argmin of `np.gradient(averages)`, whose axis is the update and not the LR.

    No answer where fewer than 17 updates were made (the peer raises), the averages fall nowhere, or one of those left is not
    finite: NumPy's argmin takes a NaN for the least, so the peer suggests the LR at which the loss was lost.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        TORCH_LR_FINDER,
        "torch_lr_finder",
        lambda lrs, losses: _falling(np.gradient(losses, axis=-1)),
        needed=2,
        why="there the averaged loss falls fastest from update to update",
    )


def lightning(curve: "Curve") -> Bounds | NoAnswer:
    """The LR at which the loss falls fastest over the LR itself, not its logarithm.

    Source: Lightning 2.6, `pytorch/tuner/lr_finder.py`, `_LRCallback.on_train_batch_end` (beta 0.98) and
    `_LRFinder.suggestion` (skip_begin 10, skip_end 1, what is not finite left out): the LR at the argmin of the gradient
    over the LR, by second-order differences on uneven steps (`torch.gradient` as `np.gradient`).

    Two traits to know. In an exponential sweep a step of the LR is as small as the LR, so the same fall weighs 1e6 times as
    much at 1e-6 as at 1: the noise of the lowest LRs left often wins. And the averages of the k-th update are divided by
    1 - beta ** (k + 1), for the step is counted before it is read: they begin at about half the loss and rise to it, which
    hides an early fall.

    No answer where fewer than two finite averages are left (Lightning returns None), or they fall nowhere.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        LIGHTNING,
        "lightning",
        lambda lrs, losses: _falling(np.gradient(losses, lrs, axis=-1)),
        needed=2,
        why="there the averaged loss falls fastest over the LR itself",
    )


def _falling(slopes: Floats) -> Ints:
    """Where the slope is least, if it is below 0."""
    return np.where(slopes.min(axis=-1) < 0, slopes.argmin(axis=-1), -1)


def _minimum(lrs: Floats, losses: Floats) -> Ints:
    lowest = losses.argmin(axis=-1)
    return np.where(lowest > 0, lowest, -1)


def _valley(lrs: Floats, losses: Floats) -> Ints:
    series = [_longest_fall(row) for row in losses.tolist()]
    return np.array([max(end - length + length // 3 + length // 6, -1) if length > 1 else -1 for length, end in series])


def _longest_fall(losses: list[float]) -> tuple[int, int]:
    """Length of the longest decreasing subsequence, and the first position at which one of that length ends.

    fastai compares all pairs. This is the patience sorting of Fredman (1975), in n log n steps, for the 200 redraws of a
    long sweep.
    """
    ends: list[float] = []  # the i-th is the best last loss, negated, of a subsequence of length i + 1
    end = 0
    for at, loss in enumerate(losses):
        place = bisect_left(ends, -loss)
        if place == len(ends):
            end = at
        ends[place : place + 1] = [-loss]
    return len(ends), end


def _slide(lrs: Floats, losses: Floats) -> Ints:
    slopes = np.gradient(losses, axis=-1)
    ended = np.abs(slopes[:, SLIDE_WIDTH:] - slopes[:, :-SLIDE_WIDTH]) <= SLIDE_THRESHOLD
    pairs = ended.shape[-1]
    slid = ended[:, ::-1].argmax(axis=-1)
    return np.where(ended.any(axis=-1), pairs - np.maximum(slid, 1), -1)


def _suggestion(
    curve: "Curve",
    peer: Peer,
    rule: str,
    pick: Pick,
    *,
    needed: int,
    why: str,
    astray: str = "the averaged loss falls nowhere",
    part: float = 1.0,
) -> Bounds | NoAnswer:
    """The bounds around what a peer picks.

    Args:
        curve: The record of a range test.
        peer: Whose rule it is.
        rule: Its name.
        pick: The rule itself.
        needed: Fewest averages that it can read.
        why: Why that LR, after "lr is ...: ".
        astray: What the curve shows where the rule picks none though the loss falls.
        part: lr over the LR picked.
    """
    none = unusable(curve, rule)
    if none is not None:
        return none
    averaged = peer.averaged(curve.losses)
    kept = _kept(averaged, peer)
    start, end = peer.skipped(len(curve))
    if kept is None:
        return NoAnswer(
            f"a loss among the first {len(curve) - end} is not finite, and so is the average of {peer.name} from there on.",
            "End the sweep there, or start from a lower LR.",
            rule,
        )
    if len(kept) < needed:
        return NoAnswer(
            f"{len(kept)} of {len(curve)} averaged losses are left where {peer.name} drops the first {start}, the last "
            f"{end} and those not finite, and {rule} needs {needed}.",
            "Give more updates, or end the sweep at a lower LR.",
            rule,
        )
    lrs = curve.lrs[kept]
    if rule in ("steep", "lightning") and not np.all(np.diff(lrs) > 0):
        return NoAnswer(
            "LRs stay the same from update to update, and the rule divides by their steps.", "Let them rise.", rule
        )
    remedy = "Start from a lower LR, or give more updates."
    if np.all(np.diff(averaged[kept]) >= 0):
        return NoAnswer("the averaged loss falls nowhere.", remedy, rule)
    at = int(pick(lrs, averaged[None, kept])[0])
    if at < 0:
        return NoAnswer(f"{astray}.", remedy, rule)
    lr = two_digits(lrs[at] * part)
    picks = pick(lrs, peer.averaged(_redraws(curve))[:, kept])
    return _around(lr, lrs[picks[picks >= 0]] * part, peer, why, rule)


def _kept(averaged: Floats, peer: Peer) -> Ints | None:
    """Positions of the averages that the peer's rule sees; None where it would read one that is not finite."""
    start, end = peer.skipped(len(averaged))
    kept = np.arange(len(averaged))[start:-end]
    known = np.isfinite(averaged[kept])
    if known.all():
        return kept
    if peer.lost == "spoilt":
        return None
    return kept[known] if peer.lost == "dropped" else kept[: known.argmin()]


def _redraws(curve: "Curve") -> Floats:
    """The losses with their noise drawn anew; those not finite stay, for they decide what the peer keeps."""
    draws = np.tile(curve.losses, (DRAWS, 1))
    finite = np.isfinite(curve.losses)
    draws[:, finite] = redrawn(curve.finite())
    return draws


def _around(lr: float, picks: Floats, peer: Peer, why: str, rule: str) -> Bounds:
    base = two_digits(lr / peer.base_part)
    low, high = interval(picks, lr)
    reasons = Reasons(
        base_lr=f"base_lr is {base:.2g}: {peer.why_base}.",
        max_lr=f"max_lr is {lr:.2g}: what {peer.name} suggests is taken for the peak.",
        lr=f"lr is {lr:.2g}: {why}.",
        interval=f"The interval of lr is {low:.2g} to {high:.2g}: there it lies in 90 % of redraws of the batch noise."
        if picks.size
        else f"The interval of lr is {lr:.2g} alone: no redraw of the batch noise gave another answer.",
    )
    of_base = (two_digits(low / peer.base_part), two_digits(high / peer.base_part))
    return Bounds(base, lr, lr, Intervals(of_base, (low, high), (low, high)), reasons, rule)
