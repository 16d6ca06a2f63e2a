"""The result of a comparison: its arms with their trainings, and what follows from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnrate import checks, records
from learnrate.errors import FailedTrainingsError
from learnrate.study.run import Chosen, Failure, Key
from learnrate.study.training import Training


@dataclass(frozen=True)
class Outcome:
    """An arm and its trainings.

    Attributes:
        name: Name of the arm.
        schedule: Its schedule, as text.
        updates: Length of its trainings in updates.
        trainings: One for each seed, in the order of the seeds.
        chosen: How its LR was chosen; None if it was given.
        failures: The trainings that raised an error, by seed.
    """

    name: str
    schedule: str
    updates: int
    trainings: tuple[Training, ...] = ()
    chosen: Chosen | None = None
    failures: Mapping[int, Failure] = field(default_factory=dict)

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of every seed."""
        return tuple(training.score for training in self.trainings)

    @property
    def mean(self) -> float:
        """Mean score over the seeds; NaN without a training."""
        return float(np.mean(self.scores)) if self.trainings else float("nan")

    @property
    def std(self) -> float:
        """Sample standard deviation of the score over the seeds; 0 for a single seed."""
        return float(np.std(self.scores, ddof=1)) if len(self.trainings) > 1 else 0.0

    def by_seed(self) -> dict[int, Training]:
        """The trainings by seed."""
        return {training.seed: training for training in self.trainings}

    def as_record(self) -> dict[str, Any]:
        """The outcome as JSON holds it."""
        return {
            "schedule": self.schedule,
            "updates": self.updates,
            "mean": records.encode_float(self.mean) if self.trainings else None,
            "std": records.encode_float(self.std) if self.trainings else None,
            "tuning_updates": None if self.chosen is None else self.chosen.updates,
            "failures": {str(seed): failure.error for seed, failure in self.failures.items()},
            "trainings": [training.as_record() for training in self.trainings],
        }


@dataclass(frozen=True, repr=False)
class Comparison:
    """Arms that were trained with the same seeds.

    Attributes:
        updates: Length of a training in updates, unless an arm has its own.
        arms: One for each schedule.
        notes: What a reader has to know: arms of a seed that did not begin alike, for example.
        environments: The different sets of versions and hardware that the trainings were made with.
    """

    updates: int
    arms: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    environments: tuple[Mapping[str, str], ...] = ()

    @property
    def metric(self) -> str:
        """Name of what the scores are; "loss" for the training loss."""
        return next((training.metric for arm in self.arms for training in arm.trainings), "loss")

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is better: of an evaluation it is, of the training loss it is not."""
        return self.metric != "loss"

    @property
    def score_title(self) -> str:
        """What the scores are, for headings: a metric is measured on held-out data, a loss on the training data."""
        if self.metric == "loss":
            return "training loss"
        return self.metric if "held-out" in self.metric else f"held-out {self.metric}"

    def __getitem__(self, name: str) -> Outcome:
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise KeyError(name)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.arms)

    def __len__(self) -> int:
        return len(self.arms)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds with which all arms were trained."""
        common = [set(arm.by_seed()) for arm in self.arms]
        return tuple(sorted(set.intersection(*common))) if common else ()

    def paired(self, first: str, second: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The scores of two arms for the seeds that both were trained with, in the order of the seeds."""
        one, other = self[first].by_seed(), self[second].by_seed()
        seeds = sorted(one.keys() & other.keys())
        return tuple(one[seed].score for seed in seeds), tuple(other[seed].score for seed in seeds)

    def ranking(self) -> tuple[Outcome, ...]:
        """The arms with trainings, the best mean first; those whose mean is not finite last."""
        sign = -1.0 if self.higher_is_better else 1.0
        trained = [arm for arm in self.arms if arm.trainings]
        return tuple(sorted(trained, key=lambda arm: sign * arm.mean if np.isfinite(arm.mean) else np.inf))

    def require_complete(self) -> None:
        """Refuse a comparison of which trainings raised errors.

        Raises:
            FailedTrainingsError: if there is one; it names the first, with its traceback as a note.
        """
        failures = [(Key(arm.name, seed), failure) for arm in self.arms for seed, failure in arm.failures.items()]
        if not failures:
            return
        key, failure = failures[0]
        more = f"; {len(failures) - 1} further runs failed" if len(failures) > 1 else ""
        error = FailedTrainingsError(f"{key} failed: {failure.error}{more}")
        error.add_note(failure.traceback)
        raise error

    def __repr__(self) -> str:
        rows = [f"  {arm.name}: {arm.mean:.4g} ± {arm.std:.2g} ({len(arm.trainings)} seeds)" for arm in self.ranking()]
        return "\n".join([f"Comparison of {len(self.arms)} arms, {self.score_title}", *rows])

    def as_record(self) -> dict[str, Any]:
        """The comparison as JSON holds it, with the record of every training."""
        return {
            "metric": self.metric,
            "updates": self.updates,
            "arms": {arm.name: arm.as_record() for arm in self.arms},
            "notes": list(self.notes),
            "environments": [dict(environment) for environment in self.environments],
        }


def pairing_notes(arms: Sequence[Outcome], recipes: Mapping[str, str]) -> tuple[str, ...]:
    """Where arms of one recipe and one seed did not begin alike.

    Args:
        arms: The arms.
        recipes: The hash of the recipe of each arm.

    Returns:
        A sentence for each seed at which weights or the loss of the first update differ: then something random in the recipe
        does not follow from the seed, and the comparison is not a paired one.
    """
    groups: dict[tuple[str, int], dict[tuple[str | None, float], list[str]]] = {}
    for arm in arms:
        for training in arm.trainings:
            beginnings = groups.setdefault((recipes.get(arm.name, ""), training.seed), {})
            beginnings.setdefault((training.start, training.first_loss), []).append(arm.name)
    differing = sorted({seed for (_, seed), beginnings in groups.items() if len(beginnings) > 1})
    if not differing:
        return ()
    seeds = checks.short(", ".join(map(str, differing)))
    return (
        f"the arms did not begin alike with seed {seeds}: weights or the loss of the first update differ, so that something "
        "random in the recipe does not follow from the seed",
    )
