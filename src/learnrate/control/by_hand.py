"""Changes by hand without a page: lines appended to a file, and a signal of the operating system."""

import os
import signal as signals
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.commands import USAGE, from_line
from learnrate.control.controller import Opener
from learnrate.control.events import Event
from learnrate.control.lines import Lines
from learnrate.control.listeners import Asked, Channel
from learnrate.control.requests import AnyRequest, Scale
from learnrate.errors import ArgumentError, LearnrateError, NotMeasuredWarning, OutputError
from learnrate.user_code import warn

EVERY = 0.5
"""Seconds between two looks at the file. A person does not notice them; a look costs less than 0.1 ms."""

USABLE = ("SIGUSR1", "SIGUSR2")
"""Signals that a program may use as it likes. Others end or interrupt it, or come from its children and timers."""


def _signal(name: str, value: object) -> str | None:
    if value is None:
        return None
    here = [usable for usable in USABLE if hasattr(signals, usable)]
    if checks.text(name, value) not in here:
        if not here:
            checks.refuse(name, "None on this system, which has no signals for programs", value, "use file=")
        checks.refuse(name, f"one of {', '.join(here)} or None", value, "other signals have a meaning already")
    return str(value)


@frozen
class by_hand(Opener):
    """Changes by hand: put it among the controllers, `control=[..., by_hand(file="run.commands")]`.

    A line that is appended to the file is applied between two updates, and can be undone:

        echo "scale 0.5"                  >> run.commands     halve the LR
        echo "schedule cosine(0.05, 0)"   >> run.commands     another schedule for the rest of the run
        echo "schedule from start cosine(0.1, 0, 9000)" >> run.commands   one that counts from the start of the run
        echo "cooldown 500"               >> run.commands     begin the cooldown now; "cooldown 500 1e-5 cosine"
        echo "undo"                       >> run.commands     take the last change back
        echo "stop"                       >> run.commands     end the run after the present update

    The file beside it, `run.commands.log`, says for each line at which update it was applied, or the error with its column;
    its first line names the process. What the file holds when the run begins is not applied. The signal multiplies the LR
    with `scale`, each time that it is sent: `kill -USR1 PROCESS`. In many processes send it to process 0 alone, the one that
    the log names; the others do not handle it, and end.

    Args:
        file: The file of the commands; None for none. It need not exist yet.
        signal: "SIGUSR1" or "SIGUSR2", which Windows does not have; None for none. A handler that a trainer or a batch
            system has installed for it before is called too, so choose another one than theirs.
        scale: What the signal multiplies the LR with.

    Raises:
        ArgumentError: if there is neither a file nor a signal, or an argument breaks its rule; where the run begins, if a
            signal cannot be handled there.
        ArgumentTypeError: if an argument has the wrong type.
        OutputError: where the run begins, if the log cannot be written, or the file not be read.

    Example:
        >>> by_hand(file="run.commands", signal=None)
        by_hand(file=PosixPath('run.commands'), signal=None, scale=0.5)
    """

    file: str | os.PathLike[str] | None = checked(checks.optional(checks.path), default=None)
    signal: str | None = checked(_signal, default=None)
    scale: float = checked(checks.positive, default=0.5)

    def __post_init__(self) -> None:
        checks.check_fields(self)
        Scale(self.scale)
        if self.file is None and self.signal is None:
            raise ArgumentError('file or signal must be given: by_hand(file="run.commands") or by_hand(signal="SIGUSR1")')

    def open(self) -> Channel:
        """Begin to look at the file, and to handle the signal."""
        return _Hand(self)


class _Hand:
    """The channel of one run."""

    def __init__(self, settings: by_hand) -> None:
        self._settings = settings
        self._log = _Log(Path(f"{os.fspath(settings.file)}.log")) if settings.file is not None else None
        self._lines = Lines(Path(settings.file)) if settings.file is not None else None
        self._signal = _Signal(settings.signal) if settings.signal is not None else None
        self._next = 0.0 if self._lines is not None else float("inf")
        if self._log is not None:
            sends = f", kill -{settings.signal.removeprefix('SIG')} {os.getpid()}" if settings.signal else ""
            self._log.write(f"process {os.getpid()} reads the lines that are appended: {'; '.join(USAGE)}{sends}")

    def poll(self) -> Iterable[Asked]:
        """See `Channel.poll`. Most calls look at the clock alone."""
        if (self._signal is None or not self._signal.times) and time.monotonic() < self._next:
            return ()
        return self._asked()

    def _asked(self) -> list[Asked]:
        asked: list[Asked] = []
        if self._signal is not None:
            while self._signal.times:
                self._signal.times.popleft()
                scaled = Scale(self._settings.scale)
                asked.append(self._request(scaled, f"{scaled} ({self._settings.signal})", str(self._settings.signal)))
        if self._lines is not None and self._log is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            for line in self._lines.appended(self._log.write):
                if not line.strip() or line.lstrip().startswith("#"):
                    continue
                try:
                    change = from_line(line)
                    asked.append(self._request(change, f"{change} ({self._lines.path.name})", line.strip()))
                except LearnrateError as error:
                    self._log.write(f"{checks.short(line)}: not applied: {error}")
        return asked

    def _request(self, change: AnyRequest, why: str, name: str) -> Asked:
        future: Future[Event] = Future()
        if self._log is not None:
            log = self._log

            def answer(future: "Future[Event]") -> None:
                error = future.exception()
                log.write(
                    f"{name}: not applied: {error}" if error else f"{name}: applied at update {future.result().update}"
                )

            future.add_done_callback(answer)
        return change, why, future

    def close(self) -> None:
        """See `Channel.close`."""
        if self._signal is not None:
            self._signal.close()
        if self._log is not None:
            self._log.write(f"process {os.getpid()} reads no more lines: the run has ended")


@dataclass(frozen=True)
class _Log:
    """A file of answers, one a line, each with the time."""

    path: Path

    def __post_init__(self) -> None:
        try:
            with self.path.open("a"):
                pass
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write the answers to the commands into {self.path}: {error}") from error

    def write(self, answer: str) -> None:
        """Add a line. A full disk must not end the run."""
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{datetime.now().isoformat(' ', 'seconds')} {' '.join(answer.splitlines())}\n")
        except OSError as error:
            warn(f"an answer to a command cannot be written into {self.path}: {error}: {answer}", NotMeasuredWarning)


class _Signal:
    """Notes each time that a signal arrives, then calls the handler that was there before.

    Attributes:
        times: One entry for each time that was not looked at yet.
    """

    def __init__(self, name: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise ArgumentError(
                f"signal must be None outside of the main thread, received {name!r}: Python handles signals in the main "
                "thread alone; use file="
            )
        self.times: deque[int] = deque()
        self._number = getattr(signals, name)
        # None: a handler that was not installed from Python, and cannot be put back.
        self._before: Callable[[int, FrameType | None], Any] | int | None = signals.getsignal(self._number)
        signals.signal(self._number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.times.append(number)
        if callable(self._before):
            self._before(number, frame)

    def close(self) -> None:
        """Put the former handler back, unless another one was installed on top, or this is not the main thread."""
        main = threading.current_thread() is threading.main_thread()
        if main and self._before is not None and signals.getsignal(self._number) == self._handle:
            signals.signal(self._number, self._before)
