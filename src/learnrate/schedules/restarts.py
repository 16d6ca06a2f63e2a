"""Warm restarts: SGDR (Loshchilov and Hutter, arXiv 1608.03983)."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.schedules import durations, periods
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import UNRESOLVED, Horizon, reaches, updates
from learnrate.schedules.numerics import Namespace, blend, limited, power
from learnrate.schedules.shapes import BY_NAME, Progress

__all__ = ["warm_restarts"]


@frozen
class warm_restarts(Schedule):
    """Falls from `max_lr` to `min_lr`, again and again, in periods that may grow.

    Period i has period * growth ** i updates. In it value(n) = min_lr + (peak - min_lr) (1 + cos(pi p)) / 2, where p is the
    completed fraction of the period (Loshchilov and Hutter, arXiv 1608.03983, equation 5). `decays` says what decays from
    one restart to the next:

    - decays="peak": peak = max_lr decay ** i, as in timm
    - decays="amplitude": peak = min_lr + (max_lr - min_lr) decay ** i, as in Keras; the peak stays above min_lr

    Args:
        max_lr: Value at update 0, above `min_lr`.
        period: Length of the first period, in updates (fractions allowed) or as a text. Without growth, period number k
            begins at update round(k * period).
        min_lr: Value at the end of every period, at least 0.
        growth: Factor, at least 1, from the length of one period to the length of the next (T_mult).
        decay: Factor in (0, 1] per restart, see `decays`.
        warmup: Length of a linear rise at the start of every period, in updates or as a text; or 0. Like `warmup` it begins
            one step above `min_lr`: value(n) = min_lr + (peak - min_lr) (n + 1) / (warmup + 1).
        cycles: Number of periods after which the schedule ends at `min_lr`; without end by default.
        shape: "cosine", "linear" or "1-sqrt": the shape of the fall.
        decays: "peak" or "amplitude".

    Raises:
        ArgumentError: if a number is out of its range, `min_lr` is not below `max_lr`, or the warm-up is not shorter than a
            period.

    Example:
        >>> s = warm_restarts(max_lr=1.0, period=10, growth=2)
        >>> s(0), round(s(5), 12), s(10), round(s(20), 12), s(30)
        (1.0, 0.5, 1.0, 0.5, 1.0)
    """

    max_lr: float = checked(checks.positive_or_traced)
    period: float | str = checked(durations.period)
    min_lr: float = checked(checks.rate_or_traced, default=0.0)
    growth: float = checked(checks.growth, default=1.0)
    decay: float = checked(checks.decay, default=1.0)
    warmup: int | str = checked(durations.pause, default=0)
    cycles: int | None = checked(checks.optional(checks.length), default=None)
    shape: Literal["cosine", "linear", "1-sqrt"] = "cosine"
    decays: Literal["peak", "amplitude"] = "peak"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.ordered("min_lr", self.min_lr, "max_lr", self.max_lr)
        periods.check("growth", self.period, self.growth, self.cycles)
        # Without growth, the edges of periods are rounded, and the shortest one is the whole part of the length.
        is_rounded = self.growth == 1 and not isinstance(self.period, str)
        shortest = math.floor(self.period) if is_rounded else self.period  # type: ignore[arg-type]
        if reaches(self.warmup, shortest):
            checks.refuse("warmup", f"below period = {shortest}", self.warmup, "the rest of the period is the fall")
        if (
            self.decays == "amplitude"
            or self.cycles is None
            or checks.is_traced(self.max_lr)
            or checks.is_traced(self.min_lr)
        ):
            return
        if self._peak(self.cycles - 1) <= self.min_lr:
            checks.refuse("decay", "such that every peak is above min_lr", self.decay, "or use decays='amplitude'")

    @property
    def length(self) -> int | str | None:
        """Length of all periods in updates; None if `cycles` is not given."""
        if self.cycles is None:
            return None
        return periods.total(updates(self.period), self.growth, self.cycles) if self.is_resolved else UNRESOLVED

    def _exact_length(self, horizon: Horizon) -> Fraction:
        if self.growth > 1:
            return super()._exact_length(horizon)
        return (self.cycles or 1) * horizon.exactly(self.period)

    def _peak(self, index: Any) -> Any:
        if self.decay == 1:
            return self.max_lr
        if self.decays == "peak":
            return self.max_lr * power(self.decay, index)
        return self.min_lr + (self.max_lr - self.min_lr) * power(self.decay, index)

    def _at(self, n: Any, xp: Namespace) -> Any:
        index, into, length = periods.located(n, updates(self.period), self.growth, self.cycles, xp)
        peak, warmup = self._peak(index), updates(self.warmup)
        if self.decays == "peak" and self.decay < 1 and self.min_lr > 0 and self.cycles is None:
            peak = limited(peak, self.min_lr, None, xp)
        # `into - warmup` is below 0 during the warm-up. It is above `fall` past the end of growing periods, and in single
        # precision at their last updates.
        done, fall = (xp.clip(into - warmup, 0, None), length - warmup) if warmup else (into, length)
        done = done if self.growth == 1 else xp.where(done < fall, done, fall)
        value = blend(self.min_lr, peak, BY_NAME[self.shape].fall(Progress(done, fall, xp)))
        if not warmup:
            return value
        # One step of the rise at the start, as in `warmup`: an update with an LR of 0 would be wasted at every restart.
        risen = xp.clip((into + 1) / (warmup + 1), None, 1.0)
        return xp.where(into < warmup, blend(self.min_lr, peak, risen), value)

    def _range(self) -> tuple[float, float]:
        return self.min_lr, self.max_lr

    def _edges(self, limit: float) -> Iterator[float]:
        if warmup := updates(self.warmup):
            yield from (start + warmup for start, _ in periods.spans(updates(self.period), self.growth, self.cycles, limit))
        yield from self._cycle_ends(limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from periods.ends(updates(self.period), self.growth, self.cycles, limit)

    def _span(self) -> int:
        if self.length is not None:
            return updates(self.length)
        return periods.total(updates(self.period), self.growth, 5 if self.growth == 1 else 3)
