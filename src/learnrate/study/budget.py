"""What a comparison may cost: a number of seeds, of updates, or a time."""

import math
import re
from dataclasses import dataclass

from learnrate import checks
from learnrate.errors import ArgumentError

MOST_SEEDS = 30
"""Seeds to which a comparison adds at most, unless a budget is given. With 30, a difference of one standard deviation of
the paired differences is nearly always found (benchmarks/until_sure.py)."""

_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_TEXT = re.compile(
    r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*(seed|update|second|minute|hour|day)s?\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Budget:
    """What a comparison may cost. No training begins after it is spent; those in progress end as planned.

    Attributes:
        seeds: Most seeds of each arm.
        updates: Most updates of all trainings together, also of those that the study already has.
        seconds: Most time of this call.
    """

    seeds: float = math.inf
    updates: float = math.inf
    seconds: float = math.inf


def read(budget: object, until_sure: bool) -> Budget:
    """Read a budget as a user gives it.

    Args:
        budget: A text such as "20 seeds", "500000 updates" or "2 hours"; None for no limit, or if seeds are added until the
            difference is sure, for 30 seeds.
        until_sure: Whether seeds are added.

    Raises:
        ArgumentError: if it is no such text, or names a number of seeds where none are added.
        ArgumentTypeError: if it is no text.

    Example:
        >>> read("1.5 hours", False), read(None, True).seeds
        (Budget(seeds=inf, updates=inf, seconds=5400.0), 30)
    """
    if budget is None:
        return Budget(seeds=MOST_SEEDS) if until_sure else Budget()
    text = checks.text("budget", budget)
    match = _TEXT.fullmatch(text)
    number = float(match[1] + (match[2] or "")) if match else 0.0
    if match is None or not 0 < number < math.inf:
        raise ArgumentError(
            "budget must be a text such as '20 seeds', '500000 updates' or '2 hours', above 0, "
            f"received {checks.shown(text)}"
        )
    unit = match[3].lower()
    if unit == "seed":
        if not until_sure:
            checks.refuse("budget", "updates or a time unless until_sure=True", text, "give the number of seeds as seeds=")
        return Budget(seeds=math.floor(number))
    if unit == "update":
        return Budget(updates=number)
    return Budget(seconds=number * _SECONDS[unit])
