"""compare(): trains with several schedules and the same seeds, and says which is better and how sure that is."""

import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from learnrate import checks
from learnrate.recipes.recipe import AnyRecipe
from learnrate.schedules import Schedule, parse
from learnrate.study.arms import Arm
from learnrate.study.budget import Budget
from learnrate.study.budget import read as read_budget
from learnrate.study.comparison import Comparison
from learnrate.study.driver import Driver
from learnrate.study.executors import Executor, as_executor
from learnrate.study.results import comparison_of
from learnrate.study.running.checkpoint import EVERY
from learnrate.study.running.run import TUNING, Choice, Chosen, EndedRun, Failure, Key, Message, Run, with_peak
from learnrate.study.running.source import data_digests
from learnrate.study.settings import TUNING_SEED, Settings, read_settings
from learnrate.study.store import Store
from learnrate.study.store.opened import opened

SEEDS = 5
"""Trainings of each arm: the fewest with which most comparisons (80 %) show a difference of two standard deviations of the
paired differences (benchmarks/until_sure.py)."""


LOOK_SHARE = 0.1
"""Share of the time that the comparisons for `on_result` may take, once one takes longer than `SHORT_LOOK`. The time of a
comparison grows with the number N of runs, so that one after every run would take a time that grows with N²."""

SHORT_LOOK = 0.01
"""Seconds below which a comparison is made after every training."""


def compare(
    arms: Mapping[str, Arm | Schedule | str],
    recipe: AnyRecipe | str | Path | None = None,
    *,
    seeds: int | Sequence[int] = SEEDS,
    updates: int | None = None,
    evaluate_every: int | None = None,
    tune_each: bool | float | str = False,
    until_sure: bool = False,
    budget: str | None = None,
    executor: Any = None,
    study: str | Path | None = None,
    data: str | Path | Sequence[str | Path] = (),
    checkpoint_every: float = EVERY,
    batched: bool = False,
    progress: Callable[[Message], object] | None = None,
    on_result: Callable[[Comparison], object] | None = None,
) -> Comparison:
    """Train with several schedules, each with the same seeds, and say which is better, by how much, and how sure that is.

    The trainings are paired: those of one seed have the same initial weights, batches and augmentation, so that the
    difference between two arms is free of what the seed alone changes. All arms are trained with one seed before the next
    seed, so that an interrupted comparison is still a paired one.

    Args:
        arms: What is compared, by name: schedules, their texts, or `Arm`s. Lengths may be in epochs or shares of a training.
        recipe: What is trained: a recipe such as `learnrate.torch.Recipe`, or the path of its file. None for the built-in
            recipe.
        seeds: The number of trainings of each arm, or their seeds.
        updates: Length of a training in updates (optimizer steps); by default that of the recipe.
        evaluate_every: Updates between two evaluations; by default a twentieth of each training.
        tune_each: Whether each arm is trained at its own best LR: `tune` chooses a factor on its schedule, with a seed of
            its own and without the test data. Or the budget of this choice (see `learnrate.tune`).
        until_sure: Whether seeds are added until one arm is surely better than every other one. The rule keeps its error
            rate although it checks after every seed; see `learnrate.study.anytime_interval`.
        budget: The most that the comparison may cost: "20 seeds", "500000 updates" or "2 hours". By default 30 seeds with
            `until_sure`, otherwise all that is asked for.
        executor: Where the trainings are made: None for one after the other, here; a number of processes; or see
            `learnrate.study.executors`.
        study: A file that stores every training as soon as it has ended, and from which an interrupted study goes on.
            Several processes may work on one study. A name that ends in "/" or is a folder is a study of JSON Lines, for
            network file systems. None to store nothing.
        data: Files or folders that the trainings depend on: their hashes are stored, and a study is not continued with
            other data. Of a folder the names and sizes of its files count, of a file its content.
        checkpoint_every: Seconds between two checkpoints of a training in progress, if `study` is given.
        batched: Whether the arms of one seed that differ in their schedule alone are trained as one batch, which shares a
            GPU between them. The results differ by rounding from those of single trainings, and the time of the batch is
            shared equally. Such trainings have no checkpoints, and notes say what was not possible.
        progress: Called with a `Message` about a run in progress, at most twice a second for each run.
        on_result: Called with the comparison so far after every training; less often in a study so large that this would
            take more than a tenth of the time, but always after the last one.

    Returns:
        The comparison.

    Raises:
        ArgumentError: if an argument breaks its rule, the study in the file is another one, or this is one of the processes
            of a launcher such as torchrun.
        ArgumentTypeError: if an argument is of the wrong type.
        RecipeError: if the recipe cannot be loaded.
        OutputError: if the study cannot be written.
        KeyboardInterrupt: at Ctrl-C. What was trained is in the study.

    Example:
        >>> import learnrate as lr
        >>> class Quadratic(lr.Trainable):
        ...     def __init__(self, seed):
        ...         self.weight = 1.0 + seed / 10
        ...     def update(self, lr):
        ...         loss = self.weight**2
        ...         self.weight -= lr * 2 * self.weight
        ...         return loss
        ...     def save(self):
        ...         return self.weight
        ...     def restore(self, state):
        ...         self.weight = state
        ...     def evaluate(self):
        ...         return {"nearness": -abs(self.weight)}
        >>> arms = {"constant": lr.constant(0.1), "cosine": "cosine(0.1, 0)"}
        >>> comparison = lr.compare(arms, lr.Recipe(Quadratic, updates=20), seeds=3)
        >>> comparison.ranking()[0].name, comparison.metric
        ('constant', 'nearness')
    """
    study = _absolute(study)  # before the recipe is loaded, which may change the current folder
    checks.flag("until_sure", until_sure)
    limit = read_budget(budget, until_sure)
    settings = read_settings(arms, recipe, seeds, updates, evaluate_every, tune_each, until_sure, limit)
    checks.flag("batched", batched)
    settings = replace(settings, batched=batched)
    checks.function_or_none("progress", progress, "a Message")
    checks.function_or_none("on_result", on_result, "the comparison so far")
    checkpoint_every = checks.positive("checkpoint_every", checkpoint_every)
    digests = data_digests(data)
    with as_executor(executor, progress) as workers, _store(study) as store:
        uid = store.begin(replace(settings.definition, data=digests))
        every = checkpoint_every if study is not None else None
        make = _StudyInProgress(settings, store, workers, uid, limit, every, progress, on_result)
        make.choices()
        make.trainings()
        return make.comparison()


