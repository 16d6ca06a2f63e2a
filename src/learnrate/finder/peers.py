"""The rules of well-known finders, as those define them, for comparison.

Each averages the losses, drops some of them at both ends and picks one LR of the rest. All of this is as in the other
library, flaws included, because a corrected rule would not show what that library suggests. The other numbers of `Bounds`
are derived: max_lr is the suggestion, because users train up to it, and base_lr is the conventional fraction of it.

A curve does not know how many updates its sweep planned. fastai counts in planned updates, and the functions here in actual
ones: the two differ if a sweep ended early.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from learnrate.finder.bootstrap import SAMPLES, interval, resample
from learnrate.finder.bounds import Bounds, Intervals, NoAnswer, Reasons, require_curve, two_digits, unreadable
from learnrate.finder.smoothing import Floats

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

Ints = NDArray[np.intp]
Pick = Callable[[Floats, Floats], Ints]
"""From LRs (n) and averaged losses (samples, n) to one position for each sample, or -1 where the rule has none."""

SLIDE_WIDTH = 15
SLIDE_THRESHOLD = 0.005


@dataclass(frozen=True)
class Finder:
    """What another finder does with the losses before it applies a rule, and how its suggestion is used.

    Attributes:
        name: The name of the library.
        average: Averages over the updates so far, on the last axis.
        skipped: Numbers of updates dropped at the start and at the end, from the number of all updates.
        non_finite: What happens to averages that are not finite: the curve is "cut" at the first, they are "dropped", or
            the rule "fails".
        divisor: max_lr / base_lr.
        source: Where the divisor comes from.
    """

    name: str
    average: Callable[[Floats], Floats]
    skipped: Callable[[int], tuple[int, int]]
    non_finite: Literal["cut", "dropped", "fails"]
    divisor: int
    source: str


def _exponential(losses: Floats, beta: float, first: Floats | float) -> Floats:
    """The averages a = beta a + (1 - beta) loss on the last axis, with a = first before the first update."""
    averages = np.empty_like(losses)
    average = np.broadcast_to(first, losses.shape[:-1])
    # After a loss that is not finite, no average is finite, in the other libraries too. NumPy need not warn about it.
    with np.errstate(invalid="ignore", over="ignore"):
        for update in range(losses.shape[-1]):
            average = beta * average + (1 - beta) * losses[..., update]
            averages[..., update] = average
    return averages


def _corrected(losses: Floats, ahead: int) -> Floats:
    """The averages with beta 0.98 from 0, divided by the sum that their weights have `ahead` updates later."""
    updates = np.arange(losses.shape[-1]) + 1.0 + ahead
    averages: Floats = _exponential(losses, 0.98, 0.0) / (1 - 0.98**updates)
    return averages


FASTAI = Finder(
    name="fastai",
    average=lambda losses: _corrected(losses, ahead=0),
    skipped=lambda updates: (updates // 10, 5),
    non_finite="cut",
    divisor=25,
    source="the start of fastai's fit_one_cycle (its argument div)",
)

SMITH = "as in Smith, arXiv 1506.01186, section 3.3 (a third or a quarter)"

TORCH_LR_FINDER = Finder(
    name="torch_lr_finder",
    average=lambda losses: _exponential(losses, 0.95, losses[..., 0]),
    skipped=lambda updates: (10, 5),
    non_finite="fails",
    divisor=4,
    source=SMITH,
)

LIGHTNING = Finder(
    name="Lightning",
    average=lambda losses: _corrected(losses, ahead=1),
    skipped=lambda updates: (10, 1),
    non_finite="dropped",
    divisor=4,
    source=SMITH,
)


def valley(curve: "Curve") -> Bounds | NoAnswer:
    """The middle of the longest decreasing series of losses: fastai's default.

    Source: fastai 2.8, `callback/schedule.py`, `valley`, for the averages that `Learner.lr_find` passes to it: those of the
    recorder (`AvgSmoothLoss`: beta 0.98, divided by 1 - beta ** k at the k-th update) without the first tenth and the last
    five, cut at the first that is not finite (in fastai, at the first NaN, one update after an infinite loss).

    With L the length of the longest decreasing subsequence and e the first position at which one of that length ends, the
    rule picks the LR at s + floor(L / 3) + floor(L / 6), s = e - L. The members of a subsequence need not be neighbours, so
    in a noisy curve s lies after the start of the series, and the pick further right.

    There is no answer if no average is below the one before it (fastai suggests the first LR that is left), or if no series
    is longer than the first two, which makes the position -1 (fastai suggests the last LR).

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "valley",
        _valley,
        needed=2,
        why="the middle of the longest decreasing series of averaged losses, counted back from its end",
        no_position="no decreasing series of averaged losses is longer than the first two, so the position is before them",
    )


