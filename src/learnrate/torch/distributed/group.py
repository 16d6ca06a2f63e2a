"""Many processes in one call: one decision for all, and none of them waits for one that has failed.

Work that may wait for other processes (forward and backward passes of a distributed model, exchanges of losses) runs in a
thread, while the main thread looks for reports of failures. A process that waits inside a collective operation for a process
that will never come cannot be woken (gloo has no abort), but its thread can be left behind.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import torch.distributed as dist

from learnrate.errors import RankError
from learnrate.torch.distributed.collectives import Collectives
from learnrate.torch.distributed.failures import FailureReports
from learnrate.torch.distributed.worker import GRACE, Worker, as_here
from learnrate.updates import StopReason

T = TypeVar("T")

POLL = 0.25
"""Seconds between two looks for reports of failures."""


class ProcessGroup:
    """All processes of `torch.distributed`, in one call of range_test or tune. See `Processes`.

    Attributes:
        rank: Number of this process.
        size: Number of processes.
        failures: Reports of failures.
    """

    _calls: ClassVar[int] = 0

    def __init__(self, what: str) -> None:
        ProcessGroup._calls += 1
        self._what = what
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.failures = FailureReports(what, ProcessGroup._calls, self.rank, self.size)
        self._collectives = Collectives()
        self._worker = Worker()
        self._interrupts = 0
        self._first_loss: float | None = None

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do work that may wait for other processes.

        Raises:
            RankError: if it fails here or in another process.
        """
        job = self._worker.begin(as_here(lambda: work(*arguments)))
        while not job.done.wait(POLL):
            if self._interrupts > 1:  # a second Ctrl-C does not wait for the others
                raise KeyboardInterrupt
            failure = self.failures.received()
            if failure is not None and not job.done.wait(GRACE):
                raise failure
        if job.error is None:
            result: T = job.result
            return result
        if isinstance(job.error, (RankError, KeyboardInterrupt)):
            raise job.error
        raise self.failures.publish(job.error) from job.error

    def mean(self, rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
        """The metrics of updates, averaged over the processes.

        Raises:
            RankError: if the loss of one process is not finite while the mean of the others is at most twice the loss at the
                start: then its data or its model is at fault, not the LR.
        """
        return [self.run(self._mean, row) for row in rows]

    def mean_scores(self, scores: Mapping[str, float]) -> dict[str, float]:
        """An evaluation, averaged over the processes."""
        return self.run(self._collectives.average, scores, "scores")[0]

    def agree(self, decision: T | None) -> T | None:
        """The decision of the first process that has one. Ctrl-C in any process is a reason to stop for all."""
        if decision is None and self._interrupts:
            decision = StopReason("interrupted", "the sweep was interrupted")  # type: ignore[assignment]
        return self.run(self._agree, decision)

    def any(self, happened: bool) -> bool:
        """Whether something happened in any process."""
        return bool(self.run(self._collectives.gather, [float(happened)]).any())

    def require_same(self, **values: Any) -> None:
        """Refuse arguments that differ between the processes.

        Raises:
            RankError: if they do.
        """
        calls = self.run(self._collectives.gather_objects, (self._what, values))
        for rank, (what, others) in enumerate(calls):
            if what != self._what:
                raise RankError(
                    f"every process must call the same function, rank {rank} called {what}, not {self._what}", rank
                )
            for name in values:
                if others[name] != values[name]:
                    raise RankError(f"{name} must be the same in every process, it differs on rank {rank}", rank)

    def close(self) -> None:
        """End the thread and the process group of the exchanges."""
        self._worker.end()
        self._collectives.close()

    @contextmanager
    def counting_interrupts(self) -> Iterator[None]:
        """Count Ctrl-C instead of raising it: the others wait for this process's update, and learn of it with the next."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def count(number: int, frame: Any) -> None:
            self._interrupts += 1

        before = signal.signal(signal.SIGINT, count)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _mean(self, row: dict[str, float]) -> dict[str, float]:
        means, table = self._collectives.average(row, "metrics")
        losses = table["loss"]
        finite = losses.isfinite()
        if finite.any() and not finite.all():
            level = float(losses[finite].mean())
            if self._first_loss is None or level <= self._first_loss + abs(self._first_loss):
                rank = int((~finite).nonzero()[0])
                raise RankError(
                    f"rank {rank} has the loss {float(losses[rank])}, while it is {level:.4g} on the others", rank
                )
        if self._first_loss is None:
            self._first_loss = means["loss"]
        return means

    def _agree(self, decision: T | None) -> T | None:
        if not self._collectives.gather([0.0 if decision is None else 1.0]).any():
            return None
        decisions: list[T | None] = self._collectives.gather_objects(decision)
        rank, first = next((rank, other) for rank, other in enumerate(decisions) if other is not None)
        if isinstance(first, StopReason) and any(other != first for other in decisions):
            return replace(first, text=f"{first.text} on rank {rank}")
        return first
