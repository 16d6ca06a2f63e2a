"""Ctrl-C that waits for work which must not be left half done.

A handler that is installed when such work begins comes too late: the first Ctrl-C ends a sweep, and a second one may arrive
before what the sweep changed is put back. So the handler is installed before the sweep, and the frames on the stack decide
whether Ctrl-C acts at once or waits. The stack has no moment between the two.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import PurePath
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")

Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def recorded_interrupts() -> Iterator[list[int]]:
    """Record each Ctrl-C in a list instead of raising it. Outside the main thread, which alone receives it, do nothing.

    Example:
        >>> with recorded_interrupts() as interrupts:
        ...     signal.raise_signal(signal.SIGINT)
        ...     len(interrupts)
        1
    """
    interrupts: list[int] = []
    before = _replaceable_handler()
    if before is None:
        yield interrupts
        return
    signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def act_on(interrupts: list[int]) -> None:
    """Hand recorded interrupts to the present handler, which by default raises KeyboardInterrupt, and empty the list."""
    while interrupts:
        interrupts.pop()
        signal.raise_signal(signal.SIGINT)


@contextmanager
def delayed_interrupts() -> Iterator[None]:
    """Let Ctrl-C act after the block, or after the function that is decorated.

    Example:
        >>> try:
        ...     with delayed_interrupts():
        ...         signal.raise_signal(signal.SIGINT)
        ...         print("drawn")
        ... except KeyboardInterrupt:
        ...     print("interrupted")
        drawn
        interrupted
    """
    with recorded_interrupts() as interrupts:
        yield
    act_on(interrupts)


def end_plainly_while_loading() -> None:
    """Let Ctrl-C end the process by its signal, without a traceback, if this is the command line and not yet under way.

    `python -m learnrate` and the script import the package before any line of the command runs.
    """
    arguments, original = getattr(sys, "argv", []), getattr(sys, "orig_argv", [])
    # While it looks for the module, Python has "-m" in place of its name.
    is_module = arguments[:1] == ["-m"] and any(word in ("learnrate", "-mlearnrate") for word in original)
    is_script = bool(arguments) and PurePath(arguments[0]).stem == "learnrate" and not arguments[0].endswith(".py")
    if (is_module or is_script) and _replaceable_handler() is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_again_once_loaded() -> None:
    """Take back `end_plainly_while_loading`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def within(manager: AbstractContextManager[T], work: Callable[[T], R]) -> R:
    """`with manager as value: return work(value)`, where Ctrl-C acts at once in `work` only.

    Ctrl-C before `work` acts at its beginning, Ctrl-C after `work` once the manager has ended.

    Example:
        >>> @contextmanager
        ... def changed():
        ...     print("changed")
        ...     yield
        ...     signal.raise_signal(signal.SIGINT)
        ...     print("put back")
        >>> try:
        ...     within(changed(), lambda value: print("work"))
        ... except KeyboardInterrupt:
        ...     print("interrupted")
        changed
        work
        put back
        interrupted
    """
    return Uninterrupted(manager).run(work)


class Uninterrupted(AbstractContextManager[T]):
    """A context manager whose beginning and end Ctrl-C does not cut short. In the block itself it acts at once.

    Ctrl-C at the beginning ends the manager without the block; Ctrl-C at the end acts after it.

    Args:
        manager: The context manager.
    """

    def __init__(self, manager: AbstractContextManager[T]) -> None:
        self._manager = manager
        self._waiting: list[int] = []
        self._before = self._after = _replaceable_handler()

    def __enter__(self) -> T:
        # Without an ExitStack, in whose end, with the former handler back, Ctrl-C would become an UnboundLocalError.
        if self._before is not None:
            signal.signal(signal.SIGINT, self._handle)
        try:
            value = self._manager.__enter__()
            try:
                self._act(lambda _: None, None)
            except BaseException:
                self._manager.__exit__(*sys.exc_info())
                raise
        except BaseException:
            self._uninstall()
            raise
        return value

    def __exit__(self, *error: Any) -> bool | None:
        present = signal.getsignal(signal.SIGINT)
        if self._before is not None and present != self._handle:  # the block has installed one of its own, which stays
            signal.signal(signal.SIGINT, self._handle)
            self._after = present  # type: ignore[assignment]
        try:
            return self._manager.__exit__(*error)
        finally:
            self._uninstall()

    def run(self, work: Callable[[T], R]) -> R:
        """Call `work` as the block; Ctrl-C waits between this block and the beginning and the end, too."""
        with self as value:
            return self._act(work, value)

    def _act(self, work: Callable[[S], R], value: S) -> R:
        act_on(self._waiting)
        return work(value)

    def _uninstall(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._after)
        act_on(self._waiting)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._holds(frame) or self._before is None:
            self._waiting.append(number)
        else:
            self._before(number, frame)

    def _holds(self, frame: FrameType | None) -> bool:
        """Whether the innermost method of this object on the stack, if there is one, lets Ctrl-C wait."""
        while frame is not None:
            if frame.f_code in _METHODS and frame.f_locals.get("self") is self:
                return frame.f_code is not _ACTING
            frame = frame.f_back
        return False


_ACTING = Uninterrupted._act.__code__
_METHODS = {method.__code__ for method in (Uninterrupted.__enter__, Uninterrupted.__exit__, Uninterrupted.run)} | {_ACTING}


def _replaceable_handler() -> Handler | None:
    """The handler of Ctrl-C; None where there is none that was installed from Python, and outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else None
