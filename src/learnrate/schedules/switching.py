"""Another schedule from an update of the run on: what a run followed whose schedule was replaced."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError
from learnrate.schedules import durations
from learnrate.schedules.base import Schedule, known_length, require_schedule
from learnrate.schedules.durations import Horizon, updates
from learnrate.schedules.numerics import NUMBERS, Namespace, known_range

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
        return max(last, *map(updates, self.milestones))

    def _resolve(self, horizon: Horizon, rest: int | None) -> Schedule:
        schedules = tuple(schedule._resolve(horizon, rest) for schedule in self.schedules)
        return replace(super()._resolve(horizon, rest), schedules=schedules)  # type: ignore[type-var]

    def _at(self, n: Any, xp: Namespace) -> Any:
        if xp is NUMBERS:
            return self.schedules[bisect_right(self._steps or [updates(milestone) for milestone in self.milestones], n)]._at(
                n, xp
            )
        edges = [updates(milestone) for milestone in self.milestones]
        low, high = known_range(n, xp)
        first, last = bisect_right(edges, low), bisect_right(edges, high)
        value = self.schedules[first]._at(n, xp)
        for edge, schedule in zip(edges[first:last], self.schedules[first + 1 : last + 1], strict=True):
            value = xp.where(n < edge, value, schedule._at(n, xp))
        return value

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
        last = max(map(updates, self.milestones), default=0)
        return known_length(self) or max(last, *(schedule._span() for schedule in self.schedules))
