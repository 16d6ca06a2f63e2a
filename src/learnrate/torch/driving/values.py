"""The values of one hyper-parameter at consecutive updates, for every parameter group of an optimizer.

Values are computed in blocks, so that an update costs one look-up and one assignment per group, whatever the schedule.
Blocks start at fixed multiples of their size, or where the schedule was replaced: a resumed run reads exactly the floats
that an uninterrupted run reads.
"""

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learnrate import checks
from learnrate.errors import ArgumentError, LostRatiosWarning, PastEndWarning
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length
from learnrate.schedules.switching import in_force_since
from learnrate.torch.driving.ratios import ratios_of, record_initial_lrs, scales
from learnrate.torch.driving.writing import Group, HasGroups, entry_of, unshare, writer_for
from learnrate.user_code import warn

BLOCK = 8192
"""Updates per block."""


Row = tuple[float, ...]
"""The values of one update, one per group."""


class Block:
    """The values of consecutive updates, for the list of parameter groups that existed when the block was computed.

    Attributes:
        first: Number of its first update.
        stop: Number after that of its last update.
        groups: The list of groups that the values are for. Another list, or another length of it, needs a new block.
        size: Number of groups.
        values: One float per update if all groups take the same value by plain assignment (the usual case); otherwise empty.
            An array, because a list of as many floats does not fit into a processor's cache beside a training run.
        rows: One value per group for each update, if `values` is empty.
        writers: How to write into each group, None for assignment; used with `rows`.
        assigned: `values`, or `rows` if every group is written by assignment; otherwise empty.
    """

    __slots__ = ("assigned", "first", "groups", "rows", "size", "stop", "values", "writers")

    def __init__(self, first: int, groups: list[Group], key: str, columns: list[NDArray[np.float64]]) -> None:
        self.first, self.stop = first, first + len(columns[0])
        self.groups, self.size = groups, len(groups)
        self.writers = [writer_for(key, group) for group in groups]
        same = len(columns) == 1 and not any(self.writers)
        self.values = array("d", columns[0].tobytes() if same else b"")
        columns = columns * self.size if len(columns) == 1 else columns
        self.rows = [] if same else list(zip(*(column.tolist() for column in columns), strict=True))
        self.assigned: Sequence[float] | Sequence[Row] = self.values or ([] if any(self.writers) else self.rows)

    def covers(self, n: int, groups: list[Group]) -> bool:
        """Whether the block has the values of update `n` for these groups."""
        return self.first <= n < self.stop and groups is self.groups and len(groups) == self.size

    def row(self, n: int) -> list[float]:
        """The values of update `n`, one per group."""
        return [self.values[n - self.first]] * self.size if self.values else list(self.rows[n - self.first])


