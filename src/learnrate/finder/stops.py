"""Stop rules: what ends a range test before its last update.

A rule is an object with `watch(updates)`, which returns a function that receives the LR and the loss of every update and
returns a reason to stop, if there is one. A function (lrs, losses so far) -> reason (str), True, or None is accepted too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from learnrate import checks
from learnrate.checks import check_fields, checked, frozen
from learnrate.finder.levels import clear_rise
from learnrate.updates import StopReason

Ended = Literal["swept", "diverged", "not finite", "stopped", "out of time", "out of batches", "interrupted"]
"""How a sweep ended: after its last update, or before it because of the loss, a rule, the time, the data, or Ctrl-C."""


Watch = Callable[[float, float], StopReason | None]
"""Called with the LR and the loss of an update; returns why the sweep ends with it."""


class StopRule(Protocol):
    """A stop rule."""

    def watch(self, updates: int) -> Watch:
        """Begin to watch a sweep of this number of updates."""


StopFunction = Callable[[Sequence[float], Sequence[float]], Any]
"""A function as a stop rule: from the LRs and losses so far to a reason (str), True, or None."""


@dataclass(frozen=True)
class diverged:  # noqa: N801 - read as a sentence: stop=stops.diverged()
    """The loss has risen above its level at the start by as much as it had fallen below it.

    If six times the batch noise or a twentieth of that level is more, the loss has to rise by this. The loss is averaged
    over about three updates; its level at the start is the median of the first tenth. The rule compares the loss only with
    the start of the same sweep, so it ends the sweep soon after the loss begins to rise, and works for models that are
    already trained and for losses of any size or sign.

    Batches in a sorted order make the loss rise and fall in every epoch, whatever the LR is. Such a rise comes early and
    ends again, so in the first half of the sweep the loss has to stay up for an eighth of it; and after a rise from which
    the loss came back, only a rise that is higher by a half is divergence.
    """

    def watch(self, updates: int) -> Watch:
        """See `StopRule.watch`."""
        trace = Trace(updates)
        high = 0  # number of updates for which the loss has been too high
        highest, harmless = -math.inf, -math.inf  # of the averages of this rise; what a later rise has to exceed

        def watch(lr: float, loss: float) -> StopReason | None:
            nonlocal high, highest, harmless
            trace.add(loss)
            limit = trace.start + max(trace.start - trace.best, clear_rise(trace.noise, trace.start))
            if not trace.average > max(limit, harmless):
                harmless = max(harmless, trace.start + 1.5 * (highest - trace.start))
                high, highest = 0, -math.inf
                return None
            high, highest = high + 1, max(highest, trace.average)
            if 2 * trace.updates < updates and 8 * high < updates:
                return None
            return StopReason("diverged", "the loss diverged")

        return watch


@dataclass(frozen=True)
class above_best:  # noqa: N801
    """The smoothed loss is more than `factor` times the best smoothed loss, as in fastai (4) and pytorch-lr-finder (5).

    Means nothing for losses near 0 or below: `diverged` is the default for that reason.

    Attributes:
        factor: Above 1.
    """

    factor: float = 4.0

    def __post_init__(self) -> None:
        if checks.positive("factor", self.factor) <= 1:
            checks.refuse("factor", "above 1", self.factor)

    def watch(self, updates: int) -> Watch:
        """See `StopRule.watch`."""
        trace = Trace(updates)

        def watch(lr: float, loss: float) -> StopReason | None:
            trace.add(loss)
            if not trace.average > self.factor * trace.best:
                return None
            return StopReason("diverged", f"the loss rose above {self.factor:g} times its best")

        return watch


@frozen
class no_progress:  # noqa: N801
    """The loss has not fallen below its level at the start by three times its smoothed noise within `updates` updates.

    Attributes:
        updates: How long to wait, in updates.
    """

    updates: int = checked(checks.length)

    def __post_init__(self) -> None:
        check_fields(self)

    def watch(self, updates: int) -> Watch:
        """See `StopRule.watch`."""
        trace = Trace(min(checks.length("updates", updates), 5 * self.updates))  # whose start is known half-way

        def watch(lr: float, loss: float) -> StopReason | None:
            trace.add(loss)
            if trace.updates < self.updates or trace.progress:
                return None
            return StopReason("stopped", f"the loss made no progress within {self.updates} updates")

        return watch


class Trace:
    """The loss of a sweep as the rules follow it: level and noise at the start, a short average, the best of it."""

    def __init__(self, updates: int) -> None:
        self._first: list[float] = []
        self._watch_from = max(5, checks.whole("updates", updates, at_least=0) // 10)
        self.updates = 0
        self.start = self.noise = self.average = self.best = math.nan
        self.progress = False

    @classmethod
    def of(cls, losses: Sequence[float]) -> "Trace":
        """The trace of a complete sweep."""
        trace = cls(len(losses))
        for loss in losses:
            trace.add(loss)
        return trace

    def add(self, loss: float) -> None:
        """Follow one more loss. Until the level at the start is known, all that is derived from it is NaN."""
        self.updates += 1
        if len(self._first) < self._watch_from:
            self._first.append(loss)
            if len(self._first) == self._watch_from:
                self.start = self.average = self.best = float(np.median(self._first))
                self.noise = float(np.std(self._first, ddof=1))
            return
        # A short memory: at twelve updates a decade, three updates are a quarter of a decade of LR.
        self.average += (loss - self.average) / 3
        self.best = min(self.best, self.average)
        # An average of this memory keeps sqrt(1 / 5) of the noise.
        self.progress = self.progress or self.average < self.start - 3 * self.noise * math.sqrt(0.2)


def watching(stop: StopRule | StopFunction | Sequence[StopRule | StopFunction] | None, updates: int) -> Watch:
    """One function for a rule, a function of the user's own, several of them, or none. It receives finite losses only.

    Raises:
        ArgumentTypeError: if one is neither.
    """
    rules = () if stop is None else tuple(stop) if isinstance(stop, Sequence) and not isinstance(stop, str) else (stop,)
    watches = [_watch(rule, updates) for rule in rules]

    def watch(lr: float, loss: float) -> StopReason | None:
        reasons = [rule_watch(lr, loss) for rule_watch in watches]
        return next((reason for reason in reasons if reason is not None), None)

    return watch


def _watch(rule: Any, updates: int) -> Watch:
    if hasattr(rule, "watch") and not isinstance(rule, type):
        watch: Watch = rule.watch(updates)
        return watch
    if isinstance(rule, type) or not callable(rule):
        kinds = "a rule such as learnrate.stops.diverged(), a function (lrs, losses) -> reason, several of them, or None"
        checks.refuse_type("stop", kinds, rule)
    lrs: list[float] = []
    losses: list[float] = []

    def watch_function(lr: float, loss: float) -> StopReason | None:
        lrs.append(lr)
        losses.append(loss)
        reason = rule(lrs, losses)
        if not reason:  # None, False, and the false values of NumPy and torch
            return None
        why = reason if isinstance(reason, str) else f"{getattr(rule, '__name__', 'the stop rule')} ended the sweep"
        return StopReason("stopped", why)

    return watch_function
