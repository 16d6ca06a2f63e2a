"""Comparison of schedules over the same seeds, data order and length, with the record of every training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learnrate import checks, records
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.study.training import Training


@dataclass(frozen=True)
class Arm:
    """One schedule and its trainings.

    Attributes:
        name: Its name in the comparison.
        schedule: The schedule.
        trainings: One for each seed.
    """

    name: str
    schedule: Schedule
    trainings: tuple[Training, ...] = ()

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of every seed."""
        return tuple(training.score for training in self.trainings)

    @property
    def mean(self) -> float:
        """Mean score over the seeds."""
        return float(np.mean(self.scores))

    @property
    def std(self) -> float:
        """Sample standard deviation of the score over the seeds; 0 for a single seed."""
        return float(np.std(self.scores, ddof=1)) if len(self.trainings) > 1 else 0.0


@dataclass(frozen=True)
class Comparison:
    """Arms that differ only in the schedule.

    Attributes:
        updates: Length of every training in updates.
        arms: One for each schedule.
    """

    updates: int
    arms: tuple[Arm, ...]

    @property
    def metric(self) -> str:
        """Name of what the scores are; "loss" for the training loss."""
        return next((training.metric for arm in self.arms for training in arm.trainings), "loss")

    @property
    def score_title(self) -> str:
        """What the scores are, for headings: a metric is measured on held-out data, a loss on the training data."""
        if self.metric == "loss":
            return "training loss"
        return self.metric if "held-out" in self.metric else f"held-out {self.metric}"

    def __getitem__(self, name: str) -> Arm:
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise KeyError(name)

    def as_record(self) -> dict[str, Any]:
        """The comparison as JSON holds it, with the record of every training."""
        return {
            "metric": self.metric,
            "updates": self.updates,
            "arms": {
                arm.name: {
                    "schedule": repr(arm.schedule),
                    "mean": records.encode_float(arm.mean) if arm.trainings else None,
                    "std": records.encode_float(arm.std) if arm.trainings else None,
                    "trainings": [training.as_record() for training in arm.trainings],
                }
                for arm in self.arms
            },
        }


def compare(
    schedules: Mapping[str, Schedule],
    train: Callable[[str, Schedule, int], Training],
    *,
    seeds: Sequence[int],
    updates: int,
    on_training: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Train with each schedule and each seed.

    All schedules are trained with one seed before the next seed, so that an interrupted comparison is still a paired one.

    Args:
        schedules: The arms by name.
        train: Makes one whole training from (name, schedule, seed); everything random in it must follow from the seed.
        seeds: Each arm is trained once with each seed.
        updates: Length of every training, for the record.
        on_training: Called with the comparison so far after every training.

    Returns:
        The comparison, with every training.

    Raises:
        ArgumentError: if there is no schedule or no seed, or a number is out of its range.
        ArgumentTypeError: if an argument is of the wrong type, or `train` returns something else than a `Training`.

    Example:
        >>> import learnrate as lr
        >>> def train(name, schedule, seed):
        ...     return Training(seed, score=schedule.max + seed / 10, losses=(1.0, 0.5), metric="accuracy")
        >>> arms = {"plan": lr.constant(0.5), "usual": lr.constant(0.25)}
        >>> comparison = compare(arms, train, seeds=[0, 1], updates=2)
        >>> comparison.metric, comparison["plan"].scores, comparison["usual"].mean
        ('accuracy', (0.5, 0.6), 0.3)
    """
    if not isinstance(schedules, Mapping):
        checks.refuse_type("schedules", "a mapping from names to schedules", schedules)
    checked_seeds = checks.several(checks.seed)("seeds", seeds)
    if not schedules or not checked_seeds:
        raise ArgumentError(
            f"compare must have at least one schedule and one seed, received {len(schedules)} and {len(checked_seeds)}"
        )
    if not callable(train):
        checks.refuse_type("train", "a function (name, schedule, seed) -> Training", train)
    updates = checks.length("updates", updates)
    is_schedule = checks.instance(Schedule, "a learnrate schedule")
    arms = {name: Arm(checks.text("a name", name), is_schedule(f"schedules[{name!r}]", s)) for name, s in schedules.items()}
    is_training = checks.instance(Training, "a Training")
    for seed in checked_seeds:
        for name, arm in arms.items():
            training = is_training("the result of train", train(name, arm.schedule, seed))
            arms[name] = replace(arm, trainings=(*arm.trainings, training))
            if on_training is not None:
                on_training(Comparison(updates, tuple(arms.values())))
    return Comparison(updates, tuple(arms.values()))
