"""The rule of the CLR paper, on the accuracy that a range test measured."""

from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.bootstrap import interval, redrawn_series
from learnrate.finder.bounds import Bounds, Intervals, NoAnswer, Reasons, two_digits
from learnrate.finder.descent import Descent, find, significant
from learnrate.finder.smoothing import Floats
from learnrate.finder.usable import MIN_POINTS

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve


def accuracy(curve: "Curve", metric: str = "") -> Bounds | NoAnswer:
    """The paper's reading of accuracy against LR: from where it rises to where it slows, becomes ragged, or falls.

    "Note the learning rate value when the accuracy starts to increase and when the accuracy slows, becomes ragged, or starts
    to fall. These two learning rates are good choices for bounds" (Smith, arXiv 1506.01186, section 3.3).

    - base_lr: the first LR at which a tenth of the rise is done for good.
    - max_lr: the first LR from which accuracy rises no more (the Mann-Kendall test finds no trend in the rest of the rise),
      at which it becomes a sawtooth (the noise between neighbours is three times that of the start), or before which it
      falls.
    - lr: half of max_lr: "the optimum learning rate is usually within a factor of two of the largest one that converges"
      (the same section, after Bengio, arXiv 1206.5533, section 3.1.1).
    - intervals: see `descent`.

    No answer where fewer than 10 accuracies were measured, or they do not rise beyond their noise.

    Args:
        curve: The record of a range test with accuracies, from `learnrate.torch.accuracy_test` say.
        metric: Which of its metrics; by default "accuracy", or else "score".

    Raises:
        ArgumentError: if the curve has no such metric.
    """
    return _read(curve, metric, "accuracy", None)


def accuracy_third(curve: "Curve", metric: str = "") -> Bounds | NoAnswer:
    """As `accuracy`, with base_lr a third of max_lr: "set base_lr to 1/3 or 1/4 of max_lr" (the paper's rule of thumb)."""
    return _read(curve, metric, "accuracy_third", 3)


def accuracy_quarter(curve: "Curve", metric: str = "") -> Bounds | NoAnswer:
    """As `accuracy`, with base_lr a quarter of max_lr (see `accuracy_third`)."""
    return _read(curve, metric, "accuracy_quarter", 4)


def _read(curve: "Curve", metric: str, rule: str, part: int | None) -> Bounds | NoAnswer:
    name = metric or next((name for name in ("accuracy", "score") if name in curve.metrics), "")
    if not name:
        remedy = "Run the test with evaluate=..., or learnrate.torch.accuracy_test."
        return NoAnswer("no accuracy was measured.", remedy, rule)
    measured = curve.of(name).finite()
    # A rise of accuracy is a fall of what is missing of it.
    missing = -measured.losses
    if len(missing) < MIN_POINTS:
        remedy = f"The rule needs at least {MIN_POINTS}: evaluate more often, or over more epochs."
        return NoAnswer(f"only {len(missing)} values of {name!r} were measured.", remedy, rule)
    found = find(missing, diverged=False)
    if not (found.fall > 0 and significant(missing, found)):
        remedy = "Test over more epochs, up to a higher LR, or on more held-out data."
        return NoAnswer(f"{name} never rose by more than its noise: by {max(found.fall, 0.0):.2g}.", remedy, rule)
    lrs = measured.lrs
    base, lr, top = _numbers(lrs, found, part)
    series = [-sweep.losses for sweep in measured.sweeps or (measured,)]
    again = np.array([_numbers(lrs, find(values, diverged=False), part) for values in redrawn_series(series)])
    intervals = Intervals(interval(again[:, 0], base), interval(again[:, 2], top), interval(again[:, 1], lr))
    low, high = intervals.lr
    return Bounds(
        base,
        top,
        lr,
        intervals,
        Reasons(
            base_lr=f"base_lr is {base:.2g}: "
            + (f"there {name} has started to rise." if part is None else f"max_lr / {part}, the paper's rule of thumb."),
            max_lr=f"max_lr is {top:.2g}: {_why(found, name)}.",
            lr=f"lr is {lr:.2g}: half of max_lr, within a factor of two of which the best is said to lie.",
            interval=f"The interval of lr is {low:.2g} to {high:.2g}: there it lies in 90 % of redraws of the noise.",
        ),
        rule,
    )


def _numbers(lrs: Floats, found: Descent, part: int | None) -> tuple[float, float, float]:
    """base_lr, lr and max_lr."""
    end = found.ended if found.flat_from is None else min(found.ended, found.flat_from)
    top = float(lrs[max(end, found.begun)])
    base = min(float(lrs[found.begun]), top / 2) if part is None else top / part
    return two_digits(base), two_digits(max(top / 2, base)), two_digits(top)


def _why(found: Descent, name: str) -> str:
    if found.flat_from is not None and found.flat_from <= found.ended:
        return f"from there on {name} rises no more (Mann-Kendall test)"
    if found.ends_in == "sawtooth":
        return f"beyond it {name} becomes ragged"
    return f"beyond it {name} falls" if found.ends_in == "rise" else f"the last LR of the test; {name} had not fallen yet"
