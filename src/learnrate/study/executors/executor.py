"""What makes the runs of a study: anything that takes a function and returns a future."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeGuard

from learnrate import checks
from learnrate.errors import ArgumentError, ExecutorError, MissingExtraError
from learnrate.study.running.run import Message, Report

FOREIGN_WORKERS = 32
"""Runs in progress at most on an executor that does not say how many workers it has."""

ATTEMPTS = 3
"""Times that a run is tried whose worker was lost, unless the executor says otherwise."""

NAMES = ("here", "processes", "ray", "dask")
"""Executors that have a name."""


class WorkerLostError(RuntimeError):
    """The process of a run ended before the run: it was killed, or out of memory."""


class NodeLostError(RuntimeError):
    """The machine of a run was lost. This does not count as an attempt."""


class Future(Protocol):
    """The result of a call that may not have ended yet, such as one of `concurrent.futures`, Dask or submitit."""

    def done(self) -> bool:
        """Whether it has ended."""

    def result(self) -> Any:
        """What the call returned, or raises what it raised. It waits for the end."""

    def cancel(self) -> object:
        """End the call, if that is possible."""


class Submits(Protocol):
    """The part of an executor that any library has."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        """Call a function somewhere, and return the future of its result."""


class Executor(Submits, Protocol):
    """What makes the runs of a study.

    A future raises `WorkerLostError` or any other error if its run has no result, and the run is then tried again;
    `NodeLostError` if this must not count as an attempt; and `ExecutorError` if no run can be made any more.

    Attributes:
        attempts: Times that a run is tried whose worker is lost; 1 if the executor itself tries it again.
        report: Called by a run with its progress, in the worker; None if the executor cannot send messages.
    """

    attempts: int
    report: Report | None

    @property
    def workers(self) -> int:
        """Number of runs that it makes at the same time. It may change while nodes come and go."""

    def messages(self) -> Sequence[Message]:
        """The messages since the last call."""

    def close(self) -> None:
        """End the runs in progress, and close what was opened."""


class Foreign:
    """An executor of another library, which belongs to the user and is left open.

    Args:
        executor: The executor.

    Attributes:
        workers: See `Executor`.
        attempts: See `Executor`.
        report: None: not every library can send messages from a running call.

    Raises:
        ArgumentError: if it makes several runs in one process, or in processes that are forked.
    """

    attempts = ATTEMPTS
    report: Report | None = None

    def __init__(self, executor: Submits) -> None:
        self._executor = executor
        self.workers = _workers(executor)
        _require_own_processes(executor, self.workers)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        """See `Executor.submit`.

        Raises:
            ExecutorError: if the executor accepts no call any more.
        """
        try:
            return self._executor.submit(function, *arguments)
        except (BrokenExecutor, RuntimeError) as error:  # RuntimeError: it was shut down
            raise ExecutorError(
                f"the executor {type(self._executor).__name__} accepts no further run: {type(error).__name__}: {error}. "
                "The study goes on from what it has when it is started again with another executor"
            ) from error

    def messages(self) -> Sequence[Message]:
        """See `Executor.messages`."""
        return ()

    def close(self) -> None:
        """Nothing: the executor is the user's own."""


def _workers(executor: object) -> int:
    for name in ("_max_workers", "max_workers"):  # of concurrent.futures, of submitit's and joblib's
        number = getattr(executor, name, None)
        if isinstance(number, int) and number > 0:
            return number
    return FOREIGN_WORKERS


def _require_own_processes(executor: object, workers: int) -> None:
    """Refuse what would mix the random numbers of runs, or fork a process in which frameworks have threads."""
    if isinstance(executor, ThreadPoolExecutor) and workers > 1:
        raise ArgumentError(
            "executor must make each run in a process of its own, received a ThreadPoolExecutor: the random numbers of a "
            "framework belong to the process, so that runs in threads would change each other's: give executor=N for N "
            "processes"
        )
    context = getattr(executor, "_mp_context", None)
    if isinstance(executor, ProcessPoolExecutor) and context is not None and context.get_start_method() == "fork":
        raise ArgumentError(
            "executor must start new processes, received a ProcessPoolExecutor that forks this one: frameworks do not "
            "survive a fork: give executor=N for N processes, or "
            "ProcessPoolExecutor(N, mp_context=multiprocessing.get_context('spawn'))"
        )


def _is_executor(value: object) -> TypeGuard[Executor]:
    # Of the type, because to read the number of workers may ask a cluster.
    methods = all(hasattr(type(value), name) for name in ("submit", "messages", "close"))
    return methods and all(hasattr(value, name) for name in ("attempts", "workers", "report"))


@contextmanager
def as_executor(value: object, progress: Report | None = None) -> Iterator[Executor]:
    """The executor that a user asks for, closed at the end if it was opened here.

    Args:
        value: None for one run after the other, here; a number of processes; "processes", "ray" or "dask"; or an executor:
            one of `learnrate.study.executors`, of `concurrent.futures`, a client of Dask, an executor of submitit. One that
            is given is left open.
        progress: Called with the progress of the runs that are made here, where nothing reads messages meanwhile.

    Raises:
        ArgumentError: if the name is unknown, the number is below 1, or the executor would mix the random numbers of runs.
        ArgumentTypeError: if it is nothing of these.
        MissingExtraError: if a library is not installed.
    """
    executor, is_own = _opened(value, progress)
    try:
        yield executor
    finally:
        if is_own:
            executor.close()


def _opened(value: object, progress: Report | None) -> tuple[Executor, bool]:
    from learnrate.study.executors.here import Here

    if value is None:
        return Here(progress), True
    if _is_executor(value):
        return value, False
    if callable(getattr(value, "submit", None)) and not isinstance(value, type):
        return _around(value), True  # closes what it has added, not what the user has opened
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return _by_name(value), True
    rule = "None, a number of processes, 'processes', 'ray', 'dask', or an object with submit(function, *arguments)"
    return checks.refuse_type("executor", rule, value)


def _by_name(value: int | str) -> Executor:
    from learnrate.study.executors.here import Here
    from learnrate.study.executors.processes import MOST_WORKERS, Processes

    if isinstance(value, int):
        return Processes(checks.whole("executor", value, at_least=1, at_most=MOST_WORKERS))
    name = checks.choice("executor", value, NAMES)
    if name == "ray":
        from learnrate.study.executors.ray import Ray

        return Ray()
    if name == "dask":
        from learnrate.study.executors.dask import Dask

        return Dask()
    return Here() if name == "here" else Processes()


def _around(value: Any) -> Executor:
    """What makes runs with an executor or a client of another library."""
    library = type(value).__module__.partition(".")[0]
    if library == "distributed":
        from learnrate.study.executors.dask import Dask

        return Dask(value)
    if library == "submitit":
        from learnrate.study.executors.submitit import Submitit

        return Submitit(value)
    return Foreign(value)


def missing(library: str, extra: str, error: ModuleNotFoundError) -> MissingExtraError:
    """The error for a library that is not installed. The error is raised again if it is about another one."""
    if error.name is None or error.name.partition(".")[0] != library:
        raise error
    return MissingExtraError(
        f"this executor needs {library}, which is not installed: pip install 'learnrate[{extra}]'", name=library
    )
