"""Takes the values that a drive laid out, update by update, at the cost of little more than the assignments."""

from itertools import islice
from operator import length_hint

from torch.optim import Optimizer

from learnrate import checks
from learnrate.torch.driving.drive import Drive, require_attached


class Clock:
    """Counts updates, and writes the values of the next into the optimizer's groups.

    Attributes:
        optimizer: Whose groups are written to.
    """

    def __init__(self, optimizer: Optimizer, drive: Drive, start: int) -> None:
        self.optimizer = optimizer
        self._drive = drive
        self._key = drive.key
        self._attached = True
        self._seek(start)

    def _seek(self, n: int) -> None:
        """Set the values of update `n`, and lay out those of the updates that follow."""
        require_attached(self, self._attached)
        self._drive.set(n)
        block = self._drive.block
        self._groups, self._size = block.groups, block.size
        self._only_group = block.groups[0] if block.size == 1 else None
        # An iterator over a list knows what is left of it, which makes it the count as well (see last_epoch): then an
        # update need not keep one.
        self._ahead = iter(block.values)
        next(islice(self._ahead, n + 1 - block.first, n + 1 - block.first), None)
        self._end = block.stop if block.values else n + 1

    @property
    def last_epoch(self) -> int:
        """Number of updates made; the groups hold the values of the next. The name is torch's."""
        return self._end - 1 - length_hint(self._ahead)

    @last_epoch.setter
    def last_epoch(self, n: int) -> None:
        self._seek(checks.whole("last_epoch", n, at_least=0, at_most=checks.LONGEST))

    def step(self, epoch: int | None = None) -> None:
        """Count an update and set the values of the next.

        Args:
            epoch: Jump to this number of updates instead. The name is torch's.
        """
        if epoch is None:
            # One turn of a loop takes the next value, and none where the block has come to its end. A single group, the
            # usual case, is unpacked and compared, which costs a third of looking at the list of groups.
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
                except ValueError:  # there are more of them by now
                    group = None
                if group is only:
                    for group[self._key] in self._ahead:  # noqa: B020
                        return
            epoch = self.last_epoch + 1
        self.last_epoch = epoch

    def keep_up(self) -> None:
        """Set the values of the next update in groups that were added or loaded since the last."""
        groups = self.optimizer.param_groups
        if groups is not self._groups or len(groups) != self._size:
            self._seek(self.last_epoch)
