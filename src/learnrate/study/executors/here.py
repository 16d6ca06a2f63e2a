"""Runs one after the other, in this process."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from learnrate.study.running.run import Message


class _MessageError(BaseException):
    """An error of `on_message`. It passes through the run, which would report an `Exception` as its own failure."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


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
        self._on_message = on_message
        self.report: Callable[[Message], object] | None = None if on_message is None else self._report

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        """Call the function now. Ctrl-C and errors of `on_message` are raised here; other errors are those of the future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except _MessageError as carrier:
            raised = carrier.error
        except Exception as error:
            future.set_exception(error)
            return future
        else:
            return future
        raise raised  # here, where no other error is handled, so that its cause stays its own

    def _report(self, message: Message) -> None:
        assert self._on_message is not None
        try:
            self._on_message(message)
        except Exception as error:
            raise _MessageError(error) from error

    def messages(self) -> Sequence[Message]:
        """None: `on_message` was called during the run."""
        return ()

    def close(self) -> None:
        """Nothing is open."""
