"""What makes the runs of a study: anything that takes a function and returns a future."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeGuard

from learnrate import checks
from learnrate.study.run import Message, Report

FOREIGN_WORKERS = 32
"""Runs in progress at most on an executor that does not say how many workers it has."""


NAMES = ("here", "processes")
"""Executors that have a name."""


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

    Attributes:
        workers: Number of runs that it makes at the same time.
        report: What a run tells its progress to, wherever it is made; None if nothing can be told.
    """

    workers: int
    report: Report | None

    def messages(self) -> Sequence[Message]:
        """What was reported since the last call."""

    def close(self) -> None:
        """End what still runs, and give back what was opened."""


class Foreign:
    """An executor of another library, which belongs to the user and is left open.

    Args:
        executor: The executor.

    Attributes:
        workers: See `Executor`.
        report: Nothing can be told: not every library has a way back from a running call.
    """

    report: Report | None = None

    def __init__(self, executor: Submits) -> None:
        self._executor = executor
        self.workers = _workers(executor)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future:
        """See `Executor.submit`."""
        return self._executor.submit(function, *arguments)

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


def _is_executor(value: object) -> TypeGuard[Executor]:
    return all(hasattr(value, name) for name in ("submit", "workers", "report", "messages", "close"))


@contextmanager
def as_executor(value: object, progress: Report | None = None) -> Iterator[Executor]:
    """The executor that a user asks for, closed at the end if it was opened here.

    Args:
        value: None for one run after the other, here; a number of processes; "processes", "ray" or "dask"; or an executor:
            one of `learnrate.study.executors`, of `concurrent.futures`, a client of Dask, an executor of submitit.
        progress: Called with the progress of the runs that are made here, where nothing reads messages meanwhile.

    Raises:
        ArgumentError: if the name is unknown, or the number is below 1.
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
    if callable(getattr(value, "submit", None)):
        return Foreign(value), False  # type: ignore[arg-type]
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return _by_name(value), True
    rule = "None, a number of processes, 'processes', 'ray', 'dask', or an object with submit(function, *arguments)"
    return checks.refuse_type("executor", rule, value)


def _by_name(value: int | str) -> Executor:
    from learnrate.study.executors.here import Here
    from learnrate.study.executors.processes import Processes

    if isinstance(value, int):
        return Processes(checks.length("executor", value))
    name = checks.choice("executor", value, NAMES)
    return Here() if name == "here" else Processes()
