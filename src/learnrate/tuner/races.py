"""Races: short whole trainings at candidate LRs, all from the same start and on the same data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate.finder.recording import Progress, scalars
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length
from learnrate.tuner.budget import Purse
from learnrate.tuner.families import Family
from learnrate.tuner.trainee import Trainee

JUDGED = 5
"""A race is judged by the last fifth of its losses, in which the LR falls to its end."""


@dataclass(frozen=True)
class Race:
    """One short training and how it ended.

    Attributes:
        max_lr: The candidate.
        updates: Length of the race that was planned.
        made: Updates that were made; fewer where it diverged.
        loss: Mean loss of the last fifth, none counted as higher than the loss at the start; infinite after a divergence.
        score: What `evaluate` gave at the end, higher is better; None where there is no evaluation, or no finite loss.
        family: The kind of schedule.
    """

    max_lr: float
    updates: int
    made: int
    loss: float
    score: float | None
    family: str = ""

    @property
    def diverged(self) -> bool:
        """Whether its loss is no longer finite, or far above the start."""
        return not math.isfinite(self.loss)


class OutOfTimeError(Exception):
    """The time is over in mid-race: what it has shown so far is not comparable to what the others have."""


@dataclass
class Track:
    """Where races are run.

    Attributes:
        trainee: What is trained.
        start: The state, from `trainee.save()`, that every race starts from.
        purse: What may be spent.
        start_loss: Level of the loss at the start.
        start_noise: Standard deviation of a batch's loss there.
        horizon: Length of the whole run.
        progress: Called after every update with (updates made so far, updates that may be made).
    """

    trainee: Trainee
    start: Any
    purse: Purse
    start_loss: float
    start_noise: float
    horizon: int
    progress: Progress | None = None
    deepest: float = 0.0

    def race(self, family: Family, max_lr: float, updates: int, name: str = "") -> Race:
        """Train with the schedule of the whole run, squeezed in time into so many updates.

        So a race visits all the LRs of the run that it stands for.

        Raises:
            OutOfTimeError: if the time is over before the end.
        """
        self.trainee.restore(self.start)
        values = squeezed(family(max_lr), updates, self.horizon)
        losses: list[float] = []
        for value in values:
            if self.purse.late:
                raise OutOfTimeError
            losses.append(scalars(self.trainee.update(value), value)["loss"])
            self.purse.pay(1)
            if self.progress is not None:
                self.progress(self.purse.spent, self.purse.budget.updates)
            if self._diverged(losses, updates):
                return Race(max_lr, updates, len(losses), math.inf, None, name)
        judged = np.minimum(losses[-max(1, updates // JUDGED) :], self.start_loss)
        self.deepest = max(self.deepest, self.start_loss - float(judged.mean()))
        return Race(max_lr, updates, updates, float(judged.mean()), self.trainee.evaluate(), name)

    def _diverged(self, losses: Sequence[float], updates: int) -> bool:
        """No longer finite; or, past its middle, as far above the loss at the start as any race has come below it.

        High LRs often throw a model far up before it learns, so that the first half of a race is left to it.
        """
        if not math.isfinite(losses[-1]):
            return True
        if len(losses) <= updates // 2 or len(losses) < 10:
            return False
        limit = self.start_loss + max(self.deepest, 6 * self.start_noise, 0.5 * abs(self.start_loss))
        return float(np.median(losses[-5:])) > limit


def squeezed(schedule: Schedule, updates: int, horizon: int) -> list[float]:
    """The LRs of a run of so many updates with the shape of a schedule of the whole run.

    Each is the LR in the middle of the stretch that it stands for: the first would else be the start of the warm-up, where
    nothing is learned.
    """
    length = known_length(schedule) or horizon
    return [float(schedule((place + 0.5) * length / updates)) for place in range(updates)]
