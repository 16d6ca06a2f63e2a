"""Ctrl-C at a chosen line of learnrate, as real signals."""

import contextlib
import signal
import sys
from pathlib import Path

import learnrate

FILES = (str(Path(learnrate.__file__).parent), contextlib.__file__)


def lines_of(function):
    """The lines of learnrate that a call executes, in order, as (file, line)."""
    lines = []
    _traced(function, lambda frame: lines.append((frame.f_code.co_filename, frame.f_lineno)))
    return lines


def interrupted(function, *numbers):
    """Call a function with Ctrl-C at the lines of these numbers, counted as `lines_of` counts them.

    Returns:
        What it returned, or the KeyboardInterrupt that it raised; and how many interrupts were sent.
    """
    count, sent = 0, 0

    def at_line(frame):
        nonlocal count, sent
        count += 1
        if count - 1 in numbers:
            sent += 1
            signal.raise_signal(signal.SIGINT)

    try:
        return _traced(function, at_line), sent
    except KeyboardInterrupt as interrupt:
        return interrupt, sent


def _traced(function, at_line):
    def local(frame, event, argument):
        if event == "line":
            at_line(frame)
        return local

    def begin(frame, event, argument):
        return local if frame.f_code.co_filename.startswith(FILES) else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        return function()
    finally:
        sys.settrace(before)
