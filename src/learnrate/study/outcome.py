"""An arm of a comparison with its trainings, and what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnrate import records
from learnrate.study.running.run import Chosen, Failure
from learnrate.study.running.training import Training
from learnrate.study.statistics.sequential import LARGEST


@dataclass(frozen=True)
class Cost:
    """What trainings cost, with the choice of their LRs.

    Attributes:
        updates: Updates made.
        seconds: Time that the updates and the choices took.
    """

    updates: int
    seconds: float


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
        recipe: Name of its recipe.
        source: Hash of the source of its recipe.
    """

    name: str
    schedule: str
    updates: int
    trainings: tuple[Training, ...] = ()
    chosen: Chosen | None = None
    failures: Mapping[int, Failure] = field(default_factory=dict)
    recipe: str = ""
    source: str = ""

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of every training, in the order of the seeds."""
        return tuple(training.score for training in self.trainings)

    @property
    def mean(self) -> float:
        """Mean score over the seeds; NaN without a training, and if a score is not finite or too large to compute with."""
        return float(np.mean(self.scores)) if self.trainings and self._is_usable else float("nan")

    @property
    def std(self) -> float:
        """Sample standard deviation of the score over the seeds; 0 for a single seed."""
        if len(self.trainings) < 2:
            return 0.0
        if not self._is_usable:
            return float("nan")
        # The computed mean of equal scores may differ from them by rounding, so that they would seem to have a spread.
        return float(np.std(self.scores, ddof=1)) if len(set(self.scores)) > 1 else 0.0

    @property
    def _is_usable(self) -> bool:
        """Whether there is a mean: the square of a larger score is infinite."""
        return all(abs(score) <= LARGEST for score in self.scores)

    @property
    def cost(self) -> Cost:
        """What its trainings, and the choice of its LR, cost."""
        runs: list[Training | Chosen] = [*self.trainings, *([self.chosen] if self.chosen else [])]
        return Cost(sum(run.updates for run in runs), sum(run.seconds for run in runs))

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
            "recipe": self.recipe,
            "source": self.source,
            "chosen": None if self.chosen is None else vars(self.chosen),
            "failures": {str(seed): failure.error for seed, failure in self.failures.items()},
            "trainings": [training.as_record() for training in self.trainings],
        }
