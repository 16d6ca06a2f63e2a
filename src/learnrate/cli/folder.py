"""The folder that a run leaves behind."""

import datetime
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from learnrate import figures, records
from learnrate.errors import ArgumentError, MissingExtraError
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.finder.figure import draw_curve
from learnrate.interrupts import delayed_interrupts
from learnrate.schedules.figure import draw_schedule
from learnrate.study import Comparison
from learnrate.study.report.figure import draw_losses, draw_scores
from learnrate.study.report.page import write_comparison
from learnrate.tuner import Plan
from learnrate.tuner.figure import draw_trials

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

MARK = ".learnrate"
"""A file that is locked while its folder is in use. The system unlocks it when the process ends, however that happens."""

LONGEST_NAME = 100
"""Characters of the name of a recipe in the name of a folder: file systems allow 255 bytes."""


@dataclass(frozen=True)
class Folder:
    """Where a run's files go. Each file is written whole, as soon as its content is known.

    Ctrl-C waits until a figure is drawn, because Python ignores what is raised in the weak references of matplotlib.

    Attributes:
        path: The folder.
        created: Whether this run created it.
        lock: The file that reserves it, open and locked.
    """

    path: Path
    created: bool
    lock: BinaryIO

    def close(self) -> None:
        """Release the folder, and remove it if this run has created it and written nothing."""
        (self.path / MARK).unlink(missing_ok=True)
        self.lock.close()
        if self.created and self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()

    def write_curve(self, curve: Curve) -> None:
        """curve.json."""
        curve.save(self.path / "curve.json")

    @delayed_interrupts()
    def draw_curve(self, curve: Curve, bounds: Bounds | NoAnswer) -> None:
        """range-test.png, with the bounds drawn in."""
        figure, (ax,) = figures.new_figure(8, 4.5)
        draw_curve(curve, bounds, ax)
        figures.save(figure, self.path / "range-test.png")

    @delayed_interrupts()
    def write_plan(self, plan: Plan) -> None:
        """plan.json, trials.png and schedule.png."""
        plan.save(self.path / "plan.json")
        figure, (ax,) = figures.new_figure(8, 4.5)
        draw_trials(plan, ax)
        figures.save(figure, self.path / "trials.png")
        figure, (ax,) = figures.new_figure(8, 4)
        draw_schedule(plan.schedule, plan.length, ax)
        figures.save(figure, self.path / "schedule.png")

    def write_trainings(self, comparison: Comparison) -> None:
        """trainings.json: the record of every training so far."""
        records.save(self.path / "trainings.json", "comparison", comparison.as_record())

    @delayed_interrupts()
    def draw_comparison(self, comparison: Comparison, title: str) -> None:
        """comparison.png: loss and metric of the compared training runs."""
        measured = any(arm.trainings and arm.trainings[0].scores for arm in comparison.arms)
        figure, axes = figures.new_figure(11 if measured else 7, 4.2, columns=2 if measured else 1)
        draw_losses(comparison, axes[0])
        if measured:
            draw_scores(comparison, axes[1])
        figure.suptitle(figures.literal(title), x=0.01, ha="left", fontsize=12)
        figures.save(figure, self.path / "comparison.png")

    @delayed_interrupts()
    def write_report(self, comparison: Comparison, target: float | str | None, title: str) -> None:
        """report.html: the page of a comparison."""
        write_comparison(comparison, self.path / "report.html", target, title=title)

    def write_page(self, curve: Curve) -> bool:
        """range-test.html, with hover and zoom. Returns False if plotly, which draws it, is not installed."""
        try:
            curve.to_html(self.path / "range-test.html")
        except MissingExtraError:
            return False
        return True

    def write_summary(self, command: str, summary: Mapping[str, Any]) -> None:
        """result.json: what --json prints."""
        records.save(self.path / "result.json", command, summary)


def open_folder(out: Path | None, runs: Path, name: str, study: Path | None = None) -> Folder:
    """Create the folder, check that files can be written into it, and reserve it for this run.

    Args:
        out: The folder, new or empty; by default <time>-<name> in `runs`, numbered if that exists already.
        runs: Where the default lies.
        name: Name of the recipe.
        study: A study that is continued: the folder in which it lies need not be empty, because it is that of the study.

    Raises:
        ArgumentError: if the folder cannot be created or written to, or is not empty.
    """
    try:
        created = out is None or not out.exists()
        path = _create_new(runs, name) if out is None else _create(out, study)
        lock = _lock(path / MARK)
    except (FileExistsError, BlockingIOError) as error:
        raise ArgumentError(f"--out must be a folder of this run's own, {out or runs} is a file or in use") from error
    except OSError as error:
        raise ArgumentError(
            f"--out must be a folder that can be written to, {out or runs} is not: {error.strerror or error}"
        ) from error
    return Folder(path, created, lock)


def _lock(mark: Path) -> BinaryIO:
    """Lock the file that reserves a folder. Two runs may find the same empty folder at once; only one of them locks it.

    Raises:
        BlockingIOError: if another process has locked it.
        FileExistsError: if it exists, where files cannot be locked.
    """
    if fcntl is None:
        return mark.open("xb")
    while True:
        lock = mark.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if mark.exists() and os.path.samestat(mark.stat(), os.fstat(lock.fileno())):
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()  # another run removed the file between its opening and its locking


def _create(out: Path, study: Path | None) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    if study is not None and study.exists() and study.parent.resolve() == out.resolve():
        return out
    # A run that was killed leaves the file, but not its lock.
    if any(path.name != MARK for path in out.iterdir()):
        raise ArgumentError(f"--out must be a new or empty folder, {out} holds files: nothing is overwritten")
    return out


def _create_new(runs: Path, name: str) -> Path:
    safe = re.sub(r"[^\w.-]+", "-", name)[:LONGEST_NAME]
    stem = f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}-{safe}"
    runs.mkdir(parents=True, exist_ok=True)
    path, number = runs / stem, 1
    while True:
        try:
            path.mkdir()
        except FileExistsError:  # another run started in the same second
            number += 1
            path = runs / f"{stem}-{number}"
        else:
            return path
