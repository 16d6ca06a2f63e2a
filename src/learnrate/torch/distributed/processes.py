"""The interface of a training to the other processes, its form for a single process, and the choice between them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch.distributed as dist

from learnrate.errors import RankError
from learnrate.interrupts import act_on, recorded_interrupts
from learnrate.torch.distributed.group import ProcessGroup
from learnrate.trainable import Metrics

T = TypeVar("T")
Callback = TypeVar("Callback", bound=Callable[..., object] | None)


class Processes(Protocol):
    """All processes of a training.

    Attributes:
        rank: Number of this process.
        size: Number of processes.
    """

    rank: int
    size: int

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do work that may wait for other processes; raises `RankError` if it fails here or in another process."""

    def mean(self, rows: Sequence[dict[str, float]]) -> Sequence[Metrics]:
        """The metrics of updates, averaged over the processes."""

    def mean_scores(self, scores: Mapping[str, float]) -> Mapping[str, float]:
        """An evaluation, averaged over the processes."""

    def first(self, value: T | None) -> T | None:
        """The value of the first process that has one."""

    def agree(self, decision: T | None) -> T | None:
        """The decision of the first process that has one. Ctrl-C in one of many processes is a decision to stop."""

    def any(self, happened: bool) -> bool:
        """Whether something happened in any process."""

    def require_same(self, **values: Any) -> None:
        """Refuse arguments that differ between the processes."""

    def guarded(self, callback: Callback) -> Callback:
        """A callback of the user whose KeyboardInterrupt, in one of many processes, is a decision to stop."""


class SingleProcess:
    """The only process of a training."""

    rank, size = 0, 1

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """See `Processes.run`."""
        return work(*arguments)

    def mean(self, rows: Sequence[dict[str, float]]) -> Sequence[Metrics]:
        """See `Processes.mean`."""
        return rows

    def mean_scores(self, scores: Mapping[str, float]) -> Mapping[str, float]:
        """See `Processes.mean_scores`."""
        return scores

    def first(self, value: T | None) -> T | None:
        """See `Processes.first`."""
        return value

    def agree(self, decision: T | None) -> T | None:
        """See `Processes.agree`."""
        return decision

    def any(self, happened: bool) -> bool:
        """See `Processes.any`."""
        return happened

    def require_same(self, **values: Any) -> None:
        """See `Processes.require_same`."""

    def guarded(self, callback: Callback) -> Callback:
        """See `Processes.guarded`."""
        return callback


@contextmanager
def all_processes(what: str) -> Iterator[Processes]:
    """All processes of `torch.distributed`, or the only one. A failure in one of them ends the work in all of them.

    Args:
        what: The function that the processes have called, for messages: "range_test".

    Raises:
        RankError: in every process, if one of them fails.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        yield SingleProcess()
        return
    group = ProcessGroup(what)
    try:
        with recorded_interrupts() as group.interrupts:
            yield group
    except BaseException as error:
        # The group stays open: its thread may wait inside a collective operation, and gloo cannot abort that.
        if not isinstance(error, RankError):
            group.failures.publish(error)
        raise
    group.close()
    act_on(group.interrupts[group.agreed_interrupts :])
