"""Runs on the workers of a Dask cluster."""

import logging
import os
import random
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError, ExecutorError
from learnrate.study.executors.executor import NodeLostError, WorkerLostError, missing
from learnrate.study.running.run import Key, Message

LOOK_EVERY = 1.0
"""Seconds between two looks at the number of workers."""

SHARE_RANDOM_NUMBERS = (
    "dask.sizeof",
    "distributed.utils_comm",
    "distributed.comm.core",
    "distributed.worker",
    "tornado.ioloop",
)
"""Modules that draw from the random numbers of the whole process while a worker runs."""

_turn = threading.Lock()
"""Of a worker: the thread that has it makes a run. A worker may have several threads, but the random numbers of a framework
belong to the process."""


class Dask:
    """Makes runs on a Dask cluster, one at a time in each worker process.

    A run whose worker was killed is made again by another one, as often as the cluster allows (`allowed-failures`, by
    default 3). A run that is cancelled ends the next time that it reports its progress; the choice of an LR reports none,
    and goes on to its end.

    Args:
        client: A client of `distributed`, which is left open; the address of a scheduler; or None for a cluster of processes
            on this machine, one for each core.
        workers: Runs in progress at most; by default one for each worker process that the cluster has. Needed with a
            cluster that grows with its load.

    Attributes:
        workers: See `Executor`.
        attempts: One, because Dask itself tries again.
        report: See `Executor`.

    Raises:
        ArgumentError: if the client is asynchronous.
        ArgumentTypeError: if it is something else.
        ExecutorError: if there is no scheduler at the address.
        MissingExtraError: if Dask is not installed.
    """

    attempts = 1

    def __init__(self, client: Any = None, *, workers: int | None = None) -> None:
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise missing("distributed", "dask", error) from error
        self._most = None if workers is None else checks.length("workers", workers)
        self._is_own = not isinstance(client, distributed.Client)
        self._client: Any = _connected(client) if self._is_own else client
        if self._client.asynchronous:
            raise ArgumentError("client must be a synchronous client of Dask, received one with asynchronous=True")
        self._topic = f"learnrate-{uuid.uuid4().hex}"
        self._received: deque[Message] = deque()
        self._client.subscribe_topic(self._topic, self._receive)
        self.report: Callable[[Message], object] | None = _Report(self._topic)
        self._workers, self._looked_at = 1, -LOOK_EVERY

    @property
    def workers(self) -> int:
        """See `Executor.workers`."""
        if self._most is not None:
            return self._most
        if time.monotonic() - self._looked_at >= LOOK_EVERY:
            self._require_running()
            try:
                self._workers = max(1, len(self._client.nthreads()))
            except OSError as error:  # those of connections
                raise self._lost(error) from error
            self._looked_at = time.monotonic()
        return self._workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "_DaskFuture":
        """See `Executor.submit`."""
        self._require_running()
        # A name of its own: Dask takes calls of equal names for the same one.
        return _DaskFuture(self, self._client.submit(_call, function, *arguments, key=f"run-{uuid.uuid4().hex}", pure=False))

    def messages(self) -> Sequence[Message]:
        """See `Executor.messages`."""
        self._require_running()
        return [self._received.popleft() for _ in range(len(self._received))]

    def close(self) -> None:
        """Leave the cluster. A client of the user stays open."""
        if self._is_own:
            self._client.close()
            if self._client.cluster is not None:
                self._client.cluster.close()
        elif self._client.status == "running":
            self._client.unsubscribe_topic(self._topic)

    def _receive(self, event: tuple[float, Any]) -> None:
        """Called in the thread of the client."""
        arm, seed, updates, planned, loss = event[1]
        self._received.append(Message(Key(arm, seed), updates, planned, loss))

    def _require_running(self) -> None:
        if self._client.status not in ("running", "connecting"):
            raise self._lost(self._client.status)

    def is_running(self) -> bool:
        """Whether the scheduler answers."""
        return bool(self._client.status == "running")

    def _lost(self, reason: object) -> ExecutorError:
        return ExecutorError(
            f"the scheduler of Dask cannot be reached any more ({reason}). The study goes on from what it has when it is "
            "started again"
        )


def _connected(address: Any) -> Any:
    from distributed import Client, LocalCluster

    if address is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Client(
            LocalCluster(n_workers=cores, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL)
        )
    if not isinstance(address, str):
        checks.refuse_type("client", "a client of distributed, the address of a scheduler, or None", address)
    try:
        return Client(address)
    except (OSError, ValueError) as error:
        raise ExecutorError(f"there is no scheduler of Dask at {address}: {checks.short(str(error))}") from error


class _DaskFuture:
    """A future of Dask, whose errors are those of this package."""

    def __init__(self, executor: Dask, future: Any) -> None:
        self._executor, self._future = executor, future

    def done(self) -> bool:
        """See `Future.done`."""
        return bool(self._future.done())

    def result(self) -> Any:
        """See `Future.result`."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            return self._future.result()
        except KilledWorker as error:
            raise WorkerLostError(f"the workers that began the run ended: {checks.short(str(error), 300)}") from error
        except CancelledError as error:
            if not self._executor.is_running():
                raise self._executor._lost("disconnected") from error
            raise NodeLostError("the scheduler does not know the run any more") from error

    def cancel(self) -> bool:
        """See `Future.cancel`."""
        if self._executor.is_running():
            self._future.cancel(force=True)
        return True


class Cancelled(BaseException):
    """The driver has cancelled this run. Not an Exception, so that it does not count as an error of the run."""


class _Report:
    """Sends messages from a worker, and ends a run that was cancelled."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def __call__(self, message: Message) -> None:
        from distributed import get_worker

        _end_if_cancelled()
        content = [message.key.arm, message.key.seed, message.updates, message.planned, message.loss]
        get_worker().log_event(self._topic, content)


def _end_if_cancelled() -> None:
    from distributed import get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise Cancelled


def _leave_random_numbers_alone() -> None:
    """Give the modules of Dask random numbers of their own.

    They draw from those of the whole process: `dask.sizeof`, for example, estimates the size of each message from a sample.
    A training that uses them too would depend on the moments of its messages.
    """
    for name in SHARE_RANDOM_NUMBERS:
        module = sys.modules.get(name)
        if getattr(module, "random", None) is random:
            module.random = random.Random()  # type: ignore[union-attr]


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    with _turn:
        _end_if_cancelled()
        _leave_random_numbers_alone()
        return function(*arguments)
