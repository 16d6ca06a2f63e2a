"""Schedules compared honestly: the same seeds, data order and length for each, every run kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learnrate import records
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule


@dataclass(frozen=True)
class Training:
    """One whole training.

    Attributes:
        seed: What its random numbers began from.
        score: The metric at the end.
        losses: Training loss of each update; it ends early where the loss was no longer finite.
        checkpoints: Updates made when `scores` were taken.
        scores: The metric along the way.
    """

    seed: int
    score: float
    losses: tuple[float, ...]
    checkpoints: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """The training as JSON holds it."""
        return {
            "seed": self.seed,
            "score": records.encode_float(self.score),
            "losses": [records.encode_float(loss) for loss in self.losses],
            "checkpoints": list(self.checkpoints),
            "scores": [records.encode_float(score) for score in self.scores],
        }


@dataclass(frozen=True)
class Arm:
    """One schedule and its trainings, one a seed."""

    name: str
    schedule: Schedule
    trainings: tuple[Training, ...] = ()

    @property
    def scores(self) -> tuple[float, ...]:
        """The final metric of every seed."""
        return tuple(training.score for training in self.trainings)

    @property
    def mean(self) -> float:
        """Mean of the final metric over the seeds."""
        return float(np.mean(self.scores))

    @property
    def std(self) -> float:
        """Sample standard deviation of the final metric over the seeds; 0 for a single one."""
        return float(np.std(self.scores, ddof=1)) if len(self.trainings) > 1 else 0.0


@dataclass(frozen=True)
class Comparison:
    """Arms that differ in the schedule alone.

    Attributes:
        metric: Name of what the scores are; "loss" for that of the training.
        updates: Length of every training in updates.
        arms: One a schedule.
    """

    metric: str
    updates: int
    arms: tuple[Arm, ...]

    @property
    def scores_are(self) -> str:
        """What the scores are, in words: a metric is held out, a loss is that of the training."""
        return "training loss" if self.metric == "loss" else f"held-out {self.metric}"

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
    metric: str,
    on_training: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Train with each schedule on each seed.

    The schedules take turns within a seed, so that an interrupted comparison is still a paired one.

    Args:
        schedules: The arms by name.
        train: Makes one whole training from (name, schedule, seed); all that is random in it must follow from the seed.
        seeds: One training of each arm for each.
        updates: Length of every training, for the record.
        metric: What `Training.score` is, for the record.
        on_training: Called with the comparison so far after every training.

    Raises:
        ArgumentError: if there is nothing to compare.
    """
    if not schedules or not seeds:
        raise ArgumentError(f"compare needs at least one schedule and one seed, received {len(schedules)} and {len(seeds)}")
    arms = {name: Arm(name, schedule) for name, schedule in schedules.items()}
    for seed in seeds:
        for name, arm in arms.items():
            arms[name] = replace(arm, trainings=(*arm.trainings, train(name, arm.schedule, seed)))
            if on_training is not None:
                on_training(Comparison(metric, updates, tuple(arms.values())))
    return Comparison(metric, updates, tuple(arms.values()))
