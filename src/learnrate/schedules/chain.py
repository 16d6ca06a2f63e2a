"""Schedules one after the other: `a >> b >> c`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar

from learnrate import checks
from learnrate.checks import frozen
from learnrate.errors import ArgumentError
from learnrate.schedules import durations
from learnrate.schedules.base import Schedule, known_length
from learnrate.schedules.durations import Horizon
from learnrate.schedules.numerics import Namespace, in_pieces
from learnrate.schedules.tree import own_lengths, takes_rest

__all__ = ["Chain"]


def joined(lengths: list[int | str | None], join: Callable[[list[int]], int]) -> int | str | None:
    """The length of a combination of parts: None if a part has no end, a text if a length is unresolved."""
    if None in lengths:
        return None
    resolved = [length for length in lengths if isinstance(length, int)]
    return join(resolved) if len(resolved) == len(lengths) else durations.UNRESOLVED


def in_parentheses(schedule: Schedule, precedence: int) -> str:
    """The printed form, in parentheses if the schedule prints an operator that binds looser than what surrounds it."""
    return f"({schedule!r})" if schedule._precedence < precedence else repr(schedule)


def require_finite(name: str, schedule: Schedule) -> None:
    """Refuse a schedule without end."""
    if schedule.length is None:
        raise ArgumentError(
            f"{name} must be finite, received the endless {checks.shown(schedule)}: give it a length or number of cycles"
        )


def finite_length(schedule: Schedule) -> int:
    """Length in updates of a schedule that `require_finite` accepted."""
    return durations.updates(schedule.length or 0)


def chained(parts: Iterable[Schedule]) -> Schedule:
    """Schedules one after the other, without those of 0 updates; a single schedule if no other is left.

    "A warm-up of 0 updates" and similar settings mean that there is no such part.
    """
    all_parts = tuple(parts)
    for part in all_parts[:-1]:
        require_finite("the left side of >>", part)
    left = _not_empty(all_parts) or all_parts[-1:]
    return Chain(left) if len(left) > 1 else left[0]


def _not_empty(parts: Iterable[Schedule]) -> tuple[Schedule, ...]:
    return tuple(part for part in parts if part.length != 0)


def _of_length(part: Schedule, length: int) -> Schedule:
    """The part with this length, at least 1, if it has an unresolved one of its own."""
    _, own = own_lengths(part).get("length", (None, None))
    return replace(part, length=max(1, length)) if isinstance(own, str) else part  # type: ignore[type-var]


@frozen
class Chain(Schedule):
    """Schedules one after the other: the result of `a >> b >> c`.

    Each part counts from 0 at its own start. A ramp reaches its end value at the count `length`, which is the first update
    of the next part, so neither end is visited twice.

    Attributes:
        parts: At least two schedules of at least one update. Only the last one can be endless.

    Example:
        >>> from learnrate import cosine, warmup
        >>> s = warmup(0.1, 500) >> cosine(0.1, 0, 9_500)
        >>> s(500), s.length
        (0.1, 10000)
    """

    _precedence: ClassVar[int] = 0

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        # Flat, because (a >> b) >> c and a >> (b >> c) are the same function and so must be equal.
        flat = ((part.parts if isinstance(part, Chain) else (part,)) for part in self.parts)
        parts = tuple(part for parts in flat for part in parts)
        if not all(isinstance(part, Schedule) for part in parts):
            checks.refuse_type("the parts of a chain", "at least two schedules", self.parts)
        object.__setattr__(self, "parts", _not_empty(parts))
        if len(self.parts) < 2:
            checks.refuse_type("the parts of a chain", "at least two schedules of at least one update", parts)
        for part in self.parts[:-1]:
            require_finite("the left side of >>", part)
        if (count := sum(takes_rest(part) for part in self.parts)) > 1:
            chain = checks.shown(self)
            raise ArgumentError(f"only one part of a chain can take the rest of the run, received {count} in {chain}")

    @property
    def length(self) -> int | str | None:
        """Sum of the lengths of the parts in updates; None if the last part has no end."""
        return joined([part.length for part in self.parts], sum)

    def _starts(self) -> Iterator[tuple[int, Schedule]]:
        start = 0
        for part in self.parts:
            yield start, part
            start += known_length(part) or 0

    def _at(self, n: Any, xp: Namespace) -> Any:
        return in_pieces(n, [(start, part._at) for start, part in self._starts()], xp)

    def _range(self) -> tuple[float, float]:
        lows, highs = zip(*(part._range() for part in self.parts), strict=True)
        return min(lows), max(highs)

    def _edges(self, limit: float) -> Iterator[float]:
        for start, part in self._starts():
            yield from (start + edge for edge in (0, *part._edges(limit - start)))

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        for start, part in self._starts():
            yield from (start + end for end in part._cycle_ends(limit - start))

    def _exact_length(self, horizon: Horizon) -> Fraction:
        return sum((part._exact_length(horizon) for part in self.parts), Fraction(0))

    def _resolve(self, horizon: Horizon, rest: int | None) -> Schedule:
        if self.is_resolved:
            return self
        if horizon.tokens_schedule is not None:
            from learnrate.schedules.tokens import resolved_parts  # which imports this module

            return resolved_parts(self.parts, horizon, rest)
        resolved = dict(self._resolved_in_turn(horizon))
        left = None if rest is None else rest - sum(known_length(part) or 0 for part in resolved.values())
        return chained(resolved[i] if i in resolved else part._resolve(horizon, left) for i, part in enumerate(self.parts))

    def _resolved_in_turn(self, horizon: Horizon) -> Iterator[tuple[int, Schedule]]:
        """The parts that do not take the rest, by index.

        A part ends at the rounded sum of the exact lengths so far: "2.4 epochs" again and again do not drift.
        """
        exact, start = Fraction(0), 0
        for i, part in enumerate(self.parts):
            if takes_rest(part):
                exact, start = Fraction(0), 0  # its end is a whole number of updates
            elif part.length is None:
                yield i, part._resolve(horizon, None)
            else:
                exact += part._exact_length(horizon)
                resolved = _of_length(part, round(exact) - start)._resolve(horizon, None)
                start += known_length(resolved) or 0
                yield i, resolved

    def _span(self) -> int:
        return sum(part._span() for part in self.parts)

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.parts))
