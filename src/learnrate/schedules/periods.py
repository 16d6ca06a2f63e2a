"""Periods that follow one another, each longer than the one before by a constant factor.

The boundaries stand in a table, computed once from powers of the factor. The index of a period is looked up there, because
the usual formula, the floor of a floating-point logarithm, is off by one at exact powers: just where the restarts are.
"""

import math
from functools import lru_cache
from typing import Any

from learnrate import checks
from learnrate.schedules.numerics import Namespace, as_counts, looked_up, passed, split

LEAST_GROWTH = 1.001
MOST_PERIODS = 10_000
"""With a smaller growth, so many periods at most: more fill the memory, and none shows it."""


@lru_cache(maxsize=256)
def _table(period: int, growth: float, times: int | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Starts and lengths of the periods, of all that begin below 2 ** 63 where there is no number of times."""
    factor = int(growth) if growth.is_integer() else growth
    starts: list[float] = []
    lengths: list[float] = []
    while times is None or len(starts) < times:
        power = factor ** len(starts)
        start = period * (power - 1) / (factor - 1) if isinstance(factor, float) else period * (power - 1) // (factor - 1)
        if start >= 2**63:
            break
        starts.append(int(start) if float(start).is_integer() else start)
        lengths.append(period * power)
    return tuple(starts), tuple(lengths)


def check_growth(name: str, growth: float, times: int | None) -> None:
    """Refuse a growth that would never show, but fill the memory with boundaries."""
    if 1 < growth < LEAST_GROWTH and (times is None or times > MOST_PERIODS):
        checks.refuse(name, f"1, or at least {LEAST_GROWTH}", growth, f"or repeat at most {MOST_PERIODS} times")


def total(period: int, growth: float, times: int) -> int:
    """Length of so many periods, in whole updates."""
    if growth == 1:
        return period * times
    starts, lengths = _table(period, growth, times)
    return math.ceil(starts[-1] + lengths[-1])


def starts(period: int, growth: float, times: int | None, limit: float) -> list[float]:
    """Where the periods begin, up to a limit."""
    if growth == 1:
        count = int(limit // period) + 1
        return [period * i for i in range(count if times is None else min(times, count))]
    return [start for start in _table(period, growth, times)[0] if start <= limit]


def located(n: Any, period: int, growth: float, times: int | None, xp: Namespace) -> tuple[Any, Any, Any]:
    """Which period count `n` is in, how far in it, and how long that one is; at the end of the last, past its end."""
    if growth == 1:
        if times is None:
            return *split(n, period), period
        n = xp.clip(n, None, period * times)
        index, _ = split(n, period)
        index = xp.clip(index, None, times - 1)
        return index, n - index * period, period
    begins, lengths = _table(period, growth, times)
    index = passed(n, begins[1:], xp)
    whole = looked_up([math.floor(begin) for begin in begins], index, n, xp)
    into = n - whole
    if any(isinstance(begin, float) for begin in begins):
        into = into - looked_up([begin - math.floor(begin) for begin in begins], index, n, xp)
    length = looked_up([float(length) for length in lengths], index, n, xp)
    return as_counts(index, n, xp), xp.clip(into, 0, None), length
