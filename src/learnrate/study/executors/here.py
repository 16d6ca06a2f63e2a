"""Runs one after the other, in this process."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from learnrate.study.running.run import Message


class Here:
    """Makes each run at once, where it is submitted.

    Args:
        on_message: Called with the progress of the run, while it is made.

    Attributes:
        workers: One.
        attempts: See `Executor`.
        report: See `Executor`.

    Example:
        >>> Here().submit(pow, 2, 5).result()
        32
    """

    workers = 1
    attempts = 1

    def __init__(self, on_message: Callable[[Message], object] | None = None) -> None:
        self.report: Callable[[Message], object] | None = on_message

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        """Call the function now. Ctrl-C is raised here; other errors are those of the future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def messages(self) -> Sequence[Message]:
        """None: `on_message` was called during the run."""
        return ()

    def close(self) -> None:
        """Nothing is open."""
