"""Consecutive periods of one length, or each longer than the one before by a constant factor.

The boundaries are computed once, in exact fractions, and kept in a table in which the index of a period is searched. The
usual formula, the floor of a floating-point logarithm, is wrong by one at exact powers, which is where the restarts are.

Periods of one length that is no whole number of updates, such as 1502.4, begin at the rounded multiples of the length. A
length that is rounded first would be 180 updates early after 450 periods.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import count, pairwise
from typing import Any

from learnrate import checks
from learnrate.schedules.durations import fraction
from learnrate.schedules.numerics import Namespace, as_counts, looked_up, passed, reach, split

LEAST_GROWTH = 1.001
MOST_PERIODS = 10_000
"""Largest number of periods with a smaller growth than `LEAST_GROWTH`: more would fill the memory without visible growth."""

EXACT = 256
"""Number of periods whose starts are computed in fractions. A run has fewer."""

MOST_EDGES = 10_000_000
"""Largest number of edges in a list, which takes seconds to make."""

FINEST = 10_000
"""Largest denominator of a length in updates: four decimals and any small fraction, such as 3125 / 6, are exact. Any other
length is wrong by 1e-8 at most, which is one update after 10 ** 8 periods; and the table has at most 40,000 edges."""


@dataclass(frozen=True)
class _Table:
    """Starts and lengths of the periods that begin below 2 ** 63, and the end of the last one."""

    starts: tuple[float, ...]
    lengths: tuple[float, ...]
    end: float


@lru_cache(maxsize=256)
def _table(period: float, growth: float, times: int | None) -> _Table:
    # The decimal that the user wrote. The float 1.1 is slightly larger, so restarts would come slightly late.
    factor: Fraction | float = fraction(growth)
    start: Fraction | float = Fraction(0)
    starts: list[float] = []
    lengths: list[float] = []
    length: Fraction | float = _simple(period)
    while start < 2**63 and (times is None or len(starts) < times):
        starts.append(_plain(start))
        lengths.append(float(length) if length < 2**64 else 2.0**64)
        start, length = start + length, length * factor
        if len(starts) == EXACT:
            start, length, factor = float(start), float(length), growth
    return _Table(tuple(starts), tuple(lengths), _plain(start))


def _plain(count: Fraction | float) -> float:
    return int(count) if count == int(count) else float(count)


def _simple(length: float) -> Fraction:
    return fraction(length).limit_denominator(FINEST)


@dataclass(frozen=True)
class _Edges:
    """The rounded edges of lengths that are repeated in turn, up to the update from which all edges repeat."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    total: int


@lru_cache(maxsize=256)
def _edges(lengths: tuple[float, ...]) -> _Edges:
    exact = [_simple(length) for length in lengths]
    if math.lcm(*(length.denominator for length in exact)) > FINEST:
        exact = [Fraction(round(length * FINEST), FINEST) for length in exact]
    rounds = math.lcm(*(length.denominator for length in exact))
    # Halves are rounded to an even number, so the edges repeat only after an even number of updates.
    rounds *= 1 if rounds % 2 else 2
    count, edges = Fraction(0), [0]
    for _ in range(rounds):
        for length in exact:
            count += length
            edges.append(round(count))
    return _Edges(tuple(edges[:-1]), tuple(after - edge for edge, after in pairwise(edges)), edges[-1])


def edge(index: int, lengths: tuple[float, ...]) -> int:
    """The update at which segment number `index` begins, if the segments have these lengths in turn."""
    table = _edges(lengths)
    rounds, within = divmod(index, len(table.starts))
    return rounds * table.total + table.starts[within]


def edges(lengths: tuple[float, ...], segments: int | None, limit: float) -> Iterator[int]:
    """The ends of the segments, up to `limit`.

    Raises:
        ArgumentError: if they are too many for a list.
    """
    number = limit * len(lengths) / sum(lengths)
    if min(number, math.inf if segments is None else segments) > MOST_EDGES:
        checks.refuse("the last count to consider", f"so low that at most {MOST_EDGES} boundaries come before", limit)
    for index in count(1) if segments is None else range(1, segments + 1):
        if (end := edge(index, lengths)) > limit:
            return
        yield end


def segment(n: Any, lengths: tuple[float, ...], xp: Namespace) -> tuple[Any, Any, Any]:
    """Index of the segment of count `n`, position in it, and its length."""
    table = _edges(lengths)
    rounds, within = split(n, table.total) if table.total <= reach(n, xp) else (0, n)
    index = passed(within, table.starts[1:], xp)
    into = within - looked_up(table.starts, index, within, xp)
    length = looked_up(table.lengths, index, within, xp)
    return rounds * len(table.starts) + as_counts(index, n, xp), into, length


