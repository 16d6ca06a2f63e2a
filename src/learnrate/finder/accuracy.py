"""The rule of the CLR paper, for the accuracy that a range test measured."""

from typing import TYPE_CHECKING

import numpy as np

from learnrate import checks
from learnrate.finder.bootstrap import SAMPLES, interval, resample_series
from learnrate.finder.bounds import MIN_POINTS, Bounds, Intervals, NoAnswer, Reasons, require_curve, two_digits
from learnrate.finder.descent import Descent, find_descent, is_significant
from learnrate.finder.smoothing import Floats

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve


def accuracy(curve: "Curve", metric: str = "") -> Bounds | NoAnswer:
    """The paper's rule for accuracy against LR: from where it rises to where it slows, becomes ragged, or falls.

    "Note the learning rate value when the accuracy starts to increase and when the accuracy slows, becomes ragged, or starts
    to fall. These two learning rates are good choices for bounds" (Smith, arXiv 1506.01186, section 3.3).

    - base_lr: the first LR from which a tenth of the rise remains done.
    - max_lr: the first LR from which accuracy no longer rises (the Mann-Kendall test finds no trend in the rest of the
      rise), at which it begins to oscillate (its noise is three times that of the start), or after which it falls.
    - lr: half of max_lr: "the optimum learning rate is usually within a factor of two of the largest one that converges"
      (the same section, after Bengio, arXiv 1206.5533, section 3.1.1).
    - intervals: see `descent`.

    There is no answer if fewer than 10 accuracies were measured, or if their rise is not significant.

    Args:
        curve: The record of a range test with accuracies, from `learnrate.torch.accuracy_test` for example.
        metric: Name of the metric; by default "accuracy", or "score" if the curve has no "accuracy".

    Returns:
        `Bounds` with a reason and an interval for each LR, or `NoAnswer`.

    Raises:
        ArgumentError: if the curve has no such metric.

    Example:
        >>> from learnrate import Curve
        >>> lrs = np.geomspace(1e-4, 10.0, 101)
        >>> losses = np.interp(np.log10(lrs), [-4, -3, -1, 0, 1], [2.3, 2.3, 0.5, 0.5, 3.0])
        >>> accuracies = np.interp(np.log10(lrs), [-4, -3, -1, 0, 1], [0.1, 0.1, 0.9, 0.9, 0.1])
        >>> bounds = accuracy(Curve(lrs, losses, {"accuracy": accuracies}))
        >>> bounds.base_lr, bounds.max_lr
        (0.0016, 0.1)
    """
    return _read(curve, metric, "accuracy", None)


def accuracy_third(curve: "Curve", metric: str = "") -> Bounds | NoAnswer:
    """As `accuracy`, with base_lr a third of max_lr: "set base_lr to 1/3 or 1/4 of max_lr" (the paper's rule of thumb)."""
    return _read(curve, metric, "accuracy_third", 3)


def accuracy_quarter(curve: "Curve", metric: str = "") -> Bounds | NoAnswer:
    """As `accuracy`, with base_lr a quarter of max_lr (see `accuracy_third`)."""
    return _read(curve, metric, "accuracy_quarter", 4)


def _read(curve: "Curve", metric: str, rule: str, divisor: int | None) -> Bounds | NoAnswer:
    metrics = require_curve(curve).metrics
    name = checks.text("metric", metric) or next((name for name in ("accuracy", "score") if name in metrics), "")
    if not name:
        remedy = "Run the test with evaluate=..., or use learnrate.torch.accuracy_test."
        return NoAnswer("no accuracy was measured.", remedy, rule)
    measured = curve.of(name).above_zero().finite()
    # A rise of the accuracy is a fall of its negative.
    losses = -measured.losses
    if len(losses) < MIN_POINTS:
        remedy = f"The rule needs at least {MIN_POINTS}: evaluate more often, or use more epochs."
        return NoAnswer(f"only {len(losses)} values of {checks.shown(name)} were measured.", remedy, rule)
    rise = find_descent(losses, diverged=False)
    if not (rise.fall > 0 and is_significant(losses, rise)):
        remedy = "Use more epochs, a higher LR at the end, or more held-out data."
        return NoAnswer(f"{name} did not rise significantly: it rose by {max(rise.fall, 0.0):.2g}.", remedy, rule)
    lrs = measured.lrs
    base, lr, top = _numbers(lrs, rise, divisor)
    sweeps = [-sweep.losses for sweep in measured.sweeps or (measured,)]
    samples = [_numbers(lrs, find_descent(series, diverged=False), divisor) for series in resample_series(sweeps)]
    bases, half_tops, tops = np.array(samples).T
    intervals = Intervals(interval(bases, base), interval(tops, top), interval(half_tops, lr))
    low, high = intervals.lr
    why_base = f"{name} begins to rise here" if divisor is None else f"max_lr / {divisor}, the paper's rule of thumb"
    reasons = Reasons(
        base_lr=f"base_lr {base:.2g}: {why_base}.",
        max_lr=f"max_lr {top:.2g}: {_why_top(rise, name)}.",
        lr=f"lr {lr:.2g}: half of max_lr; the best LR is usually within a factor of two of the largest one that converges.",
        interval=f"90 % interval of lr: {low:.2g} to {high:.2g}, over {SAMPLES} bootstrap samples of the noise.",
    )
    return Bounds(base, top, lr, intervals, reasons, rule)


def _numbers(lrs: Floats, rise: Descent, divisor: int | None) -> tuple[float, float, float]:
    """base_lr, lr and max_lr."""
    end = rise.end if rise.flat_from is None else min(rise.end, rise.flat_from)
    top = float(lrs[max(end, rise.begin)])
    base = min(float(lrs[rise.begin]), top / 2) if divisor is None else top / divisor
    return two_digits(base), two_digits(max(top / 2, base)), two_digits(top)


def _why_top(rise: Descent, name: str) -> str:
    if rise.flat_from is not None and rise.flat_from <= rise.end:
        return f"from this LR on, {name} no longer rises (Mann-Kendall test)"
    if rise.end_cause == "oscillation":
        return f"above it, {name} becomes ragged"
    if rise.end_cause == "rise":
        return f"above it, {name} falls"
    return f"the last LR of the test; {name} does not fall there, so a higher LR may also work"