def _absolute(study: str | Path | None) -> str | Path | None:
    if study is None:
        return None
    path = checks.path("study", study).absolute()
    return f"{path}/" if isinstance(study, str) and study.endswith("/") else path


@contextmanager
def _store(study: str | Path | None) -> Iterator[Store]:
    if study is not None:
        with opened(study) as store:
            yield store
        return
    with tempfile.TemporaryDirectory(prefix="learnrate-study-") as folder, opened(Path(folder) / "study.sqlite") as store:
        yield store


class _StudyInProgress:
    """The study in progress."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        executor: Executor,
        uid: str,
        budget: Budget,
        checkpoint_every: float | None,
        progress: Callable[[Message], object] | None,
        on_result: Callable[[Comparison], object] | None,
    ) -> None:
        self.settings, self.store, self.uid, self.budget = settings, store, uid, budget
        self.began = time.monotonic()
        self.checkpoint_every, self.on_result = checkpoint_every, on_result
        self.driver = Driver(store, executor, self._stored, progress)
        self.schedules = {name: arm.schedule for name, arm in settings.arms.items()}
        self.next_look, self.is_behind = 0.0, False

    def choices(self) -> None:
        """Choose the LR of each arm, if `tune_each` asks for it."""
        if self.settings.tune_each is False:
            return
        self.driver.make([self._choice(name) for name in self.settings.arms])
        runs = self.store.contents().runs
        for name in self.settings.arms:
            stored = runs.get(Key(name, TUNING))
            if stored is not None and isinstance(stored.result, Chosen):
                self.schedules[name] = self._tuned(name, stored.result)
            else:
                del self.schedules[name]

    def _tuned(self, name: str, chosen: Chosen) -> Schedule:
        """The schedule of an arm with its LR."""
        shape = self.settings.arms[name].schedule
        if isinstance(shape, str):
            return parse(chosen.schedule)
        # From the arm itself, because a schedule with a function of the user cannot be read from its text.
        return with_peak(shape if shape.is_resolved else shape.resolve(self.settings.lengths[name]), chosen.max_lr)

    def _choice(self, name: str) -> Choice:
        settings = self.settings
        schedule, source = settings.arms[name].schedule, settings.sources[name]
        return Choice(Key(name, TUNING), source, schedule, settings.lengths[name], TUNING_SEED, settings.budget)

    def trainings(self) -> None:
        """Train each arm with each seed, and then with further seeds until one arm is surely the best."""
        self._train_all()
        if self.is_behind:
            self._look()

    def _train_all(self) -> None:
        seeds = list(self.settings.seeds)
        self._train(seeds)
        if not self.settings.until_sure:
            return
        # Enough seeds at once for all workers. The rule keeps its error rate for any number of them.
        calls = 1 if self.settings.batched else len(self.settings.arms)
        at_once = max(1, round(self.driver.executor.workers / calls))
        while not self._is_over() and len(seeds) < self.budget.seeds and self._needs_seeds():
            more = [max(seeds) + 1 + n for n in range(min(at_once, int(min(self.budget.seeds, 2**31)) - len(seeds)))]
            if more[-1] >= TUNING_SEED:
                return
            seeds += more
            self._train(more)

    def _needs_seeds(self) -> bool:
        """Whether a further seed may make the answer sure: nothing counts after the first seed that an arm lacks."""
        comparison = self.comparison()
        return comparison.best() is None and not any(arm.failures for arm in comparison)

    def _train(self, seeds: Sequence[int]) -> None:
        self.driver.make([self._run(name, seed) for seed in seeds for name in self.schedules], self._is_over)

    def _is_over(self) -> bool:
        """Whether the budget is spent."""
        if time.monotonic() - self.began >= self.budget.seconds:
            return True
        return self.budget.updates < math.inf and self._updates() >= self.budget.updates

    def _updates(self) -> int:
        """Updates of all runs so far. It is computed before each run, so that it does not build a comparison."""
        runs = self.store.contents().runs.items()
        own = (stored.result for key, stored in runs if key.arm in self.settings.arms)
        return sum(result.updates for result in own if not isinstance(result, Failure))

    def _run(self, name: str, seed: int) -> Run:
        settings, schedule = self.settings, self.schedules[name]
        assert isinstance(schedule, Schedule)
        run = partial(
            Run, Key(name, seed), settings.sources[name], schedule, settings.lengths[name], settings.evaluate_every
        )
        if self.checkpoint_every is None:
            return run(control=settings.arms[name].control, batch=settings.batch(name, seed))
        # Of the name of the arm, not of its place, because another process may compare other arms in the same study.
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        file = self.store.checkpoints / f"{digest}-{seed}.checkpoint"
        identity = f"{self.uid} {name} {seed} {schedule!r} {settings.lengths[name]} {settings.sources[name].digest}"
        batch = settings.batch(name, seed)
        return run(settings.arms[name].control, str(file), self.checkpoint_every, identity, batch)

    def _stored(self, ended: EndedRun) -> None:
        if self.on_result is None or isinstance(ended.result, (Chosen, Failure)):
            return
        self.is_behind = time.monotonic() < self.next_look
        if not self.is_behind:
            self._look()

    def _look(self) -> None:
        """Show the comparison so far."""
        assert self.on_result is not None
        begin = time.monotonic()
        comparison = self.comparison()
        seconds = time.monotonic() - begin
        self.is_behind = False
        self.on_result(comparison)
        self.next_look = time.monotonic() + (seconds * (1 / LOOK_SHARE - 1) if seconds > SHORT_LOOK else 0.0)

    def comparison(self) -> Comparison:
        """The comparison so far."""
        comparison = comparison_of(self.store.contents(), arms=tuple(self.settings.arms))
        planned = len(self.settings.seeds)
        lacking = sum(max(0, planned - len({*arm.by_seed(), *arm.failures} - {TUNING})) for arm in comparison)
        if not lacking or not self._is_over():
            return comparison
        note = f"the budget is spent: {lacking} of the {planned * len(comparison)} planned trainings were not begun"
        return replace(comparison, notes=(note, *comparison.notes))