class ScheduledValues:
    """The values that schedules give one hyper-parameter, for every group of an optimizer.

    Args:
        source: The optimizer. Its groups are looked up again at every update, so that groups that are added later, or
            replaced by `load_state_dict`, get their values.
        key: Name of the hyper-parameter. "momentum" is the first of `betas` in groups that have no "momentum".
        schedule: One for all groups, or one for each group.
        relative: Whether groups keep their ratios: the schedule gives the value of the group whose initial value is the
            largest, and the others follow in proportion. A factor "lr_scale" in a group is applied too.
        reference: The initial LR of which the ratios are shares, if `relative`; None for the largest.
        group_ids: Groups, by their `id`, whose own values were given up before.
        first: The update whose values are computed at once.

    Attributes:
        key: The name of the hyper-parameter.
        schedules: The schedules: one, or one for each group.
        relative: Whether groups keep their ratios.
        reference: The initial LR of which the ratios are shares. It stays the same when groups are added, so that these do
            not change the LRs of the others.
        block: The values of the updates around the last one that was looked up.

    Raises:
        ArgumentError: if there is not one schedule for each group.
        ArgumentTypeError: if a schedule is something else.

    Warns:
        LostRatiosWarning: once, if groups have different values, which one schedule for all of them replaces.
    """

    def __init__(
        self,
        source: HasGroups,
        key: str,
        schedule: Schedule | Sequence[Schedule],
        *,
        relative: bool = False,
        reference: float | None = None,
        group_ids: frozenset[int] = frozenset(),
        first: int = 0,
    ) -> None:
        self.schedules = _as_schedules(key, schedule, len(source.param_groups))
        self.relative, self.reference = relative, reference
        self._source = source
        self.key = key
        lengths = [length for s in self.schedules if (length := known_length(s)) is not None]
        # After the last update of a finite schedule the count equals its length; only the next one is past the end.
        self._overrun = min(lengths) + 1 if lengths else None
        self._may_lose_values = len(self.schedules) == 1 and not relative
        self._group_ids = group_ids
        self.block = self._compute_block(first)

    def following(self, schedule: Schedule | Sequence[Schedule], n: int) -> "ScheduledValues":
        """The same for another schedule, from update `n` on."""
        return ScheduledValues(
            self._source,
            self.key,
            schedule,
            relative=self.relative,
            reference=self.reference,
            group_ids=self._group_ids,
            first=n,
        )

    def refer_to(self, reference: float) -> None:
        """Take the ratios as shares of this initial LR."""
        if reference != self.reference:
            self.reference = reference
            self.block = self._compute_block(self.block.first)

    def write(self, n: int) -> float | Row | None:
        """Write the values of update `n` into all groups.

        Returns:
            The objects that were assigned: one that all groups have now, or one per group. None if a group was not written
            by assignment.
        """
        block = self.block_at(n)
        if block.values:
            value = block.values[n - block.first]
            for group in block.groups:
                group[self.key] = value
            return value
        row = block.rows[n - block.first]
        for group, writer, value in zip(block.groups, block.writers, row, strict=True):
            if writer is None:
                group[self.key] = value
            else:
                writer(group, value)
        return row if block.assigned else None

    def block_at(self, n: int) -> Block:
        """The block of update `n`; computed if the present one does not cover it."""
        if not self.block.covers(n, self._source.param_groups):
            self.block = self._compute_block(n)
        return self.block

    def renew_writers(self) -> None:
        """Compute the block again if a group has a tensor in place of a number now, or the reverse."""
        writers = [writer_for(self.key, group) for group in self._source.param_groups[: self.block.size]]
        if [writer is None for writer in writers] != [writer is None for writer in self.block.writers]:
            self.block = self._compute_block(self.block.first)

    def _compute_block(self, n: int) -> Block:
        stop = n - n % BLOCK + BLOCK
        # A run that is driven has had thousands of schedules: what was followed before the present ones is not needed.
        first = max(stop - BLOCK, min(in_force_since(schedule, n) for schedule in self.schedules))
        if self._overrun is not None and n < self._overrun:
            # The block ends here, so that the overrun is noticed without a comparison at every update.
            stop = min(stop, self._overrun)
        elif self._overrun is not None:
            self._overrun = None
            warn(
                f"{self.key} is driven past the end of {', '.join(map(repr, self.schedules))}, its last value is kept: "
                "train for fewer updates or give a longer schedule",
                PastEndWarning,
            )
        groups = self._source.param_groups
        if self._may_lose_values:
            self._warn_of_lost_values(groups)
        counts = np.arange(first, stop)
        # A shape of the user's own may compute in single precision.
        columns = [np.asarray(schedule(counts), dtype=np.float64) for schedule in self.schedules]
        if self.key == "momentum" and (largest := max(float(column.max()) for column in columns)) >= 1:
            raise ArgumentError(
                f"momentum must be below 1, received {largest} from {', '.join(map(repr, self.schedules))}: "
                "with a momentum of 1 gradients accumulate without bound"
            )
        if len(columns) not in (1, len(groups)):
            raise ArgumentError(
                f"schedules must be one, or one for each parameter group, received {len(columns)} for {len(groups)} groups"
            )
        if self.relative:
            columns = columns * len(groups) if len(columns) == 1 else columns
            factors = self._factors(groups)
            with np.errstate(over="ignore"):  # as the product of two floats, which becomes infinite
                columns = [column * factor for column, factor in zip(columns, factors, strict=True)]
        if len(columns) > 1:
            unshare(self.key, groups)
        return Block(first, groups, self.key, columns)

    def _warn_of_lost_values(self, groups: list[Group]) -> None:
        """Warn once of groups, new since the last call, with values that the schedule replaces."""
        new = [group for group in groups if id(group) not in self._group_ids]
        values = {float(entry_of(self.key, group)) for group in new}
        if self._group_ids and len(new) < len(groups):
            # Added groups. Those that have the optimizer's default were given no value of their own.
            values |= {float(entry_of(self.key, group)) for group in groups if id(group) in self._group_ids}
            values -= {entry_of(self.key, self._source.defaults)}
        self._group_ids = frozenset(id(group) for group in groups)
        scaled = self.key == "lr" and any(scale != 1 for scale in scales(new))
        if len(values) < 2 and not scaled:
            return
        self._may_lose_values = False
        own = ", ".join(f"{float(entry_of(self.key, group)):.6g}" for group in groups)
        own += f" with the factors lr_scale {', '.join(f'{scale:.6g}' for scale in scales(groups))}" if scaled else ""
        relative = "keep their ratios with relative=True, or " if self.key == "lr" else ""
        warn(
            f"the parameter groups have values of {self.key} of their own, which one schedule for all replaces, {own}: "
            f"{relative}give one schedule for each group",
            LostRatiosWarning,
        )

    def _factors(self, groups: list[Group]) -> list[float]:
        """What the schedule is multiplied with in each group."""
        lrs = record_initial_lrs(groups)
        ratios = ratios_of(lrs, self.reference)
        if self.reference is None:
            self.reference = max(lrs)
        return [ratio * scale for ratio, scale in zip(ratios, scales(groups), strict=True)]


def _as_schedules(key: str, schedule: Schedule | Sequence[Schedule], groups: int) -> tuple[Schedule, ...]:
    schedules = tuple(schedule) if isinstance(schedule, (list, tuple)) else (schedule,)
    for entry in schedules:
        if not isinstance(entry, Schedule):
            remedy = "read a text with learnrate.parse, make a constant of a number with learnrate.constant"
            checks.refuse_type(f"the schedule of {key}", "a learnrate schedule", entry, remedy)
    if schedules != (schedule,) and len(schedules) != groups:
        raise ArgumentError(
            f"schedules of {key} must be one for each parameter group, received {len(schedules)} for {groups} groups"
        )
    return schedules
