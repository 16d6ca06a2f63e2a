"""Standard output and standard error: results on the one, progress on the other."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ReadOrDiscarded(io.FileIO):
    """A standard stream whose reader may end, as `head` does. What is written afterwards is discarded.

    A run goes on, because its results are files. Everything that writes to the stream is covered: the report, the progress
    bars, and what a recipe prints.

    Attributes:
        error: Why what was written is lost, other than by a reader that has ended: a full disk, for example.
    """

    error: OSError | None = None

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.fileno(), "w", closefd=False)
        self._stream = stream  # which would close the descriptor if nothing referred to it

    def write(self, data: Any, /) -> int:
        """Write the data, or as much of it as the system takes."""
        try:
            return super().write(data)
        except OSError as error:
            self.error = None if isinstance(error, BrokenPipeError) else error
            discard(self.fileno())
            return memoryview(data).nbytes


def discard(descriptor: int) -> None:
    """Discard what is written to a file descriptor from now on."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), descriptor)


def require_written(stream: TextIO) -> None:
    """Raise the error by which a stream of `prepare_streams` has lost text, if it has."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, ReadOrDiscarded) and raw.error is not None:
        raise raw.error


def prepare_streams() -> None:
    """Let no character that a terminal cannot show, and no closed stream, end a run."""
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stdout, sys.stderr = map(_tolerant, (sys.stdout, sys.stderr))


def _tolerant(stream: TextIO) -> TextIO:
    """The stream in the form that raises no error; as it is if it is no stream of the process."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="replace")
    raw = getattr(stream.buffer, "raw", stream.buffer)  # without buffers, they are the same
    if type(raw) is not io.FileIO:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(ReadOrDiscarded(stream)),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Send everything that is printed to stderr, however a recipe prints it, and yield the real stdout."""
    sys.stdout.flush()
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    yield stdout


@contextmanager
def progress_bars() -> Iterator["Bars"]:
    """Progress bars on stderr, so that stdout holds only results."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # Otherwise rich would draw what goes to a redirected stdout above the bars, on the terminal.
    redirect = sys.stdout.isatty()
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=redirect, disable=not console.is_terminal
    ) as progress:
        yield Bars(progress)


@dataclass
class Bars:
    """One bar for each part of the work."""

    progress: Progress
    _tasks: dict[str, TaskID] = field(default_factory=dict)

    def show(self, name: str, done: int, planned: int) -> None:
        """Move the bar of a part."""
        if name not in self._tasks:
            self._tasks[name] = self.progress.add_task(name, total=planned)
        self.progress.update(self._tasks[name], completed=done)

    def end(self, name: str) -> None:
        """Remove the bar of a part that has ended: of hundreds of runs, those in progress are shown."""
        if name in self._tasks:
            self.progress.remove_task(self._tasks.pop(name))
