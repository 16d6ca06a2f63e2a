"""What a worker does: one training of a study, or the choice of the LR of one arm."""

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from learnrate.errors import LearnrateError
from learnrate.recipes.recipe import AnyRecipe, TrainerRecipe
from learnrate.schedules import Schedule
from learnrate.study.running.by_trainer import of_run, train_by_trainer
from learnrate.study.running.checkpoint import CheckpointFile
from learnrate.study.running.environment import environment
from learnrate.study.running.source import Source
from learnrate.study.running.trainer_checkpoints import temporary_folder
from learnrate.study.running.training import Training, resolved, train
from learnrate.trainable import require_trainable
from learnrate.trainer_runs import TrainerRun
from learnrate.tuner import Families, tune
from learnrate.user_code import own_line

REPORT_EVERY = 0.5
"""Seconds between two messages of a worker about its progress."""

TUNING = -1
"""The seed that a study writes for the choice of an LR, which is no training."""


@dataclass(frozen=True)
class Key:
    """Which training of a study.

    Attributes:
        arm: Name of its arm.
        seed: Its seed; `TUNING` for the choice of the LR of the arm.
    """

    arm: str
    seed: int

    def __str__(self) -> str:
        return f"{self.arm}, tuning" if self.seed == TUNING else f"{self.arm}, seed {self.seed}"


@dataclass(frozen=True)
class Run:
    """One training of a study. It travels to a worker.

    Attributes:
        key: Which one.
        source: Where its recipe comes from.
        schedule: LR of each update.
        updates: Its length in updates.
        evaluate_every: Updates between two evaluations; None for a twentieth of the training.
        control: Controllers that act during it.
        checkpoint: The file that it goes on from after an interruption; None for none.
        checkpoint_every: Seconds between two checkpoints.
        identity: Text that distinguishes it from a training with the same key in another study or with other settings.
        batch: Runs with the same text here may be trained as one batch; see `learnrate.study.running.batch`. Empty for none.
        notes: Sentences for its record.
    """

    key: Key
    source: Source
    schedule: Schedule
    updates: int
    evaluate_every: int | None = None
    control: Any = None
    checkpoint: str | None = None
    checkpoint_every: float = 60.0
    identity: str = ""
    batch: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The choice of the LR of one arm. It travels to a worker.

    Attributes:
        key: Which one.
        source: Where its recipe comes from.
        schedule: Its shape, of which the peak is chosen; or the name of a family.
        updates: Length of the trainings in updates.
        seed: Seed of the training that trials start from.
        budget: What it may cost; see `learnrate.tune`.
    """

    key: Key
    source: Source
    schedule: Schedule | str
    updates: int
    seed: int
    budget: float | str | None = None


@dataclass(frozen=True)
class Chosen:
    """The LR of an arm.

    Attributes:
        schedule: The schedule with it, as text.
        max_lr: Its peak.
        updates: Updates that the choice cost.
        seconds: The time that it took.
        reasons: Why, in sentences.
    """

    schedule: str
    max_lr: float
    updates: int
    seconds: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A run that raised an error.

    Attributes:
        error: The error in one line.
        traceback: Where it was raised.
    """

    error: str
    traceback: str = ""


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended: what a worker returns.

    Attributes:
        key: Which run.
        result: Its training or chosen LR; or its failure.
        environment: Versions and hardware of the worker.
    """

    key: Key
    result: Training | Chosen | Failure
    environment: dict[str, str]


@dataclass(frozen=True)
class Message:
    """The progress of a run, which its worker reports.

    Attributes:
        key: Which run.
        updates: Updates so far.
        planned: Updates planned.
        loss: The last loss that was read; NaN while an LR is chosen.
    """

    key: Key
    updates: int
    planned: int
    loss: float


Report = Callable[[Message], object]


def make(task: Run | Choice, report: Report | None = None) -> EndedRun:
    """Make a run. An error of the run is returned, because another process could not always unpickle it.

    Args:
        task: The run.
        report: Called with its progress, at most every `REPORT_EVERY` seconds and at its end.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
    """
    try:
        recipe = task.source.load()
        result = _train(recipe, task, report) if isinstance(task, Run) else _choose(recipe, task, report)
    except (Exception, SystemExit) as error:  # a recipe may raise anything
        return EndedRun(task.key, failure_of(error), environment())
    return EndedRun(task.key, result, environment())


def failure_of(error: BaseException) -> Failure:
    """The failure of a run whose error is being handled."""
    line = str(error) if isinstance(error, LearnrateError) else own_line(error)
    return Failure(" ".join(line.split()), traceback.format_exc())


def _train(recipe: AnyRecipe, run: Run, report: Report | None) -> Training:
    file = None if run.checkpoint is None else CheckpointFile(Path(run.checkpoint), run.identity, run.checkpoint_every)
    progress = None if report is None else Throttled(run.key, report)
    what = (run.schedule, run.key.seed, run.updates, progress)
    if isinstance(recipe, TrainerRecipe):
        return train_by_trainer(recipe, *what, control=run.control, checkpoint=file)
    trainable = recipe.trainable(run.key.seed, test=True)
    require_trainable("what Recipe.trainable returns", trainable)
    training = train(trainable, *what, evaluate_every=run.evaluate_every, checkpoint=file, control=run.control)
    return replace(training, notes=(*run.notes, *training.notes))


def _choose(recipe: AnyRecipe, choice: Choice, report: Report | None) -> Chosen:
    begin = time.perf_counter()
    throttled = None if report is None else Throttled(choice.key, report)

    def progress(what: str, updates: int, planned: int) -> None:
        if throttled is not None:
            throttled(updates, planned, math.nan)

    if isinstance(recipe, TrainerRecipe):
        with temporary_folder() as path:
            run = TrainerRun(choice.seed, choice.updates, path)
            plan = recipe.choose(_family(choice, lambda schedule: of_run(schedule, choice.updates)), run, choice.budget)
    else:
        trainable = recipe.trainable(choice.seed)
        require_trainable("what Recipe.trainable returns", trainable)
        family = _family(choice, lambda schedule: resolved(schedule, trainable, choice.updates))
        plan = tune(trainable, updates=choice.updates, family=family, budget=choice.budget, progress=progress)
    progress("trials", plan.spent, plan.spent)  # it may have ended before what was planned
    reasons = [sentence for sentences in plan.reasons.sections().values() for sentence in sentences]
    return Chosen(repr(plan.schedule), plan.max_lr, plan.spent, time.perf_counter() - begin, tuple(reasons))


def _family(choice: Choice, resolve: Callable[[Schedule], Schedule]) -> Families:
    """What `tune` chooses the peak of: a family by its name, or the schedule of the arm, resolved."""
    if isinstance(choice.schedule, str):
        return choice.schedule
    shape = resolve(choice.schedule)
    return {choice.key.arm: lambda max_lr: with_peak(shape, max_lr)}


def with_peak(schedule: Schedule, max_lr: float) -> Schedule:
    """The schedule times the factor that makes `max_lr` its highest value."""
    return schedule * (max_lr / schedule.max)


class Throttled:
    """Reports the progress of a training, at most every `REPORT_EVERY` seconds and at its end."""

    def __init__(self, key: Key, report: Report) -> None:
        self._key, self._report = key, report
        self._reported_at = 0.0

    def __call__(self, updates: int, planned: int, loss: float) -> None:
        """See `learnrate.study.running.training.Progress`."""
        now = time.monotonic()
        if updates == planned or now - self._reported_at >= REPORT_EVERY:
            self._reported_at = now
            self._report(Message(self._key, updates, planned, loss))
