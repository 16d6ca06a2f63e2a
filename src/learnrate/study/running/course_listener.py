"""Makes the record of a training from what its trainer tells."""

import math
import time
from collections.abc import Mapping

from learnrate.study.running.training import Course, Progress


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
        """The first update begins, of the training or of what is left of it."""
        if self.course.updates == 0:
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

    def start_again(self) -> None:
        """Forget what was measured."""
        self.course = Course(self.course.planned)
        self._since = None

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
