"""The updates with which cycles of a schedule begin."""

import math

from learnrate.schedules import Schedule

MOST = 1_000_000
"""Cycles that are looked at. With more, cycles have a few updates each, after which nothing has to be learned again."""


class Restarts:
    """Says whether a cycle begins at an update. The ends of cycles are listed ahead, twice as far each time.

    Args:
        schedule: A resolved schedule.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule, self._limit, self._ends = schedule, -1, frozenset[float]()

    def at(self, update: int) -> bool:
        """Whether a cycle ends just before this update."""
        if update > self._limit:
            self._limit = 2 * update + 1000
            if len(self._ends) < MOST:
                self._ends = frozenset(map(math.ceil, self._schedule.cycle_ends(self._limit)))
        return update in self._ends
