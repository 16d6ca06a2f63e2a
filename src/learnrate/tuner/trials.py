"""Races: short whole trainings at candidate LRs, all from the same start and on the same data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length
from learnrate.trainable import Ensemble as Racers
from learnrate.trainable import NotBatchableError as ApartError
from learnrate.trainable import Trainable as Trainee
from learnrate.tuner.budget import Purse
from learnrate.tuner.families import Family
from learnrate.updates import Progress

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
        score: What `evaluate` gave at the end, higher is better; None where there is none, or no finite loss or score.
        family: The kind of schedule.
        judged: The losses that `loss` is the mean of; racers of one length saw the same batches there.
        highest: The highest loss on the way; infinite where one was not finite.
    """

    max_lr: float
    updates: int
    made: int
    loss: float
    score: float | None
    family: str = ""
    judged: tuple[float, ...] = ()
    highest: float = math.inf

    @property
    def diverged(self) -> bool:
        """Whether its loss is no longer finite, or far above the start."""
        return not math.isfinite(self.loss)


class OutOfTimeError(Exception):
    """The time is over in mid-race: what so many races have shown so far is not comparable to what the others have."""

    def __init__(self, races: int) -> None:
        super().__init__(races)
        self.races = races


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
        abreast: Makes so many racers that train as one batch, from the trainee's present state; None where there is no way.
        deepest: The deepest fall of the loss in any race so far.
        apart: Why races ran one after the other, as far as they did.
        groups: How many times races ran as one batch.
        cut: Races that were cut short by the time.
        unscored: Evaluations that gave no finite number, that at the start among them.
    """

    trainee: Trainee
    start: Any
    purse: Purse
    start_loss: float
    start_noise: float
    horizon: int
    progress: Progress | None = None
    abreast: Callable[[int], Racers] | None = None
    deepest: float = 0.0
    apart: str = ""
    groups: int = 0
    cut: int = 0
    unscored: int = 0

    @property
    def together(self) -> bool:
        """Whether several races are run as one batch, as far as is known."""
        return self.abreast is not None and not self.apart

    def races(self, family: Family, max_lrs: Sequence[float], updates: int, name: str = "", kept: int = 0) -> list[Race]:
        """Train with the schedule of the whole run, squeezed in time into so many updates, once at each LR.

        So a race visits all the LRs of the run that it stands for. The races run as one batch where that can be done, and
        else one after the other.

        Args:
            family: The schedules.
            max_lrs: Their peaks.
            updates: Length of each race.
            name: What the family is called.
            kept: Updates that must be left in the purse.

        Returns:
            The races that came to their end, in the order of the LRs: not all, where time or updates do not suffice.
        """
        max_lrs = max_lrs[: max(0, self.purse.left - kept) // updates]
        ended: list[Race] = []
        try:
            if len(max_lrs) > 1 and self.abreast is not None and not self.apart:
                try:
                    return self._as_one_batch(self.abreast, family, max_lrs, updates, name)
                except ApartError as error:
                    self.apart = str(error)
            for max_lr in max_lrs:
                if self.purse.left - kept < updates:
                    break
                ended.append(self._race(family, max_lr, updates, name))
        except OutOfTimeError as error:
            self.cut += error.races
        return ended

    def _as_one_batch(
        self, abreast: Callable[[int], Racers], family: Family, max_lrs: Sequence[float], updates: int, name: str
    ) -> list[Race]:
        self.trainee.restore(self.start)
        racers = abreast(len(max_lrs))
        values = [squeezed(family(max_lr), updates, self.horizon) for max_lr in max_lrs]
        losses: list[list[float]] = [[] for _ in max_lrs]
        running = set(range(len(max_lrs)))
        for update in range(updates):
            if self.purse.late:
                raise OutOfTimeError(len(max_lrs))
            seen = racers.update([values[one][update] if one in running else None for one in range(len(max_lrs))])
            for one in tuple(running):
                losses[one].append(seen[one]["loss"])
                self._paid()
                if self._diverged(losses[one], updates):
                    running.remove(one)
            if not running:
                break
        scores = racers.evaluate() if running else [None] * len(max_lrs)
        self.groups += 1
        return [
            self._ended(max_lr, updates, losses[one], scores[one], name)
            if one in running
            else broken_off(max_lr, updates, losses[one], name)
            for one, max_lr in enumerate(max_lrs)
        ]

    def _race(self, family: Family, max_lr: float, updates: int, name: str) -> Race:
        self.trainee.restore(self.start)
        values = squeezed(family(max_lr), updates, self.horizon)
        losses: list[float] = []
        for value in values:
            if self.purse.late:
                raise OutOfTimeError(1)
            losses.append(self.trainee.read([self.trainee.update(value)])[0]["loss"])
            self._paid()
            if self._diverged(losses, updates):
                return broken_off(max_lr, updates, losses, name)
        return self._ended(max_lr, updates, losses, self.trainee.evaluate(), name)

    def _paid(self) -> None:
        self.purse.pay(1)
        if self.progress is not None:
            self.progress(self.purse.spent, self.purse.budget.updates)

    def _ended(self, max_lr: float, updates: int, losses: Sequence[float], measured: Any, name: str) -> Race:
        score = finite_score(measured)
        self.unscored += measured is not None and score is None
        judged = np.minimum(losses[-max(1, updates // JUDGED) :], self.start_loss)
        self.deepest = max(self.deepest, self.start_loss - float(judged.mean()))
        return Race(max_lr, updates, updates, float(judged.mean()), score, name, tuple(judged.tolist()), max(losses))

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


def broken_off(max_lr: float, updates: int, losses: Sequence[float], name: str) -> Race:
    """A race that diverged."""
    highest = max(losses) if math.isfinite(losses[-1]) else math.inf
    return Race(max_lr, updates, len(losses), math.inf, None, name, highest=highest)


def finite_score(value: Any) -> float | None:
    """What an evaluation gave, as a float; None where that is no finite number, which ranks nothing.

    Raises:
        LossError: if it is no scalar.
    """
    if value is None:
        return None
    from learnrate.trainable import scores

    found = next(iter(scores(value).values()))
    return found if math.isfinite(found) else None


def squeezed(schedule: Schedule, updates: int, horizon: int) -> list[float]:
    """The LRs of a run of so many updates with the shape of a schedule of the whole run.

    Each is the LR in the middle of the stretch that it stands for: the first would else be the start of the warm-up, where
    nothing is learned.
    """
    length = known_length(schedule) or horizon
    return [float(schedule((place + 0.5) * length / updates)) for place in range(updates)]
