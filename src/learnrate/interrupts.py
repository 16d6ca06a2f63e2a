"""Ctrl-C that waits for work which must not be left half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        yield interrupts
    finally:
        # None stands for a handler that was not installed from Python, which cannot be installed again from here.
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
