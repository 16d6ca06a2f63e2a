"""One whole training of any `Trainable` with a schedule, and its record."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

from learnrate import checks, records
from learnrate.control.report import summary
from learnrate.metrics import require_same_first
from learnrate.schedules import Horizon, Schedule
from learnrate.study.running.checkpoint import CheckpointFile
from learnrate.study.running.controlled import Controlled, Saved
from learnrate.trainable import Metrics, Trainable, scores, updates_per_epoch
from learnrate.updates import StopReason, UpdateLoop, raise_if_interrupted

EVALUATIONS = 20
"""Evaluations of a training, unless `evaluate_every` is given."""

MOST_LOSSES = 2000
"""Most full blocks of losses in the record of a training: enough for every pixel of a figure."""

Progress = Callable[[int, int, float], None]
"""Called with (updates so far, updates planned, loss of the last update that was read)."""


@dataclass(frozen=True)
class Training:
    """The record of one whole training.

    Attributes:
        seed: Seed of its random numbers.
        score: The metric at the end; without an evaluation the mean training loss of the last fifth.
        losses: Training losses, each the mean of `losses_every` updates; fewer than planned if a loss was not finite.
        checkpoints: Number of updates before each measurement of `scores`.
        scores: The metric at these checkpoints.
        metric: Name of the metric, "loss" without an evaluation.
        losses_every: Number of updates that each of `losses` is the mean of; 1 for up to 2,000 updates.
        seconds: Seconds that the updates took, without evaluations, checkpoints and the time to build the training.
        times: The same at each of `checkpoints`.
        more: Further metrics of the evaluations, by name, at the same checkpoints.
        updates: Number of updates made.
        first_loss: Loss of the first update, which shows whether two trainings began with the same weights and batch.
        start: Fingerprint of the weights at the start; None if the framework has none.
        end: The same at the end.
        schedule: The schedule with its lengths in updates, as text.
        notes: Sentences about what a reader has to know of it.
    """

    seed: int
    score: float
    losses: tuple[float, ...]
    checkpoints: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    metric: str = "loss"
    losses_every: int = 1
    seconds: float = 0.0
    times: tuple[float, ...] = ()
    more: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    updates: int = 0
    first_loss: float = math.nan
    start: str | None = None
    end: str | None = None
    schedule: str = ""
    notes: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """The training as JSON holds it."""
        return {
            "seed": self.seed,
            "score": records.encode_float(self.score),
            "metric": self.metric,
            "updates": self.updates,
            "seconds": self.seconds,
            "losses_every": self.losses_every,
            "losses": [records.encode_float(loss) for loss in self.losses],
            "checkpoints": list(self.checkpoints),
            "times": list(self.times),
            "scores": [records.encode_float(score) for score in self.scores],
            "more": {name: [records.encode_float(value) for value in values] for name, values in self.more.items()},
            "first_loss": records.encode_float(self.first_loss),
            "start": self.start,
            "end": self.end,
            "schedule": self.schedule,
            "notes": list(self.notes),
        }

    @staticmethod
    def of_record(record: object) -> "Training":
        """The training of `as_record`.

        Raises:
            ArgumentError: if a field is missing or breaks its rule.
            ArgumentTypeError: if a field has the wrong type.
        """
        fields = records.Fields(record)  # type: ignore[arg-type]
        texts, wholes = checks.several(checks.text), checks.several(_count)
        return Training(
            seed=fields.read("seed", checks.seed),
            score=fields.read("score", records.decode_float),
            losses=tuple(fields.read("losses", records.decode_floats)),
            checkpoints=fields.read("checkpoints", wholes),
            scores=tuple(fields.read("scores", records.decode_floats)),
            metric=fields.read("metric", checks.text),
            losses_every=fields.read("losses_every", checks.length),
            seconds=fields.read("seconds", checks.number),
            times=tuple(fields.read("times", records.decode_floats)),
            more={str(name): tuple(records.decode_floats(str(name), values)) for name, values in fields["more"].items()},
            updates=fields.read("updates", _count),
            first_loss=fields.read("first_loss", records.decode_float),
            start=fields.read("start", checks.optional(checks.text)),
            end=fields.read("end", checks.optional(checks.text)),
            schedule=fields.read("schedule", checks.text),
            notes=fields.read("notes", texts),
        )


def _count(name: str, value: object) -> int:
    return checks.whole(name, value, at_least=0)


@dataclass
class Course:
    """The measurements of a training in progress: all that its record needs beside the trainable itself.

    Attributes:
        planned: Length of the training in updates.
        updates: Updates whose losses were read.
        losses: The mean of each full block of updates.
        block: The losses of the block that is not full yet.
        tail: Sum of the losses of the last fifth of the training.
        checkpoints: Number of updates before each evaluation.
        times: Seconds of training before each evaluation.
        evaluations: What each of them returned.
        first_loss: Loss of the first update.
        start: Fingerprint of the weights at the start.
        seconds: Time that the updates took.
        control: The control at a checkpoint; None without one.
    """

    planned: int
    updates: int = 0
    losses: list[float] = field(default_factory=list)
    block: list[float] = field(default_factory=list)
    tail: float = 0.0
    checkpoints: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)
    first_loss: float = math.nan
    start: str | None = None
    seconds: float = 0.0
    control: Saved | None = None

    @property
    def losses_every(self) -> int:
        """Updates in a block."""
        return math.ceil(self.planned / MOST_LOSSES)

    @property
    def tail_length(self) -> int:
        """Updates in the last fifth."""
        return max(1, self.planned // 5)

    def add_loss(self, loss: float) -> None:
        """The loss of the next update."""
        if self.updates == 0:
            self.first_loss = loss
        self.updates += 1
        self.block.append(loss)
        # A loss that is not finite ends the training, so it ends its block, and is not averaged with those before it.
        if not math.isfinite(loss):
            self.losses.extend([_mean(self.block[:-1]), loss] if len(self.block) > 1 else [loss])
            self.tail = loss
            self.block = []
            return
        if len(self.block) == self.losses_every:
            self.losses.append(_mean(self.block))
            self.block = []
        if self.updates > self.planned - self.tail_length:
            self.tail += loss

    def add_evaluation(self, updates: int, returned: Any) -> dict[str, float]:
        """Keep what an evaluation after this number of updates returned, and give it by name; empty if there is none."""
        evaluation = scores(returned)
        if evaluation:
            require_same_first(self.evaluations[0] if self.evaluations else evaluation, evaluation)
            self.checkpoints.append(updates)
            self.times.append(self.seconds)
            self.evaluations.append(evaluation)
        return evaluation

    def _last_fifth(self) -> float:
        """The mean loss of the last fifth of the updates; the last loss if it is not finite."""
        if self.updates == self.planned or not math.isfinite(self.tail):
            return self.tail / (self.tail_length if math.isfinite(self.tail) else 1)
        # A training that was ended early: from the means of blocks, of which the first may count in part.
        wanted, total, taken = max(1, self.updates // 5), 0.0, 0
        blocks = [(loss, self.losses_every) for loss in self.losses] + [(loss, 1) for loss in self.block]
        while blocks and taken < wanted:
            loss, length = blocks.pop()
            length = min(length, wanted - taken)
            total, taken = total + loss * length, taken + length
        return total / taken if taken else math.nan

    def record(self, seed: int, schedule: str, end: str | None, notes: tuple[str, ...]) -> Training:
        """The record of the training, which has ended here."""
        losses = (*self.losses, *([_mean(self.block)] if self.block else []))
        names = list(self.evaluations[-1]) if self.evaluations else []
        series = {name: tuple(evaluation.get(name, math.nan) for evaluation in self.evaluations) for name in names}
        metric = names[0] if names else "loss"
        measured = series.pop(metric, ())
        score = measured[-1] if measured else self._last_fifth()
        return Training(
            seed=seed,
            score=score,
            losses=losses,
            checkpoints=tuple(self.checkpoints),
            scores=measured,
            metric="held-out loss" if names and metric == "loss" else metric,
            losses_every=self.losses_every,
            seconds=self.seconds,
            times=tuple(self.times),
            more=series,
            updates=self.updates,
            first_loss=self.first_loss,
            start=self.start,
            end=end,
            schedule=schedule,
            notes=notes,
        )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def resolved(schedule: Schedule, trainable: Trainable, updates: int) -> Schedule:
    """The schedule with its lengths in updates.

    Raises:
        ArgumentError: if it has lengths in epochs, and the trainable does not know how long an epoch is.
    """
    if schedule.is_resolved:
        return schedule
    return schedule.resolve(Horizon(updates=updates, updates_per_epoch=updates_per_epoch(trainable)))


def train(
    trainable: Trainable,
    schedule: Schedule,
    seed: int,
    updates: int,
    progress: Progress | None = None,
    *,
    evaluate_every: int | None = None,
    checkpoint: CheckpointFile | None = None,
    control: Any = None,
) -> Training:
    """Train with a schedule.

    Args:
        trainable: The training, at its start.
        schedule: LR of each update; its lengths may be in epochs or a share of the training.
        seed: What the training was built from, for the record.
        updates: Length in updates. A loss that is not finite ends the training early.
        progress: Called after every update with (updates so far, updates planned, the last loss that was read).
        evaluate_every: Updates between two evaluations; by default a twentieth of the training. The last update is always
            followed by one.
        checkpoint: The file that an interrupted training goes on from.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names; None for none. Then each
            loss is read before the next update begins, and the schedule in the record is the one that was really used.

    Returns:
        The record of the training.

    Raises:
        ArgumentError: if a number is below 1, or a controller needs something that the training does not have.
        LossError: if an update returns no usable loss, or the first update is skipped again and again.
        ExhaustedError: if the batches run out.
        KeyboardInterrupt: at Ctrl-C, also in another process.

    Example:
        >>> import learnrate as lr
        >>> class Quadratic(lr.Trainable):
        ...     weight = 1.0
        ...     def update(self, lr):
        ...         loss = self.weight**2
        ...         self.weight -= lr * 2 * self.weight
        ...         return loss
        ...     def save(self):
        ...         return self.weight
        ...     def restore(self, state):
        ...         self.weight = state
        >>> train(Quadratic(), lr.constant(0.25), seed=0, updates=3).losses
        (1.0, 0.25, 0.0625)
    """
    checks.length("updates", updates)
    if evaluate_every is not None:
        checks.length("evaluate_every", evaluate_every)
    schedule = resolved(schedule, trainable, updates)
    course = checkpoint.resumed(trainable, Course) if checkpoint is not None else None
    is_new = course is None
    course = course or Course(updates, start=trainable.fingerprint())
    controlled = None if control is None else Controlled(trainable, schedule, control, course.updates, course.control)
    # Also after an error, because a listener may hold something open.
    with closing(controlled.control) if controlled is not None else nullcontext():
        if is_new and checkpoint is not None:
            checkpoint.prepare(trainable)
        reason = _Updates(trainable, course, progress, evaluate_every, checkpoint, controlled).make(schedule)
        raise_if_interrupted(reason)
    notes = tuple(checkpoint.notes) if checkpoint is not None else ()
    if controlled is not None:
        schedule, notes = controlled.control.schedules[0], (*notes, *summary(controlled.control))
    if reason is not None:
        notes = (*notes, f"ended after {course.updates} of {updates} updates: {reason.text}")
    return course.record(seed, repr(schedule), trainable.fingerprint(), notes)


def evaluation_is_due(updates: int, planned: int, every: int | None) -> bool:
    """Whether a training is evaluated after this number of updates; see `train`."""
    if updates == planned:
        return True
    if every is not None:
        return updates % every == 0
    return updates * EVALUATIONS // planned > (updates - 1) * EVALUATIONS // planned


class _Updates:
    """The updates of a training that are left, with its evaluations and checkpoints between them."""

    def __init__(
        self,
        trainable: Trainable,
        course: Course,
        progress: Progress | None,
        evaluate_every: int | None,
        checkpoint: CheckpointFile | None,
        controlled: Controlled | None = None,
    ) -> None:
        self.trainable, self.course, self.progress = trainable, course, progress
        self.evaluate_every, self.checkpoint = evaluate_every, checkpoint
        self.controlled = controlled
        self.loop = UpdateLoop(
            trainable if controlled is None else controlled,
            self._watch,
            before=None if controlled is None else controlled.stop_reason,
            on_update=self._report,
            after=self._between,
            updates=course.updates,
        )
        self._since = 0.0
        self._loss = math.nan

    def make(self, schedule: Schedule) -> StopReason | None:
        """Make them; returns why they ended early."""
        course = self.course
        self._since = time.perf_counter()
        reason = self.loop.run(schedule(update) for update in range(course.updates, course.planned))
        self._stop_clock()
        # Metrics are read in blocks, so that the training may have been evaluated after the update that ended it.
        if reason is not None and self.loop.updates not in course.checkpoints:
            self._evaluate(self.loop.updates)
        return reason

    def _watch(self, lr: float, metrics: Metrics) -> StopReason | None:
        self._loss = metrics["loss"]
        self.course.add_loss(self._loss)
        return None if math.isfinite(self._loss) else StopReason("not finite", "the loss is not finite")

    def _report(self, count: int) -> None:
        if self.progress is not None:
            self.progress(count, self.course.planned, self._loss)

    def _between(self, count: int) -> StopReason | None:
        """What is due after an update."""
        due = evaluation_is_due(count, self.course.planned, self.evaluate_every)
        if not due and (self.checkpoint is None or not self.checkpoint.is_due()):
            return None
        # Losses that are not read yet belong to the record before what follows.
        reason = self.loop.read()
        if reason is not None:
            return reason
        self._stop_clock()
        if due:
            self._evaluate(count)
        if self.checkpoint is not None and self.checkpoint.is_due():
            self.course.control = None if self.controlled is None else self.controlled.state()
            self.checkpoint.write(self.trainable, self.course)
        self._since = time.perf_counter()
        return None

    def _stop_clock(self) -> None:
        self.course.seconds += time.perf_counter() - self._since

    def _evaluate(self, count: int) -> None:
        evaluation = self.course.add_evaluation(count, self.trainable.evaluate())
        if evaluation and self.controlled is not None and self.controlled.control.stopped is None:
            self.controlled.evaluated(evaluation)
