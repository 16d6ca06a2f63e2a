"""Another schedule from an update of the run on: what a run followed whose schedule was replaced."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError
from learnrate.schedules import durations
from learnrate.schedules.base import Schedule, known_length, require_schedule
from learnrate.schedules.durations import Horizon, updates
from learnrate.schedules.numerics import NUMBERS, Namespace, known_range, value_dtype

__all__ = ["switch"]


@frozen
class switch(Schedule):
    """Another schedule from each milestone on: `value(n) = schedules[number of milestones <= n](n)`.

    Unlike the parts of a chain (`a >> b`), all schedules count from the start of this one. It is what a run followed whose
    schedule was replaced at its milestones.

    Args:
        schedules: The schedules; one more than there are milestones.
        milestones: Update numbers in ascending order, or texts such as "30 epochs" or "80%". A milestone is the first update
            with the values of the next schedule.

    Raises:
        ArgumentError: if the milestones are not in ascending order, or the number of schedules is wrong.
        ArgumentTypeError: if a schedule is something else.

    Example:
        >>> from learnrate import constant, linear
        >>> s = switch((linear(1.0, 0.0, 10), constant(0.25)), milestones=(4,))
        >>> s(3), s(4), s(2) == linear(1.0, 0.0, 10)(2)
        (0.7, 0.25, True)
    """

    schedules: tuple[Schedule, ...] = checked(checks.several(require_schedule, of="schedules"))
    milestones: tuple[int | str, ...] = checked(durations.moments)

    _steps: ClassVar[tuple[float, ...] | None] = None
    """The milestones if all are update numbers, which is looked at once: a run that controllers drive has thousands."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.schedules) != len(self.milestones) + 1:
            raise ArgumentError(
                f"schedules must have one item more than milestones, received {len(self.schedules)} schedules "
                f"and {len(self.milestones)} milestones"
            )
        if not any(isinstance(milestone, str) for milestone in self.milestones):
            object.__setattr__(self, "_steps", self.milestones)

    @property
    def length(self) -> int | str | None:
        """The length of the last schedule, and at least the last milestone; None if the last schedule has no end."""
        last = self.schedules[-1].length
        if last is None:
            return None
        if isinstance(last, str) or any(isinstance(milestone, str) for milestone in self.milestones):
            return durations.UNRESOLVED
        return max(last, updates(self.milestones[-1]))

    def _resolve(self, horizon: Horizon, rest: int | None) -> Schedule:
        schedules = tuple(schedule._resolve(horizon, rest) for schedule in self.schedules)
        return replace(super()._resolve(horizon, rest), schedules=schedules)  # type: ignore[type-var]

    @property
    def _in_updates(self) -> Sequence[float]:
        return [updates(milestone) for milestone in self.milestones] if self._steps is None else self._steps

    def _at(self, n: Any, xp: Namespace) -> Any:
        edges = self._in_updates
        if xp is NUMBERS:
            return self.schedules[bisect_right(edges, n)]._at(n, xp)
        low, high = known_range(n, xp)
        first, last = bisect_right(edges, low), bisect_right(edges, high)
        if first < last and xp is np:
            return self._each_of(n)
        value = self.schedules[first]._at(n, xp)
        for edge, schedule in zip(edges[first:last], self.schedules[first + 1 : last + 1], strict=True):
            value = xp.where(n < edge, value, schedule._at(n, xp))
        return value

    def _each_of(self, n: np.ndarray) -> np.ndarray:
        """The values where several schedules are followed: each is evaluated only where it is, as there may be thousands."""
        counts = n.reshape(-1)
        values = np.empty(counts.shape, value_dtype(n, np))
        places = np.searchsorted(self._in_updates, counts, side="right")
        order = None if bool((places[1:] >= places[:-1]).all()) else np.argsort(places, kind="stable")
        in_turn = places if order is None else places[order]
        edges = [0, *(np.flatnonzero(np.diff(in_turn)) + 1).tolist(), len(counts)] if len(counts) else []
        for start, stop in pairwise(edges):
            followed = slice(start, stop) if order is None else order[start:stop]
            values[followed] = self.schedules[in_turn[start]]._at(counts[followed], np)
        return values.reshape(n.shape)

    def _range(self) -> tuple[float, float]:
        lows, highs = zip(*(schedule._range() for schedule in self.schedules), strict=True)
        return min(lows), max(highs)

    def _spans(self, limit: float) -> Iterator[tuple[Schedule, float, float]]:
        """Each schedule with the counts from which and up to which it is followed."""
        bounds = [0, *map(updates, self.milestones), limit]
        for schedule, (start, stop) in zip(self.schedules, pairwise(bounds), strict=True):
            if start <= limit:
                yield schedule, start, min(stop, limit)

    def _edges(self, limit: float) -> Iterator[float]:
        for schedule, start, stop in self._spans(limit):
            yield from (start, stop, *(edge for edge in schedule._edges(stop) if start < edge < stop))

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        for schedule, start, stop in self._spans(limit):
            yield from (end for end in schedule._cycle_ends(stop) if start < end <= stop)

    def _span(self) -> int:
        last = updates(self.milestones[-1])
        return known_length(self) or max(last, *(schedule._span() for schedule in self.schedules))


def of_parts(schedules: tuple[Schedule, ...], milestones: tuple[int, ...]) -> switch:
    """A `switch` of what keeps its rules, which are not looked at again: a run that controllers drive has thousands."""
    return checks.unchecked(switch, schedules=schedules, milestones=milestones, _steps=milestones)


def in_force_since(schedule: Schedule, n: int) -> int:
    """The update from which a resolved `switch` follows what it follows at update `n`; 0 for another schedule.

    What is evaluated ahead of `n` can begin there, where `schedule` is that of a run that controllers drive.
    """
    since = 0
    while isinstance(schedule, switch):
        edges = schedule._in_updates
        place = bisect_right(edges, n)
        since = max(since, int(edges[place - 1])) if place else since
        schedule = schedule.schedules[place]
    return since
