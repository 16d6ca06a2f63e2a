"""Races: short whole trainings at candidate LRs, all from the same start and on the same data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate.finder.recording import Progress, scalars
from learnrate.schedules import Schedule
from learnrate.tuner.trainee import Trainee

Family = Callable[[float], Schedule]
"""From a max_lr to the schedule of a whole run."""


@dataclass(frozen=True)
class Race:
    """One short training and how it ended.

    Attributes:
        max_lr: The candidate.
        updates: Length of the race that was planned.
        made: Updates that were made; fewer where the loss was no longer finite.
        loss: Mean loss of the last fifth; infinite after a divergence.
        score: What `evaluate` gave at the end, higher is better; None where there is no evaluation, or no finite loss.
    """

    max_lr: float
    updates: int
    made: int
    loss: float
    score: float | None

    @property
    def rank(self) -> tuple[float, float]:
        """Sorts races from worst to best: by score, and by loss among equal scores."""
        score = -math.inf if self.score is None or math.isnan(self.score) else self.score
        return score, -self.loss


def run(
    trainee: Trainee,
    start: Any,
    candidates: Sequence[float],
    family: Family,
    *,
    updates: int,
    horizon: int,
    progress: Progress | None = None,
) -> tuple[Race, ...]:
    """Race the candidates, one after the other.

    Each trains with its own schedule of the whole run, squeezed in time into the length of the race, so that a race visits
    all the LRs of the run that it stands for.

    Args:
        trainee: What is trained.
        start: The state, from `trainee.save()`, that every race starts from.
        candidates: Values of max_lr.
        family: From max_lr to the schedule of the whole run.
        updates: Length of a race.
        horizon: Length of the whole run.
        progress: Called after every update with (updates made in all races, updates planned in all).

    Returns:
        One race a candidate, in their order. The trainee is left as the last race left it.
    """
    races = []
    for place, max_lr in enumerate(candidates):
        trainee.restore(start)
        schedule = family(max_lr)
        losses: list[float] = []
        for update in range(updates):
            value = schedule(update * horizon / updates)
            loss = scalars(trainee.update(value), value)["loss"]
            losses.append(loss)
            if progress is not None:
                progress(place * updates + update + 1, len(candidates) * updates)
            if not math.isfinite(loss):
                break
        races.append(_ended(trainee, max_lr, updates, losses))
    return tuple(races)


def _ended(trainee: Trainee, max_lr: float, updates: int, losses: list[float]) -> Race:
    if not math.isfinite(losses[-1]):
        return Race(max_lr, updates, len(losses), math.inf, None)
    loss = float(np.mean(losses[-max(1, updates // 5) :]))
    return Race(max_lr, updates, len(losses), loss, trainee.evaluate())
