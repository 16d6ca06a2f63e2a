"""What is to be compared, checked."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.recipes.recipe import TrainerRecipe
from learnrate.schedules.vocabulary import NAMES
from learnrate.study.arms import Arm, read_arms
from learnrate.study.budget import Budget
from learnrate.study.comparison import LEVEL
from learnrate.study.definition import Definition
from learnrate.study.running.one_process import require_one_process
from learnrate.study.running.source import Source, source_of
from learnrate.study.statistics.sequential import fewest_pairs
from learnrate.tuner import budget as budgets
from learnrate.tuner.request import Request

TUNING_SEED = 2**32 - 1
"""The seed of the training from which the LR of each arm is chosen. Comparisons refuse it, so that no training has it."""


@dataclass(frozen=True)
class Settings:
    """What is to be compared, checked.

    Attributes:
        arms: The arms by name.
        sources: Where the recipe of each arm comes from.
        lengths: Length of the trainings of each arm in updates.
        seeds: The seeds.
        updates: Length of a training in updates, unless an arm has its own.
        evaluate_every: Updates between two evaluations; None for a twentieth of each training.
        tune_each: Whether each arm is trained at its own best LR, or the budget of that choice.
        until_sure: Whether seeds are added until one arm is surely better than every other one.
        batched: Whether arms of one seed are trained as one batch where that is possible.
    """

    arms: Mapping[str, Arm]
    sources: Mapping[str, Source]
    lengths: Mapping[str, int]
    seeds: tuple[int, ...]
    updates: int
    evaluate_every: int | None
    tune_each: float | str | bool
    until_sure: bool
    batched: bool = False

    @property
    def definition(self) -> Definition:
        """What must be the same when the study is continued."""
        arms = {
            name: {**arm.as_record(), "updates": self.lengths[name], "recipe": self.sources[name].name}
            | {"source": self.sources[name].digest}
            for name, arm in self.arms.items()
        }
        return Definition(
            arms,
            self.updates,
            self.evaluate_every,
            self.tune_each,
            until_sure=self.until_sure,
            batched=self.batched,
        )

    def batch(self, name: str, seed: int) -> str:
        """A text that is equal for the runs that may be trained as one batch; empty if the run must be trained alone."""
        if not self.batched or self.arms[name].control is not None:
            return ""
        return f"{seed} {self.lengths[name]} {self.sources[name].digest}"

    @property
    def budget(self) -> float | str | None:
        """What the choice of an LR may cost; see `learnrate.tune`."""
        return None if self.tune_each is True else self.tune_each


def read_settings(
    arms: object,
    recipe: object,
    seeds: object,
    updates: object,
    evaluate_every: object,
    tune_each: Any,
    until_sure: bool,
    budget: Budget,
) -> Settings:
    """The arguments of `compare`, checked."""
    require_one_process()
    read = read_arms(arms)
    if not isinstance(tune_each, (bool, float, int, str)):
        checks.refuse_type("tune_each", "True, False, or the budget of the choice, such as 0.5 or '500 updates'", tune_each)
    families = [name for name, arm in read.items() if arm.family is not None]
    if families and tune_each is False:
        arm = read[families[0]]
        example = f", such as {arm.family}(...)" if arm.family in NAMES else ""
        raise ArgumentError(
            f"tune_each must be True where an arm is the name of a family, received False with {arm.family!r}: "
            f"give tune_each=True, or the arm as a schedule{example}"
        )
    common = source_of(recipe)
    sources = {name: common if arm.recipe is None else source_of(arm.recipe) for name, arm in read.items()}
    _require_own_evaluations(sources, evaluate_every)
    length = checks.length("updates", common.load().updates if updates is None else updates)
    lengths = {name: arm.updates or length for name, arm in read.items()}
    _require_choices(tune_each, read, sources, lengths)
    every = checks.optional(checks.length)("evaluate_every", evaluate_every)
    if until_sure and len(read) > 1:
        fewest = fewest_pairs(LEVEL, math.comb(len(read), 2))
        if budget.seeds < fewest:
            rule = f"at least {fewest} seeds with {len(read)} arms, because before nothing is sure"
            checks.refuse("budget", rule, f"{budget.seeds} seeds")
    if until_sure and len(read) < 2:
        raise ArgumentError("until_sure must be False with a single arm, received True: there is nothing to be sure of")
    return Settings(read, sources, lengths, read_seeds(seeds), length, every, tune_each, until_sure)


def _require_own_evaluations(sources: Mapping[str, Source], evaluate_every: object) -> None:
    """Refuse a number of updates between evaluations where the trainer of a recipe decides when it evaluates."""
    by_trainer = [name for name, source in sources.items() if isinstance(source.load(), TrainerRecipe)]
    if evaluate_every is not None and by_trainer:
        remedy = f"that trainer decides when it evaluates (arm {by_trainer[0]!r})"
        checks.refuse("evaluate_every", "None with a recipe that its own trainer trains", evaluate_every, remedy)


def _require_choices(
    tune_each: float | str | bool, arms: Mapping[str, Arm], sources: Mapping[str, Source], lengths: Mapping[str, int]
) -> None:
    """Refuse a choice of LRs that no arm could make, before a study has a failure of each arm instead."""
    if tune_each is False:
        return
    budget = None if tune_each is True else tune_each
    for name, arm in arms.items():
        try:
            if isinstance(sources[name].load(), TrainerRecipe):
                budgets.read(budget, lengths[name])
            else:
                Request.of(updates=lengths[name], family=arm.family, budget=budget)
        except (ArgumentError, ArgumentTypeError) as error:
            rule = f"False for the arm {name!r}"
            if tune_each is not True:
                rule = f"a budget with which the arm {name!r} can be tuned"
            reason = re.sub("^budget ", "the budget ", str(error)).replace("give budget=", "give a budget of ")
            raise ArgumentError(f"tune_each must be {rule}: {reason}") from None


def read_seeds(seeds: object) -> tuple[int, ...]:
    """The seeds of a comparison: a number of them, or the seeds themselves.

    Raises:
        ArgumentError: if there is none, one is out of range, or one is there twice.
        ArgumentTypeError: if it is something else.
    """
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        return tuple(range(checks.length("seeds", seeds)))
    several = checks.several(checks.numpy_seed)("seeds", seeds)
    if not several or len(set(several)) < len(several):
        checks.refuse("seeds", "at least one seed, each once", seeds)
    if TUNING_SEED in several:
        checks.refuse("seeds", f"below {TUNING_SEED}, which is the seed of tune_each", seeds)
    return several
