"""Many processes in one call: one decision for all, and none of them waits for one that has failed.

Work that may wait for other processes (forward and backward passes of a distributed model, exchanges of losses) runs in a
thread, while the main thread looks for reports of failures. A process that waits inside a collective operation for a process
that has failed cannot be interrupted (gloo has no abort), but its thread can be abandoned.
"""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

import torch.distributed as dist

from learnrate.errors import RankError
from learnrate.torch.distributed.collectives import Collectives
from learnrate.torch.distributed.failures import FailureReports
from learnrate.torch.distributed.waiting import Waiting
from learnrate.torch.distributed.worker import GRACE, Worker, with_thread_settings
from learnrate.updates import INTERRUPTED, StopReason

T = TypeVar("T")
Callback = TypeVar("Callback", bound=Callable[..., object] | None)

POLL = 0.25
"""Seconds between two checks for reports of failures."""


class AbandonedError(Exception):
    """Work that is still under way was abandoned; `reason` is why."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


class ProcessGroup:
    """All processes of `torch.distributed`, in one call of range_test or tune; a `Processes`.

    Attributes:
        rank: Number of this process.
        size: Number of processes.
        failures: Reports of failures.
        interrupts: Ctrl-C in this process, which `agree` turns into a reason to stop for all processes: the others wait for
            the present update of this one.
        agreed_interrupts: Number of them that were.
    """

    _calls: ClassVar[int] = 0

    def __init__(self, what: str) -> None:
        ProcessGroup._calls += 1
        self._what = what
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.failures = FailureReports(what, ProcessGroup._calls, self.rank, self.size)
        self._collectives = Collectives()
        self._worker = Worker()
        self.interrupts: list[int] = []
        self.agreed_interrupts = 0
        self._exchanges = 0
        self._first_loss: float | None = None

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do work of the training, which may wait for other processes.

        Raises:
            RankError: if it fails here or in another process, or if another process does not take part in it.
        """
        try:
            return self._run(partial(work, *arguments), Waiting(self.failures, self._exchanges, in_exchange=False))
        except AbandonedError as abandoned:
            reason = str(abandoned.reason).partition(";")[0] or type(abandoned.reason).__name__
            self.failures.leave_unusable(reason)
            raise abandoned.reason from None

    def _exchange(self, work: Callable[..., T], *arguments: Any) -> T:
        """Exchange values in the process group of this call. If that cannot end, later calls have a group of their own."""
        self._exchanges += 1
        try:
            return self._run(partial(work, *arguments), Waiting(self.failures, self._exchanges, in_exchange=True))
        except AbandonedError as abandoned:
            raise abandoned.reason from None

    def _run(self, work: Callable[[], T], waiting: Waiting) -> T:
        job = self._worker.begin(with_thread_settings(work))
        while not job.done.wait(POLL):
            if len(self.interrupts) > 1:  # a second Ctrl-C does not wait for the others
                raise AbandonedError(KeyboardInterrupt())
            failure = self.failures.received() or waiting.failure()
            if failure is not None and not job.done.wait(GRACE):
                raise AbandonedError(failure)
        if job.error is None:
            result: T = job.result
            return result
        if isinstance(job.error, RankError):
            raise job.error
        # KeyboardInterrupt too: Ctrl-C reaches the main thread alone, so the work has raised it itself, half done.
        raise self.failures.publish(job.error) from job.error

    def mean(self, rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
        """The metrics of updates, averaged over the processes.

        Raises:
            RankError: if the loss of one process is not finite although the mean of the others is at most twice the loss at
                the start: then the cause is its data or its model, not the LR.
        """
        return [self._exchange(self._mean, row) for row in rows]

    def mean_scores(self, scores: Mapping[str, float]) -> dict[str, float]:
        """An evaluation, averaged over the processes."""
        return self._exchange(self._collectives.average, scores, "scores")[0]

    def first(self, value: T | None) -> T | None:
        """The value of the first process that has one."""
        return self._exchange(self._first, value)

    def agree(self, decision: T | None) -> T | None:
        """The decision of the first process that has one. Ctrl-C in any process is a reason to stop for all."""
        if decision is None and self.interrupts:
            decision = INTERRUPTED  # type: ignore[assignment]
            self.agreed_interrupts = len(self.interrupts)
        return self.first(decision)

    def any(self, happened: bool) -> bool:
        """Whether something happened in any process."""
        return bool(self._exchange(self._collectives.gather, [float(happened)]).any())

    def require_same(self, **values: Any) -> None:
        """Refuse arguments that differ between the processes.

        Raises:
            RankError: if they do.
        """
        calls = self._exchange(self._collectives.gather_objects, (self._what, values))
        for rank, (what, others) in enumerate(calls):
            if what != self._what:
                raise RankError(
                    f"every process must call the same function, rank {rank} called {what}, not {self._what}", rank
                )
            for name in values:
                if others[name] != values[name]:
                    raise RankError(f"{name} must be the same in every process, it differs on rank {rank}", rank)

    def guarded(self, callback: Callback) -> Callback:
        """The callback, whose KeyboardInterrupt counts as Ctrl-C: the other processes have to learn of it."""
        if callback is None:
            return callback

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except KeyboardInterrupt:
                self.interrupts.append(signal.SIGINT)

        return call  # type: ignore[return-value]

    def close(self) -> None:
        """End the thread and the process group of the exchanges."""
        self._worker.end()
        self._collectives.close()

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

    def _first(self, value: T | None) -> T | None:
        # One number from each process, because most updates have no decision and objects are slow to exchange.
        if not self._collectives.gather([0.0 if value is None else 1.0]).any():
            return None
        values: list[T | None] = self._collectives.gather_objects(value)
        rank, first = next((rank, other) for rank, other in enumerate(values) if other is not None)
        if isinstance(first, StopReason) and any(other != first for other in values):
            return replace(first, text=f"{first.text} on rank {rank}")
        return first
