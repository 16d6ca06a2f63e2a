"""The values of one hyper-parameter at consecutive updates, for every parameter group of an optimizer.

Values are computed in blocks, so that an update costs one look-up and one assignment per group, whatever the schedule.
Blocks start at fixed multiples of their size: a resumed run reads exactly the floats that an uninterrupted run reads.
"""

from collections.abc import Sequence

import numpy as np
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError, PastEndWarning
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length
from learnrate.torch.driving.ratios import initial_ratios
from learnrate.torch.driving.writing import Group, unshare, writer_for
from learnrate.user_code import warn

BLOCK = 8192
"""Updates per block."""


class Block:
    """The values of consecutive updates, for the list of parameter groups that existed when the block was computed.

    Attributes:
        first: Number of its first update.
        stop: Number after that of its last update.
        groups: The list of groups that the values are for. Another list, or another length of it, needs a new block.
        size: Number of groups.
        values: One float per update if all groups take the same value by plain assignment (the usual case); otherwise empty.
        rows: One value per group for each update, if `values` is empty.
        writers: How to write into each group, None for assignment; used with `rows`.
    """

    __slots__ = ("first", "groups", "rows", "size", "stop", "values", "writers")

    def __init__(self, first: int, groups: list[Group], key: str, columns: list[list[float]]) -> None:
        self.first, self.stop = first, first + len(columns[0])
        self.groups, self.size = groups, len(groups)
        self.writers = [writer_for(key, group) for group in groups]
        same = len(columns) == 1 and not any(self.writers)
        self.values = columns[0] if same else []
        columns = columns * self.size if len(columns) == 1 else columns
        self.rows = [] if same else list(zip(*columns, strict=True))

    def covers(self, n: int, groups: list[Group]) -> bool:
        """Whether the block has the values of update `n` for these groups."""
        return self.first <= n < self.stop and groups is self.groups and len(groups) == self.size

    def row(self, n: int) -> list[float]:
        """The values of update `n`, one per group."""
        return [self.values[n - self.first]] * self.size if self.values else list(self.rows[n - self.first])


class ScheduledValues:
    """The values that schedules give one hyper-parameter, for every group of an optimizer.

    Args:
        optimizer: Its groups are looked up again at every update, so that groups that are added later, or replaced by
            `load_state_dict`, get their values.
        key: "lr" or "momentum" (the first of `betas` if the optimizer has no "momentum").
        schedule: One for all groups, or one for each group.
        relative: Whether groups keep their ratios: the schedule gives the value of the group whose initial value is the
            largest, and the others follow in proportion.

    Attributes:
        key: The name of the hyper-parameter in the groups.
        block: The values of the updates around the last one that was looked up.

    Raises:
        ArgumentError: if there is not one schedule for each group, or the optimizer does not have the hyper-parameter.
        ArgumentTypeError: if a schedule is something else.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        key: str,
        schedule: Schedule | Sequence[Schedule],
        *,
        relative: bool = False,
    ) -> None:
        self._schedules = _as_schedules(key, schedule, optimizer)
        self._relative = relative
        self._optimizer = optimizer
        self.key = _group_key(key, optimizer)
        lengths = [length for s in self._schedules if (length := known_length(s)) is not None]
        # After the last update of a finite schedule the count equals its length; only the next one is past the end.
        self._overrun = min(lengths) + 1 if lengths else None
        self.block = self._compute_block(0)

    def write(self, n: int) -> None:
        """Write the values of update `n` into all groups."""
        block = self.block_at(n)
        if block.values:
            value, key = block.values[n - block.first], self.key
            for group in block.groups:
                group[key] = value
        else:
            for group, writer, value in zip(block.groups, block.writers, block.rows[n - block.first], strict=True):
                if writer is None:
                    group[self.key] = value
                else:
                    writer(group, value)

    def block_at(self, n: int) -> Block:
        """The block of update `n`; computed if the present one does not cover it."""
        if not self.block.covers(n, self._optimizer.param_groups):
            self.block = self._compute_block(n)
        return self.block

    def _compute_block(self, n: int) -> Block:
        first = n - n % BLOCK
        stop = first + BLOCK
        if self._overrun is not None and n < self._overrun:
            # The block ends here, so that the overrun is noticed without a comparison at every update.
            stop = min(stop, self._overrun)
        elif self._overrun is not None:
            self._overrun = None
            warn(
                f"{self.key} is driven past the end of {', '.join(map(repr, self._schedules))}, its last value is kept: "
                "train for fewer updates or give a longer schedule",
                PastEndWarning,
            )
        groups = self._optimizer.param_groups
        counts = np.arange(first, stop)
        columns = [schedule(counts).tolist() for schedule in self._schedules]
        if self.key != "lr" and (largest := max(map(max, columns))) >= 1:
            raise ArgumentError(
                f"momentum must be below 1, received {largest} from {', '.join(map(repr, self._schedules))}: "
                "with a momentum of 1 gradients accumulate without bound"
            )
        if len(columns) not in (1, len(groups)):
            raise ArgumentError(
                f"schedules must be one, or one for each parameter group, received {len(columns)} for {len(groups)} groups"
            )
        if self._relative:
            columns = columns * len(groups) if len(columns) == 1 else columns
            ratios = initial_ratios(groups)
            columns = [[value * ratio for value in column] for column, ratio in zip(columns, ratios, strict=True)]
        if len(columns) > 1:
            unshare(self.key, groups)
        return Block(first, groups, self.key, columns)


def _as_schedules(key: str, schedule: Schedule | Sequence[Schedule], optimizer: Optimizer) -> tuple[Schedule, ...]:
    schedules = tuple(schedule) if isinstance(schedule, (list, tuple)) else (schedule,)
    for entry in schedules:
        if not isinstance(entry, Schedule):
            remedy = "read a text with learnrate.parse, make a constant of a number with learnrate.constant"
            checks.refuse_type(f"the schedule of {key}", "a learnrate schedule", entry, remedy)
    if schedules != (schedule,) and len(schedules) != len(optimizer.param_groups):
        raise ArgumentError(
            f"schedules of {key} must be one for each parameter group, received {len(schedules)} for "
            f"{len(optimizer.param_groups)} groups"
        )
    return schedules


def _group_key(key: str, optimizer: Optimizer) -> str:
    """The name under which every group of this optimizer has the hyper-parameter."""
    names = {"lr": ("lr",), "momentum": ("momentum", "betas")}[key]
    for name in names:
        if all(name in group for group in optimizer.param_groups):
            return name
    raise ArgumentError(
        f"the optimizer must have {' or '.join(names)} in its parameter groups, {type(optimizer).__name__} does not"
    )
