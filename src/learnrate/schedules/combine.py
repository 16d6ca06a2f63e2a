"""What operators and methods make of a schedule: products, and it repeated, clipped, mirrored, held, rebased, shifted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

from learnrate import checks
from learnrate.checks import Positive, Rate, Times
from learnrate.errors import ArgumentError, UnresolvedError
from learnrate.schedules import base, durations, numerics, periods
from learnrate.schedules.base import Schedule, known_length
from learnrate.schedules.chain import Chain, finite_length, in_parentheses, joined, require_finite
from learnrate.schedules.durations import Horizon
from learnrate.schedules.numerics import NUMBERS, Namespace, blend, known_range, power
from learnrate.schedules.tree import takes_rest

Part = Annotated[Schedule, base.require_schedule]


class _Wrapped(Schedule):
    """A change of one schedule: of the same length, with the same boundaries and cycles, where nothing else is said."""

    schedule: Schedule

    @property
    def length(self) -> int | str | None:
        """The length of the schedule."""
        return self.schedule.length

    def _edges(self, limit: float) -> Iterator[float]:
        return self.schedule._edges(limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        return self.schedule._cycle_ends(limit)

    def _span(self) -> int:
        return self.schedule._span()

    def _printed(self, method: str, *positional: object, **named: object) -> str:
        """As the call of a method."""
        arguments = [repr(value) for value in positional]
        arguments += [f"{name}={value!r}" for name, value in named.items() if value is not None]
        return f"{in_parentheses(self.schedule, (Chain, Scaled, Product))}.{method}({', '.join(arguments)})"


@dataclass(frozen=True, repr=False)
class Scaled(_Wrapped):
    """A schedule times a number: what `s * 0.5` makes."""

    schedule: Part
    factor: Positive

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor > 1e100:
            checks.refuse("factor", "at most 1e100", self.factor)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.schedule._at(n, xp) * self.factor

    def _range(self) -> tuple[float, float]:
        low, high = self.schedule._range()
        return low * self.factor, high * self.factor

    def __repr__(self) -> str:
        return f"{in_parentheses(self.schedule, (Chain,))} * {self.factor!r}"


@dataclass(frozen=True, repr=False)
class Product(Schedule):
    """Two schedules multiplied: what `s * t` makes. It ends where both have, for until then its value moves."""

    first: Part
    second: Part

    @property
    def length(self) -> int | str | None:
        """The longer of both lengths; None where one is endless."""
        return joined([self.first.length, self.second.length], max)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.first._at(n, xp) * self.second._at(n, xp)

    def _range(self) -> tuple[float, float]:
        # Values are never below 0, so the products of the bounds are bounds of the products.
        (low, high), (other_low, other_high) = self.first._range(), self.second._range()
        return low * other_low, high * other_high

    def _edges(self, limit: float) -> Iterator[float]:
        yield from self.first._edges(limit)
        yield from self.second._edges(limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from self.first._cycle_ends(limit)
        yield from self.second._cycle_ends(limit)

    def _span(self) -> int:
        return max(self.first._span(), self.second._span())

    def __repr__(self) -> str:
        return f"{in_parentheses(self.first, (Chain,))} * {in_parentheses(self.second, (Chain, Scaled, Product))}"


@dataclass(frozen=True, repr=False)
class Repeated(_Wrapped):
    """A schedule over and over: see `Schedule.repeat`."""

    schedule: Part
    times: Times = None
    length_growth: Annotated[float, checks.growth] = 1.0
    value_decay: Annotated[float, checks.decay] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_finite(self.schedule, "is repeated")
        periods.check("length_growth", self.schedule.length or 1, self.length_growth, self.times)
        if self.times is None and takes_rest(self.schedule):
            raise ArgumentError(f"what takes the rest of the run cannot be repeated without end, received {self.schedule!r}")

    @property
    def length(self) -> int | str | None:
        """The lengths of all repetitions; None where there is no number of times."""
        if self.times is None:
            return None
        times = self.times
        return joined([self.schedule.length], lambda known: periods.total(known[0], self.length_growth, times))

    def _at(self, n: Any, xp: Namespace) -> Any:
        period = finite_length(self.schedule)
        index, into, length = periods.located(n, period, self.length_growth, self.times, xp)
        # The product before the quotient: it is exact, so that no repetition ends a rounding short of a jump.
        value = self.schedule._at(into if self.length_growth == 1 else into * float(period) / length, xp)
        return value if self.value_decay == 1 else value * power(self.value_decay, index)

    def _range(self) -> tuple[float, float]:
        low, high = self.schedule._range()
        if self.value_decay == 1:
            return low, high
        return 0.0 if self.times is None else low * self.value_decay ** (self.times - 1), high

    def _edges(self, limit: float) -> Iterator[float]:
        period = finite_length(self.schedule)
        inner = [edge for edge in (0, *self.schedule._edges(period)) if edge < period]
        for start, length in periods.spans(period, self.length_growth, self.times, limit):
            yield from (start + edge * length / period for edge in inner)
        yield from self._cycle_ends(limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from periods.ends(finite_length(self.schedule), self.length_growth, self.times, limit)

    def _resolve(self, horizon: Horizon, rest: int | None) -> Self:
        if rest is not None and takes_rest(self):
            rest = periods.first_of(rest, self.length_growth, self.times or 1)
        return super()._resolve(horizon, rest)

    def _span(self) -> int:
        return self.schedule._span() * 5 if self.times is None else known_length(self) or 0

    def __repr__(self) -> str:
        growth = None if self.length_growth == 1 else self.length_growth
        decay = None if self.value_decay == 1 else self.value_decay
        times = () if self.times is None else (self.times,)
        return self._printed("repeat", *times, length_growth=growth, value_decay=decay)


@dataclass(frozen=True, repr=False)
class Clipped(_Wrapped):
    """A schedule kept between bounds: see `Schedule.clip`."""

    schedule: Part
    low: Annotated[float | None, checks.optional(checks.rate)] = None
    high: Annotated[float | None, checks.optional(checks.positive)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None:
            raise ArgumentError("clip must be given low, high or both, received neither")
        if self.low is not None and self.high is not None:
            checks.ordered("low", self.low, "high", self.high)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return xp.clip(self.schedule._at(n, xp), self.low, self.high)

    def _range(self) -> tuple[float, float]:
        low, high = self.schedule._range()
        return NUMBERS.clip(low, self.low, self.high), NUMBERS.clip(high, self.low, self.high)

    def _edges(self, limit: float) -> Iterator[float]:
        yield from self.schedule._edges(limit)
        yield from numerics.crossings(self.schedule, [bound for bound in (self.low, self.high) if bound is not None], limit)

    def __repr__(self) -> str:
        return self._printed("clip", low=self.low, high=self.high)


@dataclass(frozen=True, repr=False)
class Mirrored(_Wrapped):
    """A schedule upside down: see `Schedule.mirrored`."""

    schedule: Part
    low: Rate
    high: Positive

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.ordered("low", self.low, "high", self.high)
        try:
            low, high = self.schedule._range()
        except UnresolvedError:
            return  # resolving builds it again
        if low == high:
            raise ArgumentError(
                f"what is mirrored must not be constant, received {self.schedule!r}: "
                "to hold a number, write constant(number)"
            )

    def _at(self, n: Any, xp: Namespace) -> Any:
        low, high = self.schedule._range()
        return blend(self.high, self.low, (self.schedule._at(n, xp) - low) / (high - low))

    def _range(self) -> tuple[float, float]:
        return self.low, self.high

    def __repr__(self) -> str:
        return self._printed("mirrored", self.low, self.high)


@dataclass(frozen=True, repr=False)
class Staircase(_Wrapped):
    """A schedule held from one multiple of `every` to the next: see `Schedule.staircase`."""

    schedule: Part
    every: durations.Span

    def _at(self, n: Any, xp: Namespace) -> Any:
        length = known_length(self.schedule)
        every = durations.updates(self.every)
        stair, _ = numerics.split(n if length is None else xp.clip(n, None, length), every)
        return self.schedule._at(stair * every, xp)

    def _range(self) -> tuple[float, float]:
        return self.schedule._range()

    def _edges(self, limit: float) -> Iterator[float]:
        length = known_length(self.schedule)
        yield from periods.ends(durations.updates(self.every), 1, None, limit if length is None else min(limit, length))

    def __repr__(self) -> str:
        return self._printed("staircase", self.every)


@dataclass(frozen=True, repr=False)
class Rebased(_Wrapped):
    """A schedule whose horizon changes in mid-run: see `Schedule.rebase`."""

    schedule: Part
    at: Annotated[int, lambda name, value: checks.whole(name, value, at_least=0)]
    new_length: Annotated[int, checks.length]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_finite(self.schedule, "is rebased")
        if self.at >= self.new_length:
            checks.refuse("new_length", f"above at = {self.at}", self.new_length)
        if isinstance(self.schedule.length, int) and self.at >= self.schedule.length:
            checks.refuse(
                "at", f"below the schedule's length of {self.schedule.length}", self.at, "there is no rest to stretch"
            )

    @property
    def length(self) -> int | str | None:
        """The new length."""
        return self.new_length

    def _lengths(self) -> tuple[float, float]:
        """Length of what comes after the change, as it was and as it is."""
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

    def _edges(self, limit: float) -> Iterator[float]:
        yield self.at
        yield from self._moved(self.schedule._edges(finite_length(self.schedule)))

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from self._moved(self.schedule._cycle_ends(finite_length(self.schedule)))

    def _span(self) -> int:
        return self.new_length

    def __repr__(self) -> str:
        return self._printed("rebase", self.at, self.new_length)


@dataclass(frozen=True, repr=False)
class Shifted(_Wrapped):
    """A schedule that comes later, or earlier: see `Schedule.shift`."""

    schedule: Part
    by: Annotated[int, lambda name, value: checks.whole(name, value, -checks.LONGEST, checks.LONGEST)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.schedule.length, int) and self.schedule.length + self.by < 1:
            checks.refuse(
                "by", f"above -{self.schedule.length}, the schedule's length", self.by, "nothing of it would be left"
            )

    @property
    def length(self) -> int | str | None:
        """The length of the schedule, and `by` more."""
        return joined([self.schedule.length], lambda known: known[0] + self.by)

    def _at(self, n: Any, xp: Namespace) -> Any:
        if self.by >= 0:
            return self.schedule._at(xp.clip(n - self.by, 0, None), xp)
        return self.schedule._at(numerics.later(n, -self.by, xp), xp)

    def _range(self) -> tuple[float, float]:
        return self.schedule._range()

    def _edges(self, limit: float) -> Iterator[float]:
        edges = (0, *self.schedule._edges(limit - self.by))
        yield from (edge + self.by for edge in edges if edge + self.by > 0)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from (end + self.by for end in self.schedule._cycle_ends(limit - self.by) if end + self.by > 0)

    def _resolve(self, horizon: Horizon, rest: int | None) -> Self:
        return super()._resolve(horizon, None if rest is None else rest - self.by)

    def _span(self) -> int:
        return max(1, self.schedule._span() + self.by)

    def __repr__(self) -> str:
        return self._printed("shift", self.by)
