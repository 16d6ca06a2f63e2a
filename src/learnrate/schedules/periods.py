"""Consecutive periods, each longer than the one before by a constant factor.

The boundaries are computed once, in exact fractions, and kept in a table in which the index of a period is searched. The
usual formula, the floor of a floating-point logarithm, is wrong by one at exact powers, which is where the restarts are.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from learnrate import checks
from learnrate.schedules.numerics import Namespace, as_counts, looked_up, passed, split

LEAST_GROWTH = 1.001
MOST_PERIODS = 10_000
"""Largest number of periods with a smaller growth than `LEAST_GROWTH`: more would fill the memory without visible growth."""

EXACT = 256
"""Number of periods whose starts are computed in fractions. A run has fewer."""


@dataclass(frozen=True)
class _Table:
    """Starts and lengths of the periods that begin below 2 ** 63, and the end of the last one."""

    starts: tuple[float, ...]
    lengths: tuple[float, ...]
    end: float


@lru_cache(maxsize=256)
def _table(period: int, growth: float, times: int | None) -> _Table:
    # The decimal that the user wrote. The float 1.1 is slightly larger, so restarts would come slightly late.
    factor: Fraction | float = Fraction(repr(growth))
    start: Fraction | float = Fraction(0)
    starts: list[float] = []
    lengths: list[float] = []
    length: Fraction | float = Fraction(period)
    while start < 2**63 and (times is None or len(starts) < times):
        starts.append(_plain(start))
        lengths.append(float(min(length, 2.0**64)))
        start, length = start + length, length * factor
        if len(starts) == EXACT:
            start, length, factor = float(start), float(length), growth
    return _Table(tuple(starts), tuple(lengths), _plain(start))


def _plain(count: Fraction | float) -> float:
    return int(count) if count == int(count) else float(count)


def check(name: str, period: int | str, growth: float, times: int | None) -> None:
    """Refuse a growth with so many periods that their table would fill the memory, and periods longer than any run."""
    if 1 < growth < LEAST_GROWTH and (times is None or times > MOST_PERIODS):
        checks.refuse(name, f"1, or at least {LEAST_GROWTH}", growth, f"or repeat at most {MOST_PERIODS} times")
    if isinstance(period, int) and times is not None:
        total(period, growth, times)


def total(period: int, growth: float, times: int) -> int:
    """Length of `times` periods in updates, rounded up.

    Raises:
        ArgumentError: if it is longer than any run.
    """
    length: float = period * times
    if growth > 1:
        table = _table(period, growth, times)
        length = table.end if len(table.starts) == times else math.inf
    if length > checks.LONGEST:
        checks.refuse("all periods together", "at most 2 ** 62 updates", length, f"{times} periods are too many")
    return math.ceil(length)


def spans(period: int, growth: float, times: int | None, limit: float) -> list[tuple[float, float]]:
    """Start and length of the periods that begin at most at `limit`."""
    if growth == 1:
        count = int(limit // period) + 1
        return [(period * i, period) for i in range(count if times is None else min(times, count))]
    table = _table(period, growth, times)
    return [(start, length) for start, length in zip(table.starts, table.lengths, strict=True) if start <= limit]


def ends(period: int, growth: float, times: int | None, limit: float) -> list[float]:
    """The ends of the periods, at least up to `limit`."""
    more = None if times is None else times + 1  # a period ends where the next would begin
    return [start for start, _ in spans(period, growth, more, limit)][1:]


def located(n: Any, period: int, growth: float, times: int | None, xp: Namespace) -> tuple[Any, Any, Any]:
    """Index of the period of count `n`, position in it, and its length. Past the end, the position is the length or more."""
    if growth == 1:
        if times is None:
            return *split(n, period), period
        n = xp.clip(n, None, period * times)
        index, _ = split(n, period)
        index = xp.clip(index, None, times - 1)
        return index, n - index * period, period
    table = _table(period, growth, times)
    begins, lengths = table.starts, table.lengths
    index = passed(n, begins[1:], xp)
    into = n - looked_up([math.floor(begin) for begin in begins], index, n, xp)
    if any(isinstance(begin, float) for begin in begins):
        into = into - looked_up([begin - math.floor(begin) for begin in begins], index, n, xp)
    length = looked_up(lengths, index, n, xp)
    return as_counts(index, n, xp), xp.clip(into, 0, None), length


def first_of(length: int, growth: float, times: int) -> int:
    """Length of the first of `times` growing periods that together have a given length, rounded down."""
    units = float(times)
    if growth > 1:
        exponent = times * math.log(growth)
        units = math.inf if exponent > 700 else math.expm1(exponent) / (growth - 1)
    # The sum of the periods is rounded up.
    first = int(length / units * (1 + 1e-12))
    return first if first < 1 or total(first, growth, times) <= length else first - 1
