"""Schedules that are constant between jumps, without end."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, ClassVar

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError
from learnrate.schedules import durations, periods
from learnrate.schedules.decays import Endless
from learnrate.schedules.durations import updates
from learnrate.schedules.numerics import NUMBERS, Namespace, later, looked_up, passed, power

__all__ = ["multistep", "piecewise_constant", "step_decay"]


@frozen
class step_decay(Endless):
    """Step decay: value(n) = start * factor ** floor((n + offset) / every).

    With factor 1/2 and every="30 epochs" the value is halved every 30 epochs. offset=1 is the form with floor((1 + n) / r).

    Args:
        start: Value before the first step, above 0.
        factor: Factor per step, above 0 and at most 1.
        every: Length of a step: updates, at least 1, or a text. Step number k begins at update round(k * every), so a length
            that is no whole number of updates does not drift.
        offset: Number of updates by which every step is earlier, at least 0, or a text.

    Raises:
        ArgumentError: if a number is out of its range.

    Example:
        >>> s = step_decay(1.0, factor=0.5, every=10)
        >>> s(9), s(10), s(20), step_decay(1.0, 0.5, 10, offset=1)(9)
        (1.0, 0.5, 0.25, 0.5)
    """

    start: float = checked(checks.positive_or_traced)
    factor: float = checked(checks.decay)
    every: float | str = checked(durations.period)
    offset: int | str = checked(durations.pause, default=0)

    def _at(self, n: Any, xp: Namespace) -> Any:
        offset = updates(self.offset)
        steps = periods.index_of(later(n, offset, xp) if offset else n, updates(self.every), xp)
        return self.start * power(self.factor, steps)

    def _range(self) -> tuple[float, float]:
        return (self.start if self.factor == 1 else 0.0), self(0)

    def _edges(self, limit: float) -> Iterator[float]:
        offset, every = updates(self.offset), updates(self.every)
        yield from (step - offset for step in periods.ends_between(every, offset, limit + offset))


@frozen
class multistep(Endless):
    """A factor at each milestone: value(n) = start * factor ** (number of milestones <= n).

    Args:
        start: Value before the first milestone, above 0.
        factor: Factor per milestone, above 0 and at most 1.
        milestones: Update numbers in ascending order, or texts such as "30 epochs" or "80%". They count from the start of
            this schedule. Behind a warm-up, shift them to count from the start of the run:
            warmup(0.1, "2%") >> multistep(0.1, 0.1, ("80%", "90%")).shift("-2%").

    Raises:
        ArgumentError: if a number is out of its range, or the milestones are not in ascending order.

    Example:
        >>> s = multistep(0.1, factor=0.1, milestones=(30, 60))
        >>> s(29), round(s(30), 12), round(s(60), 12)
        (0.1, 0.01, 0.001)
    """

    start: float = checked(checks.positive_or_traced)
    factor: float = checked(checks.decay)
    milestones: tuple[int | str, ...] = checked(durations.moments)

    def _at(self, n: Any, xp: Namespace) -> Any:
        values = [self.start * self.factor**i for i in range(len(self.milestones) + 1)]
        return _stairs(values, self.milestones, n, xp)

    def _range(self) -> tuple[float, float]:
        return self.start * self.factor ** len(self.milestones), self.start

    def _edges(self, limit: float) -> Iterator[float]:
        yield from map(updates, self.milestones)


@frozen
class piecewise_constant(Endless):
    """Constant between milestones: value(n) = values[number of milestones <= n].

    A milestone is the first update with the new value; Keras' PiecewiseConstantDecay keeps the old value one update longer.

    Args:
        values: The values, each at least 0; one more than there are milestones.
        milestones: Update numbers in ascending order, or texts such as "30 epochs" or "80%". They count from the start of
            this schedule. Behind a warm-up, shift them to count from the start of the run:
            warmup(0.1, "2%") >> multistep(0.1, 0.1, ("80%", "90%")).shift("-2%").

    Raises:
        ArgumentError: if a value is negative or not finite, the milestones are not in ascending order, or the number of
            values is wrong.

    Example:
        >>> s = piecewise_constant(values=(0.1, 0.05, 0.2), milestones=(10, 20))
        >>> s(9), s(10), s(20)
        (0.1, 0.05, 0.2)
    """

    values: tuple[float, ...] = checked(checks.several(checks.rate_or_traced, of="numbers"))
    milestones: tuple[int | str, ...] = checked(durations.moments)

    _steps: ClassVar[tuple[float, ...] | None] = None
    """The milestones if all are update numbers, which is looked at once: a run that controllers drive has thousands."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.values) != len(self.milestones) + 1:
            raise ArgumentError(
                f"values must have one item more than milestones, received {len(self.values)} values "
                f"and {len(self.milestones)} milestones"
            )
        if not any(isinstance(milestone, str) for milestone in self.milestones):
            object.__setattr__(self, "_steps", self.milestones)

    def _at(self, n: Any, xp: Namespace) -> Any:
        if xp is NUMBERS:
            return self.values[bisect_right(self._steps or [updates(milestone) for milestone in self.milestones], n)]
        return _stairs(self.values, self.milestones, n, xp)

    def _range(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    def _edges(self, limit: float) -> Iterator[float]:
        yield from map(updates, self.milestones)


def of_numbers(values: tuple[float, ...], milestones: tuple[int, ...]) -> piecewise_constant:
    """A `piecewise_constant` of numbers that keep its rules. They are not looked at again: controllers add one at a time."""
    return checks.unchecked(piecewise_constant, values=values, milestones=milestones, _steps=milestones)


_FEW = 16
"""Up to this number of milestones a comparison with each is faster than a search, above all in a compiled function."""


def _stairs(values: Any, milestones: tuple[int | str, ...], n: Any, xp: Namespace) -> Any:
    edges = [updates(milestone) for milestone in milestones]
    if xp is NUMBERS or len(edges) > _FEW:
        return looked_up(values, passed(n, edges, xp), n, xp)
    value = values[0] + 0.0 * n
    for edge, following in zip(edges, values[1:], strict=True):
        value = xp.where(n < edge, value, following)
    return value
