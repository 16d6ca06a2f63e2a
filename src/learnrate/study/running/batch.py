"""Trainings of one seed that differ only in their schedule, trained as one batch where the model allows it."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from learnrate.schedules import Schedule
from learnrate.study.executors.executor import Future
from learnrate.study.running.environment import environment
from learnrate.study.running.run import Choice, EndedRun, Key, Report, Run, Throttled, failure_of
from learnrate.study.running.training import Course, evaluation_is_due, resolved
from learnrate.trainable import Ensemble, Metrics, NotBatchableError, require_trainable


def batches_of(tasks: Iterable[Run | Choice]) -> list[list[Run | Choice]]:
    """Group the tasks that may be trained as one batch; groups are in the order of their first tasks."""
    batches: dict[object, list[Run | Choice]] = {}
    for task in tasks:
        batches.setdefault((isinstance(task, Run) and task.batch) or task.key, []).append(task)
    return list(batches.values())


@dataclass(frozen=True)
class Declined:
    """Why runs cannot be trained as one batch.

    Attributes:
        reason: A part of a sentence.
    """

    reason: str

    def apart(self, run: Run) -> Run:
        """The run for a training by itself, with a note that says why."""
        return replace(run, batch="", notes=(*run.notes, f"not trained as one batch with other arms: {self.reason}"))


def make_together(runs: Sequence[Run], report: Report | None = None) -> list[EndedRun] | Declined:
    """Make several runs as one batch. It is called in a worker.

    Each member is evaluated as a training by itself is. A loss that is not finite ends its member alone, at once: a single
    training would first try further batches with the same weights. The time of the batch is shared equally.

    Args:
        runs: At least two, of one recipe, seed and length.
        report: Called with the progress of each run, at most every `REPORT_EVERY` seconds.

    Returns:
        The results in the order of the runs; or why they must be made one by one, which may show at any update.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
    """
    try:
        courses, schedules, notes = _train(runs, report)
    except NotBatchableError as error:
        return Declined(str(error))
    except (Exception, SystemExit) as error:  # a recipe may raise anything
        failure = failure_of(error)
        return [EndedRun(run.key, failure, environment()) for run in runs]
    trainings = [
        course.record(run.key.seed, repr(schedule), None, (*run.notes, *remarks))
        for run, course, schedule, remarks in zip(runs, courses, schedules, notes, strict=True)
    ]
    return [EndedRun(run.key, training, environment()) for run, training in zip(runs, trainings, strict=True)]


def _train(runs: Sequence[Run], report: Report | None) -> tuple[list[Course], list[Schedule], list[list[str]]]:
    first = runs[0]
    trainable = first.source.load().trainable(first.key.seed, test=True)
    require_trainable("what Recipe.trainable returns", trainable)
    schedules = [resolved(run.schedule, trainable, run.updates) for run in runs]
    courses = [Course(run.updates, start=trainable.fingerprint()) for run in runs]
    batch = _Batch(trainable.ensemble(len(runs)), runs, courses, report)
    for count in range(1, first.updates + 1):
        batch.update([schedule(count - 1) for schedule in schedules])
        if batch.is_over():
            break
    note = f"trained as one batch with {len(runs) - 1} other arms; its seconds are its share of the batch"
    if first.checkpoint is not None:
        note += ", and it had no checkpoints"
    ended = [
        [f"ended after {course.updates} of {course.planned} updates: the loss is not finite"] if not runs_on else []
        for course, runs_on in zip(courses, batch.running, strict=True)
    ]
    return courses, schedules, [[note, *remarks] for remarks in ended]


class _Batch:
    """The batch in progress.

    Attributes:
        running: For each member, whether all of its losses were finite.
    """

    def __init__(self, ensemble: Ensemble, runs: Sequence[Run], courses: Sequence[Course], report: Report | None) -> None:
        self._ensemble, self._courses, self._every = ensemble, courses, runs[0].evaluate_every
        self._reports = [] if report is None else [Throttled(run.key, report) for run in runs]
        self.running = [True] * len(runs)

    def update(self, lrs: Sequence[float]) -> None:
        """Make an update of each member that has not ended, and what is due after it."""
        since, before = time.perf_counter(), list(self.running)
        metrics = self._ensemble.update([lr if runs else None for lr, runs in zip(lrs, before, strict=True)])
        share = (time.perf_counter() - since) / sum(before)
        for number, runs in enumerate(before):
            if runs:
                self._add(number, metrics[number], share)
        due = [self._is_due(number) for number, runs in enumerate(before) if runs]
        if any(due):
            self._evaluate(before)

    def is_over(self) -> bool:
        """Whether all members have ended early."""
        return not any(self.running)

    def _add(self, number: int, metrics: Metrics, seconds: float) -> None:
        course, loss = self._courses[number], metrics["loss"]
        course.seconds += seconds
        course.add_loss(loss)
        self.running[number] = math.isfinite(loss)
        if self._reports:
            self._reports[number](course.updates, course.planned, loss)

    def _is_due(self, number: int) -> bool:
        """Whether a member is evaluated now; one that has just ended is evaluated once more."""
        course = self._courses[number]
        return not self.running[number] or evaluation_is_due(course.updates, course.planned, self._every)

    def _evaluate(self, members: Sequence[bool]) -> None:
        for number, (returned, runs) in enumerate(zip(self._ensemble.evaluate(), members, strict=True)):
            if runs and self._is_due(number):
                self._courses[number].add_evaluation(self._courses[number].updates, returned)


@dataclass(frozen=True)
class Part:
    """The result of one run of a batch, as a future.

    Attributes:
        whole: The future of the batch.
        key: Which run.
    """

    whole: Future
    key: Key

    def done(self) -> bool:
        """See `Future.done`."""
        return self.whole.done()

    def result(self) -> EndedRun | Declined:
        """See `Future.result`."""
        results: list[EndedRun] | Declined = self.whole.result()
        if isinstance(results, Declined):
            return results
        return next(ended for ended in results if ended.key == self.key)

    def cancel(self) -> object:
        """See `Future.cancel`. It ends the whole batch."""
        return self.whole.cancel()
