"""One training that a trainer makes by its own loop, and its record."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from learnrate.recipes.recipe import TrainerRecipe
from learnrate.schedules import Horizon, Schedule
from learnrate.study.running.training import Course, Progress, Training
from learnrate.trainer_runs import TrainerRun


class CourseListener:
    """Makes the record of a training from the calls of its trainer; see `learnrate.trainer_runs.TrainingListener`.

    Args:
        updates: Length of the training in updates.
        progress: Called after every update with (updates so far, updates planned, the last loss).

    Attributes:
        course: What was measured so far.
    """

    def __init__(self, updates: int, progress: Progress | None = None) -> None:
        self.course = Course(updates)
        self._progress = progress
        self._since: float | None = None

    def began(self, fingerprint: str | None) -> None:
        """The first update begins."""
        self.course.start = fingerprint
        self.go_on()

    def updated(self, loss: float) -> bool:
        """An update was made; returns whether the training is to go on."""
        self._count_time()
        self.course.add_loss(loss)
        if self._progress is not None:
            self._progress(self.course.updates, self.course.planned, loss)
        return math.isfinite(loss)

    def pause(self) -> None:
        """An evaluation begins."""
        self._count_time()
        self._since = None

    def go_on(self) -> None:
        """An evaluation has ended."""
        self._since = time.perf_counter()

    def _count_time(self) -> None:
        now = time.perf_counter()
        if self._since is not None:
            self.course.seconds += now - self._since
            self._since = now

    def evaluated(self, scores: Mapping[str, float]) -> None:
        """An evaluation was made. A second one after the same update replaces the first."""
        course = self.course
        if course.checkpoints and course.checkpoints[-1] == course.updates:
            course.evaluations[-1] = dict(scores)
            return
        course.checkpoints.append(course.updates)
        course.times.append(course.seconds)
        course.evaluations.append(dict(scores))


@contextmanager
def folder() -> Iterator[str]:
    """A folder for what a trainer writes, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="learnrate-trainer-") as path:
        yield path


def of_run(schedule: Schedule, updates: int) -> Schedule:
    """The schedule with its lengths in updates, for a training whose epoch length only its trainer knows.

    Raises:
        ArgumentError: if a length is in epochs.
    """
    return schedule if schedule.is_resolved else schedule.resolve(Horizon(updates=updates))


def train_by_trainer(
    recipe: TrainerRecipe,
    schedule: Schedule,
    seed: int,
    updates: int,
    progress: Progress | None = None,
    *,
    control: Any = None,
) -> Training:
    """Let the trainer of a recipe make one training.

    Args:
        recipe: The recipe.
        schedule: LR of each update.
        seed: The seed.
        updates: Length in updates.
        progress: Called after every update.
        control: Controllers.

    Returns:
        The record of the training.

    Raises:
        LearnrateError: see `fit` of the recipe.
        KeyboardInterrupt: at Ctrl-C.
    """
    listener = CourseListener(updates, progress)
    with folder() as path:
        ended = recipe.fit(schedule, TrainerRun(seed, updates, path), listener, control)
    course, notes = listener.course, ended.notes
    if course.updates < updates:
        notes = (*notes, f"ended after {course.updates} of {updates} updates")
    return course.record(seed, ended.schedule, ended.fingerprint, notes)
