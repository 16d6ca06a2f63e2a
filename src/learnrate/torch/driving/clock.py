"""Counts updates and writes the scheduled values of the next one, at little more than the cost of the assignments."""

from itertools import islice
from operator import length_hint

from torch.optim import Optimizer

from learnrate import checks
from learnrate.torch.driving.registry import require_attached
from learnrate.torch.driving.values import ScheduledValues


class Clock:
    """Counts updates, and writes the values of the next update into the optimizer's groups.

    Attributes:
        optimizer: The optimizer whose groups are written to.
    """

    def __init__(self, optimizer: Optimizer, scheduled: ScheduledValues, start: int) -> None:
        self.optimizer = optimizer
        self._scheduled = scheduled
        self._key = scheduled.key
        self._attached = True
        self._seek(start)

    def _seek(self, n: int) -> None:
        """Write the values of update `n`, and prepare the iterator over those of the updates that follow."""
        require_attached(self, self._attached)
        self._scheduled.write(n)
        block = self._scheduled.block
        self._groups, self._size = block.groups, block.size
        self._only_group = block.groups[0] if block.size == 1 else None
        # An iterator over a list knows how much of the list is left. It therefore serves as the count too (see
        # last_epoch), and an update need not keep one.
        self._ahead = iter(block.values)
        next(islice(self._ahead, n + 1 - block.first, n + 1 - block.first), None)
        self._end = block.stop if block.values else n + 1

    @property
    def last_epoch(self) -> int:
        """Number of updates so far; the groups have the values of the next one. The name is torch's."""
        return self._end - 1 - length_hint(self._ahead)

    @last_epoch.setter
    def last_epoch(self, n: int) -> None:
        self._seek(checks.whole("last_epoch", n, at_least=0, at_most=checks.LONGEST))

    def step(self, epoch: int | None = None) -> None:
        """Count an update and write the values of the next one.

        Args:
            epoch: Jump to this number of updates instead. The name is torch's.
        """
        if epoch is None:
            # One pass of a loop takes the next value; it takes none where the block has come to its end. A single group,
            # the usual case, is unpacked and compared, which costs a third of looking at the list of groups.
            only = self._only_group
            if only is None:
                groups = self.optimizer.param_groups
                if groups is self._groups and len(groups) == self._size:
                    key = self._key
                    for value in self._ahead:
                        for group in groups:
                            group[key] = value
                        return
            else:
                try:
                    [group] = self.optimizer.param_groups
                except ValueError:  # groups were added
                    group = None
                if group is only:
                    for group[self._key] in self._ahead:  # noqa: B020
                        return
            epoch = self.last_epoch + 1
        self.last_epoch = epoch

    def keep_up(self) -> None:
        """Write the values of the next update into groups that were added or loaded since the last one."""
        groups = self.optimizer.param_groups
        if groups is not self._groups or len(groups) != self._size:
            self._seek(self.last_epoch)
