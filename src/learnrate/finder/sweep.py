"""The range test: a short run in which the LR rises update by update while the loss is recorded."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentTypeError, LossError
from learnrate.finder.curve import Curve
from learnrate.schedules import exponential

Step = Callable[[float], Any]
Progress = Callable[[int, int], None]

MIN_UPDATES = 10
"""A shorter sweep leaves no noise to measure the loss against."""


def range_test(
    step: Step,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    updates: int = 100,
    stop_early: bool = True,
    progress: Progress | None = None,
) -> Curve:
    """Run an LR range test with any training loop.

    The LR of update i is low ** (1 - p) * high ** p with p = i / (updates - 1): the exponential form of the test of Smith
    (arXiv 1506.01186, section 3.3), as in fastai's `lr_find`.

    The sweep ends early when the loss is no longer finite, or diverges: when it has risen above its level at the start by as
    much as it had fallen below it (or, where that is more, by six times the batch noise or by a twentieth of that level).
    Measured in units of the loss at the start, this comes before the model is wrecked, and holds for models that are already
    trained and for losses of any size or sign.

    What `step` changes is not restored here; `learnrate.torch.range_test` does that too.

    Args:
        step: Makes one update at the LR given and returns the loss that it saw, or a mapping with the key "loss" and further
            metrics. A number, or an array or tensor with one element.
        low: LR of the first update, above 0.
        high: LR of the last update, above `low`.
        updates: Length of the sweep in updates, at least 10.
        stop_early: Whether divergence ends the sweep. A loss that is not finite always does.
        progress: Called after every update with (updates made, updates planned).

    Returns:
        The curve; its notes say where and why the sweep ended early.

    Raises:
        ArgumentError: if an LR is not above 0 and finite, the LRs are swapped, or `updates` is below 10.
        LossError: if `step` returns no scalar, or a loss that is not finite at the very first update.

    Example:
        >>> weight = 1.0
        >>> def step(lr):
        ...     global weight
        ...     loss = weight**2
        ...     weight -= lr * 2 * weight
        ...     return loss
        >>> curve = range_test(step)
        >>> len(curve) < 100, curve.notes
        (True, ('the loss diverged at LR 8.3, update 98 of 100',))
    """
    if not callable(step):
        raise ArgumentTypeError(f"step must be a function from an LR to a loss, received {step!r}")
    low, high = checks.positive("low", low), checks.positive("high", high)
    checks.ordered("low", low, "high", high)
    if high < 2 * low:
        checks.refuse("high", f"at least twice low = {low!r}", high, "a narrower range shows nothing")
    sweep = exponential(low, high, checks.whole("updates", updates, at_least=MIN_UPDATES) - 1)
    stop = StopRule(watch_from=max(5, updates // 10))
    lrs: list[float] = []
    series: dict[str, list[float]] = {"loss": []}
    notes: list[str] = []
    for update in range(updates):
        lr = sweep(update)
        values = scalars(step(lr), lr)
        if update == 0:
            series = {name: [] for name in values}
        elif values.keys() != series.keys():
            raise LossError(
                f"step must return the same metrics each time, received {sorted(values)}, before {sorted(series)}"
            )
        lrs.append(lr)
        for name, value in values.items():
            series[name].append(value)
        if progress is not None:
            progress(update + 1, updates)
        loss = values["loss"]
        if update == 0 and not math.isfinite(loss):
            raise LossError(
                f"the loss is {loss} at the first update (LR {lr:.1e}), before any change: "
                "check the inputs, the targets and the model's initial weights"
            )
        why = stop.reason(loss)
        if why is not None and (stop_early or not math.isfinite(loss)):
            notes.append(f"the loss {why} at LR {lr:.2g}, update {update} of {updates}")
            break
    losses = series.pop("loss")
    stopped: Literal["diverged", "not finite"] = "diverged" if math.isfinite(losses[-1]) else "not finite"
    metrics = {name: np.array(values) for name, values in series.items()}
    return Curve(np.array(lrs), np.array(losses), metrics, tuple(notes), ended=stopped if notes else "swept")


@dataclass
class StopRule:
    """Says when a rising LR has done for the loss, in units of the loss at the start.

    Attributes:
        watch_from: Number of updates whose median is the level at the start, and whose spread is the batch noise.
    """

    watch_from: int

    def __post_init__(self) -> None:
        self._first: list[float] = []
        self._start = self._noise = math.nan
        self._average = self._best = math.nan

    def reason(self, loss: float) -> str | None:
        """What befell the loss, once it is no longer worth going on; None until then."""
        if not math.isfinite(loss):
            return f"became {loss}"
        if len(self._first) < self.watch_from:
            self._first.append(loss)
            if len(self._first) == self.watch_from:
                self._start = self._average = self._best = float(np.median(self._first))
                self._noise = float(np.std(self._first, ddof=1))
            return None
        # A short memory: at twelve updates a decade, three updates are a quarter of a decade of LR.
        self._average += (loss - self._average) / 3
        self._best = min(self._best, self._average)
        fallen = self._start - self._best
        limit = self._start + max(fallen, 6 * self._noise, 0.05 * abs(self._start))
        return "diverged" if self._average > limit else None


def scalars(returned: Any, lr: float) -> dict[str, float]:
    """What a step returned, as floats by name, the loss among them.

    Raises:
        LossError: if one of them is no scalar, or there is no loss.
    """
    if not isinstance(returned, Mapping):
        return {"loss": scalar(returned, "loss", lr)}
    if "loss" not in returned:
        raise LossError(
            f"a mapping returned by step must have the key 'loss', received the keys {sorted(map(str, returned))}"
        )
    return {str(name): scalar(value, str(name), lr) for name, value in returned.items()}


def scalar(value: Any, name: str, lr: float) -> float:
    """A loss as a float, whatever library it comes from.

    Raises:
        LossError: if it is not a number, nor an array or tensor with one element.
    """
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        shape = getattr(value, "shape", None)
        kind = type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
        raise LossError(
            f"the {name} must be a scalar, received a {kind} at LR {lr:.1e}: reduce it, for example with .mean()"
        ) from None