def slide(curve: "Curve") -> Bounds | NoAnswer:
    """The highest LR at which the slope of the loss is the same as 15 updates earlier.

    Source: fastai 2.8, `callback/schedule.py`, `slide` with its defaults (lr_diff 15, thresh 0.005, adjust_value 1), for the
    averages of `valley`.

    With g the gradient of the averages over the update (`np.gradient`), a pair of positions (r, r - 15) moves down from the
    last update while |g(r) - g(r - 15)| > 0.005. The rule picks the LR at the left of the last such pair, or of the first
    pair if there is no such pair. The threshold is in units of the loss per update, so the pick depends on the unit.

    There is no answer if fewer than 16 averages are left (fastai raises an error), if no average is below the one before
    it, or if the pair moves below the lowest LR.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "slide",
        _slide,
        needed=SLIDE_WIDTH + 1,
        why="the highest LR near which the slopes of the averaged loss 15 updates apart differ by at most 0.005",
        no_position="the slopes of the averaged loss 15 updates apart differ by more than 0.005 down to the lowest LR",
    )


def minimum(curve: "Curve") -> Bounds | NoAnswer:
    """A tenth of the LR at which the loss is lowest.

    Source: fastai 2.8, `callback/schedule.py`, `minimum`: LR[argmin averages] / 10, for the averages of `valley`.

    There is no answer if no average is below the one before it, or if they are lowest at the lowest LR that is left.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "minimum",
        _minimum,
        needed=2,
        factor=0.1,
        why="a tenth of the LR at which the averaged loss is lowest",
        no_position="the averaged loss is lowest at the lowest LR",
    )


def steep(curve: "Curve") -> Bounds | NoAnswer:
    """The LR at which the loss falls fastest over the logarithm of the LR.

    Source: fastai 2.8, `callback/schedule.py`, `steep`, for the averages of `valley`: the first of the two neighbours with
    the lowest (a[i + 1] - a[i]) / (log LR[i + 1] - log LR[i]).

    There is no answer if no average is below the one before it.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        FASTAI,
        "steep",
        lambda lrs, losses: _falling(np.diff(losses) / np.diff(np.log(lrs))),
        needed=2,
        why="the averaged loss falls fastest over log LR between this update and the next",
    )


def torch_lr_finder(curve: "Curve") -> Bounds | NoAnswer:
    """The LR at which the loss falls fastest from update to update.

    Source: pytorch-lr-finder 0.2.2, `torch_lr_finder/lr_finder.py`, `LRFinder.range_test` (smooth_f 0.05:
    a = 0.05 loss + 0.95 a, from the first loss on, so no correction is needed) and `LRFinder.plot` (skip_start 10,
    skip_end 5): the LR at the argmin of `np.gradient(averages)`, whose axis is the update and not the LR.

    There is no answer for fewer than 17 updates (the library raises an error), if no average is below the one before it, or
    if one of those left is not finite: NumPy's argmin returns the first NaN, so the library suggests the LR of that NaN.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        TORCH_LR_FINDER,
        "torch_lr_finder",
        lambda lrs, losses: _falling(np.gradient(losses, axis=-1)),
        needed=2,
        why="the averaged loss falls fastest from update to update here",
    )


def lightning(curve: "Curve") -> Bounds | NoAnswer:
    """The LR at which the loss falls fastest over the LR itself, not over its logarithm.

    Source: Lightning 2.6, `pytorch/tuner/lr_finder.py`, `_LRCallback.on_train_batch_end` (beta 0.98) and
    `_LRFinder.suggestion` (skip_begin 10, skip_end 1, without what is not finite): the LR at the argmin of the gradient
    over the LR, by second-order differences on uneven steps (`torch.gradient` as `np.gradient`).

    Two properties to know. In an exponential sweep, a step of the LR is proportional to the LR, so the same fall counts 1e6
    times as much at 1e-6 as at 1, and the noise at the lowest LRs often decides. And the average of the k-th update is
    divided by 1 - beta ** (k + 1), because the step is counted before it is read: the averages begin at about half the loss
    and rise to it, which hides an early fall.

    There is no answer if fewer than two finite averages are left (Lightning returns None), or if no average is below the
    one before it.

    Args:
        curve: The record of a range test.
    """
    return _suggestion(
        curve,
        LIGHTNING,
        "lightning",
        lambda lrs, losses: _falling(np.gradient(losses, lrs, axis=-1)),
        needed=2,
        why="the averaged loss falls fastest over the LR itself here",
    )


def _falling(slopes: Floats) -> Ints:
    """The position of the lowest slope, if it is below 0."""
    return np.where(slopes.min(axis=-1) < 0, slopes.argmin(axis=-1), -1)


def _minimum(lrs: Floats, losses: Floats) -> Ints:
    lowest = losses.argmin(axis=-1)
    return np.where(lowest > 0, lowest, -1)


