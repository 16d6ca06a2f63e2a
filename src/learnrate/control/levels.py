"""The level of a noisy series, and values that are clipped to its neighbourhood, so that no single one counts too much."""

import math
from typing import Any, NamedTuple

from learnrate.schedules.numerics import Namespace

REMEMBERED = 50
"""Values over which the level is averaged: enough for a mean distance within 10 %, few enough to follow a fall."""

CLIPPED = 6.0
"""Mean distances from the level at which a value is clipped: 4.8 standard deviations of normal noise."""

FREE = 10
"""Values at the start that are not clipped, because the distances are not known yet."""


class Level(NamedTuple):
    """The average of the last values.

    Attributes:
        values: Number of values so far.
        level: The average.
        spread: The average distance from it.
    """

    values: Any = 0
    level: Any = 0.0
    spread: Any = 0.0


def leveled(before: Level, value: Any, xp: Namespace) -> tuple[Level, Any, Any]:
    """Take in a value.

    Returns:
        The level; the value, clipped, or 0 if it is not finite; whether it is finite.
    """
    where = xp.where
    usable = value - value == 0  # neither NaN nor infinite, in every library
    level = where(before.values < 1, value, before.level)
    limit = where(before.values < FREE, math.inf, CLIPPED * before.spread)
    off = xp.clip(where(usable, value - level, 0.0), -limit, limit)
    gain = 1 / xp.clip(before.values, 1, REMEMBERED)
    spread = where(before.values < 1, 0.0, before.spread + gain * (xp.abs(off) - before.spread))
    after = Level(
        before.values + where(usable, 1, 0),
        where(usable, level + gain * off, before.level),
        where(usable, spread, before.spread),
    )
    return after, where(usable, level + off, 0.0), usable
