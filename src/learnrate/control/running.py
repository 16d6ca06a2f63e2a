"""A run begins: its control, with the record and the live page that listen to it. What every adapter calls."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from learnrate import checks
from learnrate.control.control import Control
from learnrate.control.evaluations import Evaluations, waiting_for_metrics
from learnrate.control.live import listen, page_settings
from learnrate.schedules import Schedule

Path: TypeAlias = str | os.PathLike[str]


def begin(
    schedules: Sequence[Schedule],
    *,
    control: object = None,
    record: Path | None = None,
    page: object = False,
    start: int = 0,
    rank: int = 0,
    share: Callable[[Any], Any] | None = None,
) -> Control:
    """The control of a run, with what listens to it.

    Args:
        schedules: One for all parameter groups, or one for each. Resolved.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names; None for none.
        record: File of the record, which `learnrate.Record.load` reads: JSON Lines if its name ends in .jsonl, otherwise a
            database of sqlite. Written by process 0 alone. A run that goes on is added to its file.
        page: Whether a live page is served, by process 0 alone; or its settings, a `learnrate.control.Page`.
        start: Number of updates so far.
        rank: Number of this process.
        share: See `Control`.

    Raises:
        ArgumentError: if an argument breaks its rule.
        MissingExtraError: if the live page needs something that is not installed.
        OutputError: if the record cannot be written, is another file, or is written by another run.

    Warns:
        NotMeasuredWarning: at the end of a run in which a controller watched a metric, and no evaluation was made.
    """
    checks.optional(checks.path)("record", record)
    settings = page_settings(page)
    running = Control(schedules, control, rank=rank, share=share)
    if rank != 0:
        return running
    try:
        if record is not None:
            from learnrate.control.record import (
                Recorder,  # sqlite takes a hundredth of a second, which most runs need not wait
            )

            running.listeners.append(Recorder(record, running.original))
        if settings is not None:
            listen(running, settings, start)
        if waiting := waiting_for_metrics(running.controllers):
            running.listeners.append(Evaluations(waiting))
    except BaseException:  # the port is taken, for example: what was begun so far has to end
        running.close()
        raise
    return running
