"""What the methods of a schedule return: repeated, clipped, mirrored, ... schedules."""

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError, UnresolvedError
from learnrate.schedules import durations, numerics, periods
from learnrate.schedules.base import Schedule, known_length, require_schedule
from learnrate.schedules.chain import finite_length, in_parentheses, joined, require_finite
from learnrate.schedules.durations import Horizon
from learnrate.schedules.numerics import NUMBERS, Namespace, blend, known_range, limited, power
from learnrate.schedules.tree import lengths, takes_rest

__all__ = ["Clipped", "Mirrored", "Rebased", "Repeated", "Shifted", "Staircase"]


class Wrapped(Schedule):
    """A changed schedule. By default the length, the boundaries and the cycles stay the same."""

    schedule: Schedule

    @property
    def length(self) -> int | str | None:
        """The length of the schedule."""
        return self.schedule.length

    def _edges(self, limit: float) -> Iterator[float]:
        return self.schedule._edges(limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        return self.schedule._cycle_ends(limit)

    def _exact_length(self, horizon: Horizon) -> Fraction:
        return self.schedule._exact_length(horizon)

    def _span(self) -> int:
        return self.schedule._span()

    def _printed(self, method: str, *positional: object, **named: object) -> str:
        """The printed form as the call of a method."""
        arguments = [repr(value) for value in positional]
        arguments += [f"{name}={value!r}" for name, value in named.items() if value is not None]
        return f"{in_parentheses(self.schedule, 3)}.{method}({', '.join(arguments)})"


@frozen
class Repeated(Wrapped):
    """A repeated schedule: see `Schedule.repeat`."""

    schedule: Schedule = checked(require_schedule)
    times: int | None = checked(checks.optional(checks.length), default=None)
    length_growth: float = checked(checks.growth, default=1.0)
    value_decay: float = checked(checks.decay, default=1.0)
    period: float | str | None = checked(durations.optional_period, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_finite("the repeated schedule", self.schedule)
        if self.schedule.length == 0:
            checks.refuse("the repeated schedule", "at least 1 update long", self.schedule)
        periods.check("length_growth", self._unresolved_period(), self.length_growth, self.times)
        if self.times is None and takes_rest(self.schedule):
            received = checks.shown(self.schedule)
            raise ArgumentError(f"times must be given to repeat what takes the rest of the run, received {received}")

    @property
    def length(self) -> int | str | None:
        """Length of all repetitions; None if `times` is not given."""
        if self.times is None:
            return None
        period = self._unresolved_period()
        return durations.UNRESOLVED if isinstance(period, str) else periods.total(period, self.length_growth, self.times)

    def _unresolved_period(self) -> float | str:
        return (self.schedule.length or durations.UNRESOLVED) if self.period is None else self.period

    def _period(self) -> float:
        return finite_length(self.schedule) if self.period is None else durations.updates(self.period)

    def _exact_length(self, horizon: Horizon) -> Fraction:
        if self.length_growth > 1:
            return super()._exact_length(horizon)
        period = self.schedule._exact_length(horizon) if self.period is None else horizon.exactly(self.period)
        return (self.times or 1) * period

    def _at(self, n: Any, xp: Namespace) -> Any:
        index, into, length = periods.located(n, self._period(), self.length_growth, self.times, xp)
        if self.length_growth > 1 or self.period is not None:
            # The product first: it is exact, so rounding cannot move the end of a repetition to the wrong side of a jump.
            into = into * float(finite_length(self.schedule)) / length
        value = self.schedule._at(into, xp)
        return value if self.value_decay == 1 else value * power(self.value_decay, index)

    def _range(self) -> tuple[float, float]:
        low, high = self.schedule._range()
        if self.value_decay == 1:
            return low, high
        return 0.0 if self.times is None else low * self.value_decay ** (self.times - 1), high

    def _edges(self, limit: float) -> Iterator[float]:
        whole = finite_length(self.schedule)
        within = min(whole, limit * whole / max(1, math.floor(self._period())))  # the first repetition is the shortest
        inner = [edge for edge in (0, *self.schedule._edges(within)) if edge < whole]
        for start, length in periods.spans(self._period(), self.length_growth, self.times, limit):
            yield from (start + edge * length / whole for edge in inner)
        yield from self._cycle_ends(limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from periods.ends(self._period(), self.length_growth, self.times, limit)

    def _resolve(self, horizon: Horizon, rest: int | None) -> Schedule:
        durations.require_steady_tokens([*lengths(self.schedule)], horizon)
        if self.is_resolved or self.period is not None:
            return super()._resolve(horizon, rest)
        if not takes_rest(self):
            exact = self.schedule._exact_length(horizon)
        elif rest is None or self.length_growth > 1:
            first = None if rest is None else periods.first_of(rest, self.length_growth, self.times or 1)
            return super()._resolve(horizon, first)
        else:
            exact = Fraction(rest, self.times or 1)
        resolved = super()._resolve(horizon, round(exact))
        # One repetition has a whole number of updates. The repetitions together have their exact length.
        if exact.denominator == 1:
            return resolved
        return replace(resolved, period=durations.plain(max(Fraction(1), exact)))  # type: ignore[type-var]

    def _span(self) -> int:
        return self.schedule._span() * 5 if self.times is None else known_length(self) or 0

    def __repr__(self) -> str:
        growth = None if self.length_growth == 1 else self.length_growth
        decay = None if self.value_decay == 1 else self.value_decay
        times = () if self.times is None else (self.times,)
        return self._printed("repeat", *times, length_growth=growth, value_decay=decay, period=self.period)


@frozen
class Clipped(Wrapped):
    """A schedule with its values limited to a range: see `Schedule.clip`."""

    schedule: Schedule = checked(require_schedule)
    low: float | None = checked(checks.optional(checks.rate), default=None)
    high: float | None = checked(checks.optional(checks.positive), default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None:
            raise ArgumentError("clip must be given low, high or both, received neither")
        if self.low is not None and self.high is not None:
            checks.ordered("low", self.low, "high", self.high)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return limited(self.schedule._at(n, xp), self.low, self.high, xp)

    def _range(self) -> tuple[float, float]:
        low, high = self.schedule._range()
        return NUMBERS.clip(low, self.low, self.high), NUMBERS.clip(high, self.low, self.high)

    def _edges(self, limit: float) -> Iterator[float]:
        yield from self.schedule._edges(limit)
        yield from numerics.crossings(self.schedule, [bound for bound in (self.low, self.high) if bound is not None], limit)

    def __repr__(self) -> str:
        return self._printed("clip", low=self.low, high=self.high)


@frozen
class Mirrored(Wrapped):
    """A schedule upside down: see `Schedule.mirrored`."""

    schedule: Schedule = checked(require_schedule)
    low: float = checked(checks.rate)
    high: float = checked(checks.positive)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.ordered("low", self.low, "high", self.high)
        try:
            low, high = self.schedule._range()
        except UnresolvedError:
            return  # `resolve` builds a new one, which is checked then
        if low == high:
            raise ArgumentError(
                f"the mirrored schedule must not be constant, received {checks.shown(self.schedule)}: "
                "for a constant value, write constant(value)"
            )

    def _at(self, n: Any, xp: Namespace) -> Any:
        low, high = self.schedule._range()
        return blend(self.high, self.low, (self.schedule._at(n, xp) - low) / (high - low))

    def _range(self) -> tuple[float, float]:
        return self.low, self.high

    def __repr__(self) -> str:
        return self._printed("mirrored", self.low, self.high)


@frozen
class Staircase(Wrapped):
    """A schedule that is constant between multiples of `every`: see `Schedule.staircase`."""

    schedule: Schedule = checked(require_schedule)
    every: float | str = checked(durations.period)

    def _at(self, n: Any, xp: Namespace) -> Any:
        length = known_length(self.schedule)
        n = n if length is None else xp.clip(n, None, length)
        return self.schedule._at(periods.floored(n, durations.updates(self.every), xp), xp)

    def _range(self) -> tuple[float, float]:
        return self.schedule._range()

    def _edges(self, limit: float) -> Iterator[float]:
        length = known_length(self.schedule)
        yield from periods.ends(durations.updates(self.every), 1, None, limit if length is None else min(limit, length))

    def __repr__(self) -> str:
        return self._printed("staircase", self.every)


@frozen
class Rebased(Wrapped):
    """A schedule with a new length from some update on: see `Schedule.rebase`."""

    schedule: Schedule = checked(require_schedule)
    at: int = checked(partial(checks.whole, at_least=0, at_most=checks.LONGEST))
    new_length: int = checked(checks.length)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_finite("the rebased schedule", self.schedule)
        if self.at >= self.new_length:
            checks.refuse("new_length", f"above at = {self.at}", self.new_length)
        if isinstance(self.schedule.length, int) and self.at >= self.schedule.length:
            checks.refuse(
                "at", f"below the schedule's length of {self.schedule.length}", self.at, "nothing is left to stretch"
            )

    @property
    def length(self) -> int | str | None:
        """The new length."""
        return self.new_length

    def _lengths(self) -> tuple[float, float]:
        """Length of the part after the change: before and after it."""
        return float(finite_length(self.schedule) - self.at), float(self.new_length - self.at)

    def _at(self, n: Any, xp: Namespace) -> Any:
        low, high = known_range(n, xp)
        if high < self.at:
            return self.schedule._at(n, xp)
        old, new = self._lengths()
        past = xp.clip(xp.clip(n, None, self.new_length) - self.at, 0, None)
        rest = self.schedule._at(self.at + past * old / new, xp)
        return rest if low >= self.at else xp.where(n < self.at, self.schedule._at(n, xp), rest)

    def _range(self) -> tuple[float, float]:
        return self.schedule._range()

    def _moved(self, counts: Iterator[float]) -> Iterator[float]:
        old, new = self._lengths()
        for count in counts:
            yield count if count <= self.at else self.at + (count - self.at) * new / old

    def _limit_before(self, limit: float) -> float:
        """The count before the change that becomes `limit`, or a later one."""
        old, new = self._lengths()
        past = max(0.0, limit - self.at) * old / new
        return min(finite_length(self.schedule), self.at + past + 1)

    def _edges(self, limit: float) -> Iterator[float]:
        yield self.at
        yield from self._moved(self.schedule._edges(self._limit_before(limit)))

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from self._moved(self.schedule._cycle_ends(self._limit_before(limit)))

    def _exact_length(self, horizon: Horizon) -> Fraction:
        return Fraction(self.new_length)

    def _span(self) -> int:
        return self.new_length

    def __repr__(self) -> str:
        return self._printed("rebase", self.at, self.new_length)


@frozen
class Shifted(Wrapped):
    """A schedule that is moved to later or earlier updates: see `Schedule.shift`."""

    schedule: Schedule = checked(require_schedule)
    by: int | str = checked(durations.offset)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.by, str) or not isinstance(self.schedule.length, int):
            return  # `resolve` builds a new one, which is checked then
        if self.schedule.length + self.by < min(1, self.schedule.length):
            checks.refuse(
                "by", f"above -{self.schedule.length}, the schedule's length", self.by, "nothing of it would remain"
            )

    @property
    def length(self) -> int | str | None:
        """The length of the schedule plus `by`."""
        if isinstance(self.by, str) and self.schedule.length is not None:
            return durations.UNRESOLVED
        return joined([self.schedule.length], lambda lengths: lengths[0] + durations.updates(self.by))

    def _at(self, n: Any, xp: Namespace) -> Any:
        by = durations.updates(self.by)
        if by >= 0:
            return self.schedule._at(xp.clip(n - by, 0, None), xp)
        return self.schedule._at(numerics.later(n, -by, xp), xp)

    def _range(self) -> tuple[float, float]:
        return self.schedule._range()

    def _edges(self, limit: float) -> Iterator[float]:
        by = durations.updates(self.by)
        yield from (edge + by for edge in (0, *self.schedule._edges(limit - by)) if edge + by > 0)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        by = durations.updates(self.by)
        yield from (end + by for end in self.schedule._cycle_ends(limit - by) if end + by > 0)

    def _resolve(self, horizon: Horizon, rest: int | None) -> Schedule:
        durations.require_steady_tokens([*lengths(self)], horizon)
        return super()._resolve(horizon, None if rest is None else rest - round(horizon.exactly(self.by)))

    def _exact_length(self, horizon: Horizon) -> Fraction:
        return self.schedule._exact_length(horizon) + horizon.exactly(self.by)

    def _span(self) -> int:
        return max(1, self.schedule._span() + durations.updates(self.by))

    def __repr__(self) -> str:
        return self._printed("shift", self.by)
