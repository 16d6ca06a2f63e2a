"""Standard output and standard error: results on the one, progress on the other."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


def prepare_streams() -> None:
    """Let no character that a terminal cannot show, and no closed stream, end a run."""
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Send everything that is printed to stderr, however a recipe prints it, and yield the real stdout."""
    sys.stdout.flush()
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    yield stdout


class ReportConsole(Console):
    """Where the report is printed. A reader that has ended is a `BrokenPipeError`, as everywhere else in Python."""

    def on_broken_pipe(self) -> None:
        """Raise the error in place of rich's `SystemExit`, which a recipe might have raised as well."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise BrokenPipeError from None


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
