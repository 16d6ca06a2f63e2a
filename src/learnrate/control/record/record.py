"""The record of a run as a value."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from learnrate import checks, records
from learnrate.control.events import Event
from learnrate.control.record import attempts, reader
from learnrate.control.record.attempts import Attempt
from learnrate.control.record.tables import columns
from learnrate.errors import ArgumentError, OverruledWarning, ParseError
from learnrate.schedules import Schedule
from learnrate.schedules.functions import Function, by_name
from learnrate.tables import as_csv, as_frame
from learnrate.user_code import warn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

T = TypeVar("T")
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

SAME = 1e-6
"""Relative difference up to which an LR is that of the schedule: frameworks compute in single precision."""


class Metric(NamedTuple):
    """A score of evaluations.

    Attributes:
        updates: Number of the last update before each evaluation.
        values: The score in each.
    """

    updates: Counts
    values: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """What happened in a training run: the LR of every update, losses, metrics, events. `load` reads one.

    A run that was resumed is one run: of updates that were made twice, the record has those that count.

    Attributes:
        path: The file.
        updates: The number of each update, rising; int64.
        lrs: The LR that each update used; the largest of several parameter groups.
        losses: Its loss; NaN and infinite as they were, NaN also where no loss was measured.
        gradient_norms: The norm of its gradient; NaN where it was not measured.
        times: When it was made, in seconds since the epoch of the clock (`time.time`).
        metrics: The scores of evaluations by name.
        attempts: The parts of the run: its start, and each time it went on from a checkpoint.
    """

    path: str
    updates: Counts
    lrs: Floats
    losses: Floats
    gradient_norms: Floats
    times: Floats
    metrics: Mapping[str, Metric]
    attempts: tuple[Attempt, ...]
    _functions: tuple[Function, ...] = field(default=())

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, functions: Iterable[Function] = (), attempt: int | None = None
    ) -> "Record":
        """Read a record, also while a run writes it: then it has all but the last half second.

        Args:
            path: The file that was given as `record=`.
            functions: Your own functions that the schedules name; see `learnrate.parse`.
            attempt: The run as it was at the end of this attempt, counted from 1: before it was resumed, or before another
                run was recorded in the same file. None for the last one.

        Raises:
            ArgumentError: if there is no such attempt.
            ArgumentTypeError: if an argument has the wrong type.
            OutputError: if the file cannot be read, is damaged, or is something else.

        Example:
            >>> import tempfile, learnrate as lr
            >>> from learnrate.control import Observation, Scale
            >>> from learnrate.control.running import begin
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     control = begin([lr.linear(0.1, 0.0, 100)], record=f"{folder}/run.sqlite")
            ...     for n in range(100):
            ...         _ = control.observe(Observation(n, lr=control.schedule(n), loss=1 / (1 + n)))
            ...         if n == 49:
            ...             _ = control.request(Scale(0.5), why="the loss stalls")
            ...         _ = control.settle(n + 1)
            ...     control.close()
            ...     record = lr.Record.load(f"{folder}/run.sqlite")
            >>> record.schedule()
            linear(start=0.1, end=0.0, length=100) * piecewise_constant(values=(1.0, 0.5), milestones=(50,))
            >>> record.events[0].reason
            'the loss stalls'
        """
        checked = checks.path("path", path)
        functions = tuple(by_name(functions).values())
        content = reader.read(checked)
        parts = content.attempts
        if attempt is not None:
            number = checks.whole("attempt", attempt, at_least=1)
            if number > len(parts):
                checks.refuse("attempt", f"at most {len(parts)}, the number of attempts in {checked}", attempt)
            parts = parts[:number]
        end = attempts.ends(parts)
        some = _last_of_each(content.updates["n"], _counting(content.updates, end))
        columns = {name: values[some] for name, values in content.updates.items()}
        for values in columns.values():
            values.flags.writeable = False
        return cls(
            path=str(checked),
            updates=columns["n"],
            lrs=columns["lr"],
            losses=columns["loss"],
            gradient_norms=columns["gradient_norm"],
            times=columns["time"],
            metrics=_metrics(content, end),
            attempts=tuple(parts),
            _functions=functions,
        )

    def __len__(self) -> int:
        return len(self.updates)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What controllers and people did, in order.

        Raises:
            ArgumentError: if the schedules of an event name functions that were not given to `load`.
        """
        return tuple(self._understood(lambda: [attempts.read(event, self._functions) for event in self._raw_events]))

    @cached_property
    def marks(self) -> tuple[Event, ...]:
        """The events without their schedules, which need no functions to be read."""
        return tuple(attempts.read({**event, "schedules": None}) for event in self._raw_events)

    @cached_property
    def _raw_events(self) -> list[dict[str, Any]]:
        return attempts.events(self.attempts)

    @property
    def original(self) -> tuple[str, ...]:
        """The texts of the schedules that the run had when it began, one for all parameter groups or one for each."""
        return attempts.counting(self.attempts)[0].texts if self.attempts else ()

    def schedule(self, functions: Iterable[Function] = ()) -> Schedule | tuple[Schedule, ...]:
        """The LR that was really used, as a pure schedule: the original one with all that happened to it.

        Its values are those of the run, bit for bit, and beyond the last update those that would have followed. Give it to
        an optimizer to make the run again.

        Args:
            functions: Your own functions that the schedules name, beside those that `load` was given.

        Returns:
            A schedule; or a tuple of them, one for each parameter group, if the run had several.

        Raises:
            ArgumentError: if the schedules name functions that were not given, or the record has no attempt.

        Warns:
            OverruledWarning: if the LRs in the record are others, because something else wrote them.
        """
        schedules = self._schedules((*self._functions, *by_name(functions).values()))
        difference = self._difference(schedules)
        if difference:
            warn(difference, OverruledWarning)
        return schedules if len(schedules) > 1 else schedules[0]

    def _schedules(self, functions: tuple[Function, ...]) -> tuple[Schedule, ...]:
        if not self.attempts:
            raise ArgumentError(f"{self.path} must have the schedule of a run, but no run was begun in it")
        return self._understood(lambda: attempts.schedules(self.attempts, functions))

    def _understood(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except ParseError as error:
            raise ArgumentError(
                f"the schedules of {self.path} must be read with the functions that they name: "
                f"Record.load(path, functions=[...]); {error}"
            ) from error

    def _difference(self, schedules: tuple[Schedule, ...]) -> str:
        """Where the LRs are not those of the schedules; empty if they are."""
        if not len(self):
            return ""
        planned = np.max([schedule(self.updates) for schedule in schedules], axis=0)
        peak = float(np.max(np.abs(planned)))
        others = np.flatnonzero(~np.isclose(self.lrs, planned, rtol=SAME, atol=SAME * peak / 10))
        if not len(others):
            return ""
        first = others[0]
        return (
            f"{len(others):,} of {len(self):,} updates used another LR than the schedule of the run with its events: "
            f"update {self.updates[first]} used {self.lrs[first]:.6g} instead of {planned[first]:.6g}. Something else wrote "
            "the LR; Record.lrs has what was used"
        )

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: LRs that the schedule does not explain, updates that are missing, attempts."""
        notes = []
        try:
            notes.append(self._difference(self._schedules(self._functions)))
        except ArgumentError as error:
            notes.append(f"Record.schedule() has no answer: {error}")
        jumps = np.flatnonzero(np.diff(self.updates) > 1)
        if len(jumps):
            missing = int(self.updates[-1] - self.updates[0] + 1 - len(self))
            first = int(self.updates[jumps[0]]) + 1
            notes.append(f"{missing:,} updates are missing, the first is update {first}")
        if len(self) and self.updates[0]:
            notes.append(f"the record begins with update {self.updates[0]}")
        begun = [attempt for attempt in self.attempts if attempt.start is not None]
        if len(begun) > 1:
            starts = ", ".join(f"attempt {attempt.number} from update {attempt.start}" for attempt in begun[1:])
            notes.append(f"the file has {len(begun)} attempts: {starts}; load(path, attempt=...) reads what was before")
        return tuple(filter(None, notes))

    def __repr__(self) -> str:
        from learnrate.control.record import summary

        return summary.text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the facts, the events, and the figure."""
        from learnrate.control.record.page import notebook

        return notebook(self)

    def plot(self) -> "tuple[Axes, ...]":
        """Draw LR and loss over the updates, with the events and their reasons.

        Returns:
            The axes, from top to bottom; `axes[0].figure.savefig(path)` writes the figure.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        from learnrate.control.record.figure import draw_record

        return draw_record(self)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the record as one HTML file, with an interactive figure and the events. It loads nothing from elsewhere.

        Raises:
            MissingExtraError: if plotly is not installed.
            OutputError: if the file cannot be written.
        """
        from learnrate.control.record.page import write_record

        write_record(self, path)

    def to_pandas(self) -> "pd.DataFrame":
        """The updates as a pandas DataFrame, with a column for each metric.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return as_frame(columns(self))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the same table as CSV. Numbers have all digits.

        Raises:
            OutputError: if the file cannot be written.
        """
        records.write_atomically(path, as_csv(columns(self)).encode("utf-8", "backslashreplace"))


def _counting(columns: reader.Columns, end: dict[int, float]) -> NDArray[np.bool_]:
    """Which rows count."""
    counts = np.zeros(len(columns["n"]), np.bool_)
    for attempt, limit in end.items():
        counts |= (columns["attempt"] == attempt) & (columns["n"] < limit)
    return counts


def _last_of_each(numbers: NDArray[np.int64], counts: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Which of the rows that count do so in the end: of an update that was made again, the last one."""
    some = np.flatnonzero(counts)
    own = numbers[some]
    return some[np.append(own[1:] != own[:-1], True)] if len(some) else some


def _metrics(content: reader.Content, end: dict[int, float]) -> dict[str, Metric]:
    """The scores that count by name; of two after the same update, the later one."""
    some = _counting(content.metrics, end)
    by_metric: dict[str, dict[int, float]] = {}
    columns = (content.metrics[name].tolist() for name in ("n", "value"))
    for name, update, value, counts in zip(content.names, *columns, some, strict=True):
        if counts:
            by_metric.setdefault(name, {}).pop(update, None)
            by_metric[name][update] = value
    return {
        name: Metric(np.array(list(values), np.int64), np.array(list(values.values()), np.float64))
        for name, values in by_metric.items()
    }