def _valley(lrs: Floats, losses: Floats) -> Ints:
    series = [_longest_fall(row) for row in losses.tolist()]
    return np.array([max(end - length + length // 3 + length // 6, -1) if length > 1 else -1 for length, end in series])


def _longest_fall(losses: list[float]) -> tuple[int, int]:
    """Length of the longest decreasing subsequence, and the first position at which one of that length ends.

    fastai compares all pairs. Patience sorting (Fredman 1975) takes n log n steps, which the 200 samples of a long sweep
    need.
    """
    ends: list[float] = []  # the i-th is the highest last loss, negated, of a subsequence of length i + 1
    end = 0
    for position, loss in enumerate(losses):
        pile = bisect_left(ends, -loss)
        if pile == len(ends):
            end = position
        ends[pile : pile + 1] = [-loss]
    return len(ends), end


def _slide(lrs: Floats, losses: Floats) -> Ints:
    slopes = np.gradient(losses, axis=-1)
    equal = np.abs(slopes[:, SLIDE_WIDTH:] - slopes[:, :-SLIDE_WIDTH]) <= SLIDE_THRESHOLD
    pairs = equal.shape[-1]
    moves = equal[:, ::-1].argmax(axis=-1)
    return np.where(equal.any(axis=-1), pairs - np.maximum(moves, 1), -1)


def _suggestion(
    curve: "Curve",
    finder: Finder,
    rule: str,
    pick: Pick,
    *,
    needed: int,
    why: str,
    no_position: str = "the averaged loss does not fall",
    factor: float = 1.0,
) -> Bounds | NoAnswer:
    """The bounds from the LR that a rule of another finder picks.

    Args:
        curve: The record of a range test.
        finder: What it does with the losses before.
        rule: Name of the rule.
        pick: The rule itself.
        needed: Fewest averages that the rule can read.
        why: Why it picks that LR.
        no_position: What the curve shows if the rule picks none although the loss falls.
        factor: lr / the LR that the rule picks.
    """
    curve = require_curve(curve).above_zero()
    no_answer = unreadable(curve, rule)
    if no_answer is not None:
        return no_answer
    averages = finder.average(curve.losses)
    kept = _kept(averages, finder)
    start, end = finder.skipped(len(curve))
    if kept is None:
        return NoAnswer(
            f"one of the first {len(curve) - end} losses is not finite, so no later average of {finder.name} is.",
            "End the sweep before that loss, or start at a lower LR.",
            rule,
        )
    if len(kept) < needed:
        return NoAnswer(
            f"{len(kept)} of {len(curve)} averaged losses are left, because {finder.name} drops the first {start}, the last "
            f"{end} and those not finite, and {rule} needs {needed}.",
            "Use more updates, or end the sweep at a lower LR.",
            rule,
        )
    lrs = curve.lrs[kept]
    if rule in ("steep", "lightning") and not np.all(np.diff(lrs) > 0):
        return NoAnswer(
            "some consecutive updates have the same LR, and the rule divides by their difference.",
            "Use a schedule that rises at every update.",
            rule,
        )
    remedy = "Start at a lower LR, or use more updates."
    if np.all(np.diff(averages[kept]) >= 0):
        return NoAnswer("the averaged loss does not fall.", remedy, rule)
    position = int(pick(lrs, averages[None, kept])[0])
    if position < 0:
        return NoAnswer(f"{no_position}.", remedy, rule)
    lr = two_digits(lrs[position] * factor)
    positions = pick(lrs, finder.average(_samples(curve))[:, kept])
    return _around(lr, lrs[positions[positions >= 0]] * factor, finder, why, rule)


def _kept(averages: Floats, finder: Finder) -> Ints | None:
    """Positions of the averages that the rule reads; None if the rule would read one that is not finite."""
    start, end = finder.skipped(len(averages))
    kept = np.arange(len(averages))[start:-end]
    finite = np.isfinite(averages[kept])
    if finite.all():
        return kept
    if finder.non_finite == "fails":
        return None
    return kept[finite] if finder.non_finite == "dropped" else kept[: finite.argmin()]


def _samples(curve: "Curve") -> Floats:
    """Bootstrap samples of the losses. Those not finite stay, because they decide which averages are kept."""
    samples = np.tile(curve.losses, (SAMPLES, 1))
    finite = np.isfinite(curve.losses)
    samples[:, finite] = resample(curve.finite())
    return samples


def _around(lr: float, sampled: Floats, finder: Finder, why: str, rule: str) -> Bounds:
    base = two_digits(lr / finder.divisor)
    low, high = interval(sampled, lr)
    noise = f"over {SAMPLES} bootstrap samples of the batch noise"
    if not sampled.size:
        noise = "because the rule gives no LR in any bootstrap sample of the batch noise"
    reasons = Reasons(
        base_lr=f"base_lr {base:.2g}: max_lr / {finder.divisor}, {finder.source}.",
        max_lr=f"max_lr {lr:.2g}: the LR that {finder.name} suggests, used as the maximum of a cycle.",
        lr=f"lr {lr:.2g}: {why}.",
        interval=f"90 % interval of lr: {low:.2g} to {high:.2g}, {noise}.",
    )
    base_interval = (two_digits(low / finder.divisor), two_digits(high / finder.divisor))
    return Bounds(base, lr, lr, Intervals(base_interval, (low, high), (low, high)), reasons, rule)
