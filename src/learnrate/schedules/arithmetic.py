"""What the operators * and + of a schedule return."""

from collections.abc import Iterator
from typing import Any, ClassVar

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.schedules.base import Schedule, require_schedule
from learnrate.schedules.chain import in_parentheses, joined
from learnrate.schedules.combine import Wrapped
from learnrate.schedules.numerics import Namespace

__all__ = ["Product", "Scaled", "Sum"]


@frozen
class Scaled(Wrapped):
    """A schedule times a number: the result of `s * 0.5`."""

    _precedence: ClassVar[int] = 2

    schedule: Schedule = checked(require_schedule)
    factor: float = checked(checks.positive_or_traced)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not checks.is_traced(self.factor) and self.factor > 1e100:
            checks.refuse("factor", "at most 1e100", self.factor)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.schedule._at(n, xp) * self.factor

    def _range(self) -> tuple[float, float]:
        low, high = self.schedule._range()
        return low * self.factor, high * self.factor

    def __repr__(self) -> str:
        return f"{in_parentheses(self.schedule, 2)} * {self.factor!r}"


class _Both(Schedule):
    """What a product and a sum share: two schedules, from the same update on."""

    first: Schedule
    second: Schedule

    @property
    def length(self) -> int | str | None:
        """The longer of both lengths; None if one has no end."""
        return joined([self.first.length, self.second.length], max)

    def _edges(self, limit: float) -> Iterator[float]:
        yield from self.first._edges(limit)
        yield from self.second._edges(limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from self.first._cycle_ends(limit)
        yield from self.second._cycle_ends(limit)

    def _span(self) -> int:
        return max(self.first._span(), self.second._span())


@frozen
class Product(_Both):
    """The product of two schedules: the result of `s * t`. It ends when both have ended."""

    _precedence: ClassVar[int] = 2

    first: Schedule = checked(require_schedule)
    second: Schedule = checked(require_schedule)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.first._at(n, xp) * self.second._at(n, xp)

    def _range(self) -> tuple[float, float]:
        # No value is below 0, so the products of the bounds are bounds of the products.
        (low, high), (other_low, other_high) = self.first._range(), self.second._range()
        return low * other_low, high * other_high

    def __repr__(self) -> str:
        return f"{in_parentheses(self.first, 2)} * {in_parentheses(self.second, 3)}"


@frozen
class Sum(_Both):
    """The sum of two schedules: the result of `s + t`. It ends when both have ended."""

    _precedence: ClassVar[int] = 1

    first: Schedule = checked(require_schedule)
    second: Schedule = checked(require_schedule)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.first._at(n, xp) + self.second._at(n, xp)

    def _range(self) -> tuple[float, float]:
        (low, high), (other_low, other_high) = self.first._range(), self.second._range()
        return low + other_low, high + other_high

    def __repr__(self) -> str:
        return f"{in_parentheses(self.first, 1)} + {in_parentheses(self.second, 2)}"
