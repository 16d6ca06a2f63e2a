"""Counts updates and writes the scheduled values of the next one, at little more than the cost of the assignments."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile, islice
from typing import Any

from torch import Tensor

from learnrate import checks
from learnrate.errors import OverruledWarning
from learnrate.schedules import Schedule
from learnrate.torch.driving.registry import require_attached
from learnrate.torch.driving.state import warn_of_another_schedule
from learnrate.torch.driving.values import ScheduledValues
from learnrate.torch.driving.writing import Group, HasGroups, as_stored, entry_of
from learnrate.user_code import warn


class Clock:
    """Counts updates, and writes the values of the next update into the optimizer's groups.

    Attributes:
        optimizer: The optimizer whose groups are written to, or what stands for it.
    """

    def __init__(self, optimizer: HasGroups, scheduled: ScheduledValues, start: int) -> None:
        self.optimizer = optimizer
        self._scheduled = scheduled
        self._key = scheduled.key
        self._attached = True
        self._warned = False
        self._blank_at = -1
        self._seek(start)

    def _seek(self, n: int) -> None:
        """Write the values of update `n`, and prepare the iterator over those of the updates that follow."""
        require_attached(self, self._attached)
        # The objects that were assigned, because comparing objects costs least. If a group was written in another way: None,
        # and a mark for each group.
        self._written: Any = self._scheduled.write(n)
        self._block = block = self._scheduled.block
        self._shared = bool(block.values)
        self._single = self._shared and block.size == 1
        self._marks = [_mark(entry_of(self._key, group)) for group in block.groups] if self._written is None else []
        # An iterator over an array or a list knows its position. It therefore serves as the count too (see last_epoch), and
        # an update need not keep one.
        self._ahead: Iterator[Any] = iter(block.assigned)
        next(islice(self._ahead, n + 1 - block.first, n + 1 - block.first), None)
        self._first, self._stop = (block.first, block.stop) if block.assigned else (n + 1, n + 1)

    @property
    def last_epoch(self) -> int:
        """Number of updates so far; the groups have the values of the next one. The name is torch's."""
        # `__reduce__` of an iterator contains its position, until it has ended.
        _, _, *positions = tuple(self._ahead.__reduce__())
        return self._first + int(positions[0]) - 1 if positions else self._stop - 1

    @last_epoch.setter
    def last_epoch(self, n: int) -> None:
        self._seek(checks.whole("last_epoch", n, at_least=0, at_most=checks.LONGEST))

    def advance(self) -> None:
        """Count an update, before which `keep_up` was called, and write the values of the next one."""
        key, groups = self._key, self.optimizer.param_groups
        for values in self._ahead:
            if len(groups) != self._block.size:  # the step itself has added groups
                return self._seek(self.last_epoch)
            if self._shared:
                for group in groups:
                    group[key] = values
            else:
                for group, value in zip(groups, values, strict=True):
                    group[key] = value
            self._written = values
            return None
        return self._seek(self.last_epoch + 1)

    def halt(self) -> None:
        """Drop the prepared values, so that the next `advance` or `step` takes the slow path, which checks."""
        n = self.last_epoch
        self._first, self._stop, self._ahead = n + 1, n + 1, iter(array("d"))

    def keep_up(self) -> bool:
        """Write the values of the next update, after groups were added, loaded or changed.

        Returns:
            Whether the next step is an update of the run. One with an LR that something else has set to 0 is none:
            torch.distributed.checkpoint makes one to create the state of an optimizer. A second one in a row is an error.
        """
        n = self.last_epoch
        if self._key == "lr" and self._blank_at != n and (overruled := self.overruled(n)) is not None and overruled[0] == 0:
            self._blank_at = n
            return False
        self._warn_if_overruled(n, "it is set back")
        self._seek(n)
        return True

    def write_values(self) -> None:
        """Write the values of the next update, whatever the groups have now."""
        self._seek(self.last_epoch)

    def prepared(self, schedule: Schedule | Sequence[Schedule]) -> ScheduledValues:
        """The values of another schedule, for `take`. Nothing is changed yet, and whatever may fail fails here."""
        require_attached(self, self._attached)
        return self._scheduled.following(schedule, self.last_epoch)

    def take(self, scheduled: ScheduledValues) -> None:
        """Follow other values, at the same count."""
        n = self.last_epoch
        self._scheduled = scheduled
        self._seek(n)

    def load(self, n: int, schedule: object, reference: object) -> None:
        """Go to an update of a saved run.

        Args:
            n: Number of updates.
            schedule: The text of the schedule in the state; None if it has none.
            reference: The initial LR of which the ratios are shares in that run; None if the state has none.
        """
        require_attached(self, self._attached)
        if reference is not None and self._scheduled.relative:
            self._scheduled.refer_to(checks.positive("reference_lr", reference))
        self.last_epoch = n
        if schedule is not None:
            warn_of_another_schedule(self._key, n, schedule, self._scheduled.schedules)

    @property
    def text(self) -> str | list[str]:
        """What rebuilds the schedules: a text, or one for each group."""
        texts = [repr(schedule) for schedule in self._scheduled.schedules]
        return texts[0] if len(texts) == 1 else texts

    def reference(self) -> Mapping[str, float]:
        """What a state has to say about ratios: the initial LR of which they are shares."""
        reference = self._scheduled.reference
        return {} if reference is None else {"reference_lr": reference}

    def summary(self) -> str:
        """Name, present values and schedules of the hyper-parameter."""
        values = dict.fromkeys(f"{value:.6g}" for value in self._block.row(self.last_epoch))
        return f"{self._key} {', '.join(values)} of {', '.join(map(repr, self._scheduled.schedules))}"

    def is_current(self) -> bool:
        """Whether all groups have what was written last: no other was written, and none was added or loaded since."""
        key, written, groups = self._key, self._written, self.optimizer.param_groups
        if type(written) is tuple:
            kept = groups is self._block.groups and len(groups) == len(written)
            return kept and all(group[key] is value for group, value in zip(groups, written, strict=True))
        if written is None:
            marked = groups is self._block.groups and len(groups) == len(self._marks)
            return marked and all(_mark(entry_of(key, g)) == mark for g, mark in zip(groups, self._marks, strict=True))
        for group in groups:  # noqa: SIM110 - all() takes twice the time, at every update
            if group[key] is not written:
                return False
        return True

    def overruled(self, n: int, first: Group | None = None) -> tuple[float, float] | None:
        """A value that something else wrote over one of update `n`, and that one; None if there is none.

        Loading a checkpoint replaces the list of groups, and is no such case.
        """
        block = self._block
        if self.optimizer.param_groups is not block.groups:
            return None
        rows = zip(block.groups, block.row(n), strict=False)
        for group, value in rows if first is None else dropwhile(lambda row: row[0] is not first, rows):
            entry = entry_of(self._key, group)
            if (present := float(entry)) != (scheduled := as_stored(value, entry)):
                return present, scheduled
        return None

    def _warn_if_overruled(self, n: int, consequence: str, first: Group | None = None) -> None:
        """Warn once that something else writes, and prepare for what it wrote."""
        if first is None and self.is_current():
            return
        overruled = self.overruled(n, first)
        self._scheduled.renew_writers()
        if overruled is None or self._warned:
            return
        self._warned = True
        present, scheduled = overruled
        warn(
            f"the optimizer's {self._key} must be changed by its schedule alone, something else, such as another scheduler "
            f"or a callback, changed it from {scheduled:.6g} to {present:.6g}; {consequence}: remove the other, or change "
            "the schedule with replace()",
            OverruledWarning,
        )


def _mark(entry: Any) -> tuple[Any, Any]:
    """The entry, and what changes when a tensor is written to.

    That is its value in main memory, where `.data`, NumPy and inference mode can change it unnoticed by torch. On another
    device it is the number of its in-place changes, because reading the value would wait for the device.
    """
    if not isinstance(entry, Tensor):
        return entry, None
    return entry, entry.item() if entry.is_cpu or entry.is_inference() else entry._version
