"""A long series in bounded memory: buckets of rows with their extremes, in levels, each half as fine as the one before."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

MOST = 2**17
"""Buckets of the finest level: with three columns, all levels together take 40 MB."""

FEWEST = 256
"""Buckets below which there is no coarser level: a screen shows as many anyway."""

LOW, HIGH, LAST, TOTAL, COUNT, BROKEN = range(6)
"""What a bucket has of each column: its extremes, its last value, sum and number of the finite values, number of others."""


class _Level:
    """The buckets of one level: the first and the last update of each, and their statistics for each column."""

    def __init__(self, columns: int) -> None:
        self.size = 0
        self.updates = np.empty((2, FEWEST), np.int64)
        self.values = np.empty((6, columns, FEWEST))

    def put(self, start: int, updates: Array, values: Array) -> None:
        """Write buckets from an index on; they are the last ones then."""
        end = start + updates.shape[1]
        if end > self.updates.shape[1]:
            room = max(end, 2 * self.updates.shape[1]) - self.updates.shape[1]
            self.updates = np.pad(self.updates, ((0, 0), (0, room)))
            self.values = np.pad(self.values, ((0, 0), (0, 0), (0, room)))
        self.updates[:, start:end], self.values[:, :, start:end] = updates, values
        self.size = end


class Thinned:
    """A series over the updates of a run, of which no extreme is lost however long it is.

    While there are few rows, each has a bucket of its own. When the finest level is full it is left out, and the next one,
    whose buckets have twice as many rows, is the finest. So a row costs the same on average, and memory is bounded.

    Args:
        columns: Names of the columns.
        most: Buckets of the finest level.

    Attributes:
        width: Rows in a bucket of the finest level.
        rows: Number of rows so far.
    """

    def __init__(self, columns: Sequence[str], most: int = MOST) -> None:
        self.columns = tuple(columns)
        self.width, self.rows = 1, 0
        self._most = most
        self._levels = [_Level(len(self.columns))]

    @property
    def first(self) -> int | None:
        """The first update; None while there is none."""
        finest = self._levels[0]
        return int(finest.updates[0, 0]) if finest.size else None

    @property
    def last(self) -> int | None:
        """The last update; None while there is none."""
        finest = self._levels[0]
        return int(finest.updates[1, finest.size - 1]) if finest.size else None

    def append(self, updates: Array, values: Array) -> None:
        """Add rows.

        Args:
            updates: Their numbers, rising. If the first is not above the last one that is here, the run was set back: what
                is here from that update on is forgotten.
            values: One row for each column. NaN: there is no value; an infinity: it was not finite.
        """
        falls = np.flatnonzero(np.diff(updates) <= 0) + 1
        for part, block in zip(np.split(updates, falls), np.split(values, falls, axis=1), strict=True):
            if self.last is not None and len(part) and part[0] <= self.last:
                self._forget_from(int(part[0]))
            for start in range(0, len(part), self._most):
                self._append(part[start : start + self._most], block[:, start : start + self._most])

    def _append(self, updates: Array, values: Array) -> None:
        finest = self._levels[0]
        finite, given = np.isfinite(values), ~np.isnan(values)
        drawn = np.where(finite, values, np.nan)
        rows = np.stack([drawn, drawn, drawn, np.where(finite, values, 0.0), finite, given & ~finite])
        numbers = np.stack([updates, updates])
        begun = self.rows % self.width  # rows in a bucket that is not full yet
        if begun:
            numbers = np.concatenate([finest.updates[:, finest.size - 1 : finest.size], numbers], axis=1)
            rows = np.concatenate([finest.values[:, :, finest.size - 1 : finest.size], rows], axis=2)
        at = (np.arange(len(updates)) + begun) // self.width
        starts = np.flatnonzero(np.diff(at, prepend=-1))
        if begun:  # the bucket itself stands before the rows that it takes
            starts = np.concatenate([[0], starts[1:] + 1]) if len(starts) else starts
        start = finest.size - (begun > 0)
        finest.put(start, *_grouped(numbers, rows, starts))
        self.rows += len(updates)
        self._propagate(start)
        while self._levels[0].size >= self._most and len(self._levels) > 1:
            self._levels.pop(0)
            self.width *= 2

    def _propagate(self, start: int) -> None:
        """Bring the coarser levels up to date with the finest one, which changed from an index on."""
        index = 0
        while self._levels[index].size > FEWEST:
            fine = self._levels[index]
            if index + 1 == len(self._levels):
                self._levels.append(_Level(len(self.columns)))
                start = 0
            start -= start % 2
            pairs = np.arange(0, fine.size - start, 2)
            updates, values = fine.updates[:, start : fine.size], fine.values[:, :, start : fine.size]
            self._levels[index + 1].put(start // 2, *_grouped(updates, values, pairs))
            start, index = start // 2, index + 1
        del self._levels[index + 1 :]

    def _forget_from(self, update: int) -> None:
        finest = self._levels[0]
        finest.size = int(np.searchsorted(finest.updates[1, : finest.size], update))
        self.rows = min(self.rows, finest.size * self.width)
        self._levels = self._levels[:1]
        self._propagate(0)

    def window(self, start: float, end: float, points: int) -> tuple[Array, Array]:
        """The buckets of a part of the run, and one more at each side.

        Args:
            start: First update.
            end: Last update.
            points: Most buckets; there are at least half as many if the run has them.

        Returns:
            The first and last updates of the buckets, `(2, n)`; their statistics, `(6, columns, n)`.
        """
        for level in self._levels:
            left = max(0, int(np.searchsorted(level.updates[1, : level.size], start)) - 1)
            right = min(level.size, int(np.searchsorted(level.updates[0, : level.size], end, side="right")) + 1)
            if right - left <= points + 2:
                break
        return level.updates[:, left:right].copy(), level.values[:, :, left:right].copy()


def _grouped(updates: Array, values: Array, starts: Array) -> tuple[Array, Array]:
    """Buckets, each made of neighbouring buckets."""
    ends = np.append(starts[1:], updates.shape[1]) - 1
    grouped = np.empty((*values.shape[:2], len(starts)))
    # fmin and fmax pass over NaN. LAST is that of the last bucket, though its value may be missing.
    np.fmin.reduceat(values[LOW], starts, axis=1, out=grouped[LOW])
    np.fmax.reduceat(values[HIGH], starts, axis=1, out=grouped[HIGH])
    grouped[LAST] = values[LAST][:, ends]
    np.add.reduceat(values[TOTAL:], starts, axis=2, out=grouped[TOTAL:])
    return np.stack([updates[0, starts], updates[1, ends]]), grouped