def index_of(n: Any, period: float, xp: Namespace) -> Any:
    """The number of whole periods in `n`."""
    return n // period if isinstance(period, int) else segment(n, (period,), xp)[0]


def floored(n: Any, period: float, xp: Namespace) -> Any:
    """The update at which the period of `n` begins."""
    if isinstance(period, int):
        return n // period * period
    table = _edges((period,))
    rounds, within = split(n, table.total) if table.total <= reach(n, xp) else (0, n)
    return rounds * table.total + looked_up(table.starts, passed(within, table.starts[1:], xp), within, xp)


def check(name: str, period: float | str, growth: float, times: int | None) -> None:
    """Refuse a growth with so many periods that their table would fill the memory, and periods longer than any run."""
    if 1 < growth < LEAST_GROWTH and (times is None or times > MOST_PERIODS):
        checks.refuse(name, f"1, or at least {LEAST_GROWTH}", growth, f"or repeat at most {MOST_PERIODS} times")
    if not isinstance(period, str) and times is not None:
        total(period, growth, times)


def total(period: float, growth: float, times: int) -> int:
    """Length of `times` periods in updates, rounded up if they grow.

    Raises:
        ArgumentError: if it is longer than any run.
    """
    length: float = edge(times, (period,))
    if growth > 1:
        table = _table(period, growth, times)
        length = table.end if len(table.starts) == times else math.inf
    if length > checks.LONGEST:
        checks.refuse("all periods together", "at most 2 ** 62 updates", length, f"{times} periods are too many")
    return math.ceil(length)


def spans(period: float, growth: float, times: int | None, limit: float) -> list[tuple[float, float]]:
    """Start and length of the periods that begin at most at `limit`."""
    if growth == 1:
        starts = [0, *edges((period,), None if times is None else times - 1, limit)]
        return [(start, edge(i + 1, (period,)) - start) for i, start in enumerate(starts)]
    table = _table(period, growth, times)
    return [(start, length) for start, length in zip(table.starts, table.lengths, strict=True) if start <= limit]


def ends(period: float, growth: float, times: int | None, limit: float) -> list[float]:
    """The ends of the periods, at least up to `limit`."""
    more = None if times is None else times + 1  # a period ends where the next would begin
    return [start for start, _ in spans(period, growth, more, limit)][1:]


def ends_between(period: float, low: float, high: float) -> Iterator[int]:
    """The ends of periods without growth that are above `low` and at most `high`."""
    first = max(1, math.floor(low / period) - 1)  # rounded edges are less than an update away from the multiples
    if (high - low) / period > MOST_EDGES:
        checks.refuse("the last count to consider", f"so low that at most {MOST_EDGES} boundaries come before", high)
    for index in count(first):
        if (end := edge(index, (period,))) > high:
            return
        if end > low:
            yield end


def located(n: Any, period: float, growth: float, times: int | None, xp: Namespace) -> tuple[Any, Any, Any]:
    """Index of the period of count `n`, position in it, and its length. Past the end, the position is the length or more."""
    if growth == 1 and not isinstance(period, int):
        return _located_between_rounded_edges(n, period, times, xp)
    if growth == 1 and isinstance(period, int):
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
        into = xp.clip(into - looked_up([begin - math.floor(begin) for begin in begins], index, n, xp), 0, None)
    length = looked_up(lengths, index, n, xp)
    return as_counts(index, n, xp), into, length


def _located_between_rounded_edges(n: Any, period: float, times: int | None, xp: Namespace) -> tuple[Any, Any, Any]:
    if times is None:
        return segment(n, (period,), xp)
    end = edge(times, (period,))
    inside = xp.clip(n, None, end - 1)  # the last update, which belongs to the last period, as the end does
    index, into, length = segment(inside, (period,), xp)
    return index, into + (xp.clip(n, None, end) - inside), length


def first_of(length: int, growth: float, times: int) -> int:
    """Length of the first of `times` growing periods that together have a given length, rounded down."""
    units = float(times)
    if growth > 1:
        exponent = times * math.log(growth)
        units = math.inf if exponent > 700 else math.expm1(exponent) / (growth - 1)
    # The sum of the periods is rounded up.
    first = int(length / units * (1 + 1e-12))
    return first if first < 1 or total(first, growth, times) <= length else first - 1
