"""Runs in processes of this machine, each with its share of the cores."""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from learnrate import checks
from learnrate.origin import pickled
from learnrate.study.executors.executor import ATTEMPTS, WorkerLostError
from learnrate.study.running.run import Message
from learnrate.study.running.source import TRAVELS

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Environment variables with the number of threads of numerical libraries, which read them when they are imported."""

REMEDY = "give schedules and controllers whose functions are those of a module"
"""What to do about a run that cannot be pickled."""

MOST_WORKERS = 1000
"""Processes of one machine: more of them were meant as something else, and would exhaust its memory."""

UNGUARDED = (
    " before it began: a script that uses processes must be a file, and have its own work under if __name__ == '__main__':"
)
"""What is usually at fault when a new process ends at its start: it runs the script of the user first."""

PATIENCE = 5.0
"""Seconds that a worker has to end after it was asked to."""


class Processes:
    """Makes runs in new processes, not in forks: frameworks do not survive a fork.

    Each worker uses its own cores, and as many threads as it has cores. It ends when this process ends, also if this process
    is killed. A worker that ends is replaced.

    A script that uses it must have its own work under `if __name__ == "__main__":`, as for every use of `multiprocessing`.

    Args:
        workers: Number of processes; by default one for each core.

    Attributes:
        workers: The argument.
        attempts: See `Executor`.
        report: See `Executor`.

    Raises:
        ArgumentError: if the number is below 1 or above 1,000.

    Example:
        >>> executor = Processes(2)
        >>> futures = [executor.submit(pow, 2, exponent) for exponent in (3, 4, 5)]
        >>> [future.result() for future in futures]
        [8, 16, 32]
        >>> executor.close()
    """

    attempts = ATTEMPTS

    def __init__(self, workers: int | None = None) -> None:
        cores = _cores()
        self.workers = len(cores) if workers is None else checks.whole("workers", workers, at_least=1, at_most=MOST_WORKERS)
        self.report: Callable[[Message], object] | None = _report
        self._shares = [cores[number % len(cores) :: self.workers] for number in range(self.workers)]
        self._running: list[_Worker | None] = [None] * self.workers
        self._waiting: deque[tuple[_ProcessFuture, bytes]] = deque()
        self._messages: list[Message] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "_ProcessFuture":
        """See `Executor.submit`.

        Raises:
            ArgumentTypeError: if an argument cannot be pickled.
        """
        future = _ProcessFuture(self)
        self._waiting.append((future, pickled("a run", (function, arguments), TRAVELS, REMEDY)))
        self.advance()
        return future

    def messages(self) -> Sequence[Message]:
        """See `Executor.messages`."""
        self.advance()
        messages, self._messages = self._messages, []
        return messages

    def advance(self) -> None:
        """Receive what workers have sent, and give work to those that have none."""
        for number, worker in enumerate(self._running):
            if worker is not None and worker.future is not None:
                self._receive(worker)
            if worker is not None and not worker.process.is_alive():
                worker.lose()
                self._running[number] = None
            if self._waiting:
                self._begin(number)

    def _begin(self, number: int) -> None:
        """Give the next call to this worker, if it has none; started if it does not exist."""
        worker = self._running[number]
        if worker is None:
            worker = self._running[number] = _started(self._shares[number])
        if worker.future is None:
            future, call = self._waiting.popleft()
            worker.future = future
            try:
                worker.connection.send_bytes(call)
            except OSError:
                worker.lose()

    def _receive(self, worker: "_Worker") -> None:
        try:
            while worker.future is not None and worker.connection.poll():
                kind, value = worker.connection.recv()
                worker.has_answered = True
                if kind == "message":
                    self._messages.append(value)
                else:
                    worker.future.end(value, kind)
                    worker.future = None
        except (EOFError, OSError):
            worker.process.join(PATIENCE)
            worker.lose()

    def cancel(self, future: "_ProcessFuture") -> None:
        """End a call: it does not begin, or its worker is ended."""
        self._waiting = deque(call for call in self._waiting if call[0] is not future)
        for number, worker in enumerate(self._running):
            if worker is not None and worker.future is future:
                worker.end()
                self._running[number] = None

    def close(self) -> None:
        """End all workers, also those that still make a run."""
        self._waiting.clear()
        workers = [worker for worker in self._running if worker is not None]
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()
        self._running = [None] * self.workers


class _ProcessFuture:
    """The result of a call in a worker."""

    def __init__(self, executor: Processes) -> None:
        self._executor = executor
        self._ended: tuple[str, Any] | None = None

    def end(self, value: Any, kind: str) -> None:
        """The call has ended."""
        self._ended = kind, value

    def done(self) -> bool:
        """See `Future.done`."""
        if self._ended is None:
            self._executor.advance()
        return self._ended is not None

    def result(self) -> Any:
        """See `Future.result`."""
        while not self.done():
            threading.Event().wait(0.01)
        kind, value = self._ended  # type: ignore[misc]
        if kind == "error":
            raise value
        return value

    def cancel(self) -> bool:
        """See `Future.cancel`."""
        if self._ended is not None:
            return False
        self._executor.cancel(self)
        self._ended = "error", WorkerLostError("the call was cancelled")
        return True


@dataclass
class _Worker:
    """A process, and the future of its call."""

    process: BaseProcess
    connection: "Connection[Any, Any]"
    future: _ProcessFuture | None = None
    has_answered: bool = False

    def lose(self) -> None:
        """The process has ended, or does not answer."""
        if self.future is not None:
            code = self.process.exitcode
            how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
            hint = "" if self.has_answered or code != 1 else UNGUARDED
            self.future.end(WorkerLostError(f"the process of the run ended {how}{hint}"), "error")
            self.future = None
        self.connection.close()

    def end(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def _started(cores: Sequence[int]) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, cores), daemon=True)
    process.start()
    theirs.close()  # so that reading from a worker that was killed ends
    return _Worker(process, ours)


_connection: "Connection[Any, Any] | None" = None
"""Of a worker: the way back."""


def _report(message: Message) -> None:
    """Send a message from a worker."""
    if _connection is not None:
        _connection.send(("message", message))


def _work(connection: "Connection[Any, Any]", cores: Sequence[int]) -> None:
    """The main loop of a worker."""
    global _connection
    _connection = connection
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _use(cores)
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            outcome: tuple[str, Any] = "result", function(*arguments)
        except Exception as error:
            outcome = "error", error
        try:
            connection.send(outcome)
        except Exception as error:  # what the call gave cannot be pickled
            connection.send(("error", TypeError(f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _use(cores: Sequence[int]) -> None:
    """Use these cores, with a thread for each."""
    for name in THREADS:
        os.environ[name] = str(len(cores))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    if (torch := sys.modules.get("torch")) is not None:  # imported by the script of the user
        torch.set_num_threads(len(cores))


def _cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
