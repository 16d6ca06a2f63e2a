"""What races tell: whether anything has been learned, whether racers can be told apart, and which LRs are too high.

LRs are counted in octaves, log2(lr).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from learnrate.tuner.trials import JUDGED, Race

TRIFLE = 0.12
"""Share of the loss at the start; see `begun`."""

THROWN = 12
"""Standard deviations of a batch's loss; see `dead`."""

FLUNG = 12
"""Times the loss at the start; see `flung`."""

FAR = 10
"""Standard deviations of a batch's loss by which no net that is stuck comes down."""

LITTLE = 0.01
"""Share of the loss at the start: what even a net that is stuck may learn of how frequent the classes are."""

SOME = 0.04
"""Share of the loss at the start, more than stuck nets were seen to learn of that."""

IDLE, CLIPPED = 0.4, 0.58
"""Mean and standard deviation of what a normal variable falls below its mean by, and 0 where it does not: 1 / sqrt(2 pi)
and sqrt(1 / 2 - 1 / (2 pi)). A racer that learns nothing ends so far below the start, since nothing counts as above it."""

SURE = 2.5
"""Standard errors by which a fall must exceed what is chance: the best of several racers is looked at."""

SEVERAL = 10
"""Batches that racers must have seen together to be compared batch by batch."""


@dataclass(frozen=True)
class Start:
    """The model before any training.

    Attributes:
        loss: Level of the training loss.
        noise: Standard deviation of a batch's loss.
        score: What the evaluation gives; None where there is none, or no finite number.
        error: Standard error of `loss`.
        unbounded: Whether a step grows with its gradient without limit; see `flung`.
    """

    loss: float
    noise: float
    score: float | None = None
    error: float = 0.0
    unbounded: bool = False


@dataclass(frozen=True)
class Heat:
    """Races of one length."""

    updates: int
    races: tuple[Race, ...]

    @property
    def sound(self) -> tuple[Race, ...]:
        """Those that did not diverge."""
        return tuple(race for race in self.races if not race.diverged)

    def fall(self, start: Start) -> float:
        """By how much the best racer's loss has fallen; minus infinity where all diverged."""
        return start.loss - min((race.loss for race in self.sound), default=math.inf)


def cliff(heats: Iterable[Heat], start: Start) -> float:
    """The lowest LR, in octaves, that is not safe; infinite where there is none.

    It is one at which a race diverged, or was dead where lower ones learned, or one that raced beside a lower one that was
    flung.
    """

    def gone(race: Race, heat: Heat) -> bool:
        lower = Heat(heat.updates, tuple(other for other in heat.races if other.max_lr < race.max_lr))
        beaten = any(flung(other, start) for other in lower.races)
        return race.diverged or beaten or (dead(race, start) and tells(lower, start))

    return min((math.log2(race.max_lr) for heat in heats for race in heat.races if gone(race, heat)), default=math.inf)


def ceiling(heats: Iterable[Heat], start: Start) -> float:
    """The lowest LR, in octaves, at which a race was flung: what may be chosen at most; infinite where none was."""
    return min((math.log2(race.max_lr) for heat in heats for race in heat.races if flung(race, start)), default=math.inf)


def safe(heats: Sequence[Heat], start: Start) -> list[Heat]:
    """The heats, with all races from the cliff on counted as diverged: where a lower LR diverges, a higher one was lucky."""
    return below(heats, cliff(heats, start))


def below(heats: Iterable[Heat], edge: float) -> list[Heat]:
    """The heats, with all races from this LR on, in octaves, counted as diverged."""
    return [
        Heat(
            heat.updates,
            tuple(replace(race, loss=math.inf) if math.log2(race.max_lr) >= edge else race for race in heat.races),
        )
        for heat in heats
    ]


def standard_error(updates: int, start: Start) -> float:
    """Of a race's loss, which is the mean of its last fifth."""
    return start.noise / math.sqrt(max(1, updates // JUDGED))


def chance(updates: int, start: Start) -> float:
    """How far a race's loss may lie off by chance: four standard errors."""
    return 4 * standard_error(updates, start)


def learned(heat: Heat, start: Start) -> bool:
    """Whether any racer's loss has fallen by more than chance; half of that will do where every score tells the same.

    So much a model that is fine-tuned on small batches may learn in a short race, whose batches differ more than that. And
    what is chance from batch to batch may be none between racers that saw the same ones (see `ahead`).
    """
    fall, idle = heat.fall(start), IDLE * start.noise
    chances = SURE * math.hypot(CLIPPED * standard_error(heat.updates, start), start.error)
    halfway = fall > idle + chances / 2 and fall >= TRIFLE * abs(start.loss)
    return fall > idle + chances or ahead(heat, start) or (halfway and _scores_rose(heat, start))


def tells(heat: Heat, start: Start) -> bool:
    """Whether the racers have learned enough to choose between them.

    That is more than chance, and more than a trifle or far beyond the noise; or some, by twice what chance may be; or a
    little, if some learned more than others.
    """
    fall, scale = heat.fall(start), abs(start.loss)
    far = fall >= min(TRIFLE * scale, FAR * start.noise)
    some = fall >= SOME * scale and fall > 2 * chance(heat.updates, start)
    return learned(heat, start) and fall >= LITTLE * scale and (far or some or told_apart(heat, start) or ahead(heat, start))


def ahead(heat: Heat, start: Start) -> bool:
    """Whether the best racer is ahead of one with a lower LR by more than chance, batch by batch, where they saw the same.

    The lower LR cannot have been thrown up where the higher one was not: if one of them has learned, it is the best. Chance
    is four standard errors, three where every score tells the same, widened for few batches as Student's t is (Peiser 1943:
    by (z ** 3 + z) / 4 (n - 1)).
    """
    best = min(heat.sound, key=lambda race: race.loss, default=None)
    if best is None or len(best.judged) < SEVERAL:
        return False
    many, z = len(best.judged), 3 if _scores_rose(heat, start) else 4
    limit = z + (z**3 + z) / (4 * (many - 1))
    lower = (other for other in heat.sound if other.max_lr < best.max_lr and len(other.judged) == many)
    return any(other.loss - best.loss > limit * _error_apart(best, other) for other in lower)


def _error_apart(one: Race, other: Race) -> float:
    """Standard error of the difference of two racers' losses, batch by batch: both saw the same ones."""
    return float(np.std(np.subtract(other.judged, one.judged), ddof=1)) / math.sqrt(len(one.judged))


def _scores_rose(heat: Heat, start: Start) -> bool:
    """Whether each of several racers whose losses fell scored higher than the model at the start."""
    enough = start.loss - heat.fall(start) / 2  # an LR that is too high for a start tells nothing of the others
    scores = [race.score for race in heat.sound if race.loss <= enough]
    return len(scores) > 1 and start.score is not None and all(one is not None and one > start.score for one in scores)


def begun(heat: Heat, start: Start) -> bool:
    """Whether the racers have left the start: the best loss has fallen by more than chance, and by more than a trifle.

    A trifle is 12 % of the loss at the start. Below that many models have learned how frequent the classes are, and no more:
    the LR at which that is quickest says nothing about the rest. Nor do racers who have all come equally far, be it on a
    plateau or where every LR will do: the next ones had better stand further apart.
    """
    far = learned(heat, start) and heat.fall(start) >= TRIFLE * abs(start.loss)
    return far and (len(heat.sound) < 2 or told_apart(heat, start))


def dead(race: Race, start: Start) -> bool:
    """Whether the loss was thrown up on the way, far beyond its noise, and nothing was learned after that.

    A net that sits on a plateau moves little at the LRs that leave it. One that was thrown up and has come back to where it
    started looks the same in the end, but its LR is too high: its units are dead or saturated.
    """
    scale = abs(start.loss)
    thrown = race.highest > start.loss + max(THROWN * start.noise, 2 * LITTLE * scale)
    return thrown and start.loss - race.loss < LITTLE * scale


def flung(race: Race, start: Start) -> bool:
    """Whether the loss was thrown up to many times the loss at the start, and beyond its noise, and steps have no bound.

    Then it may have come back by luck, and a higher LR have had more of it: a longer run meets more such batches. Optimizers
    that divide by the size of the gradients, or clip them, recover from higher ones.
    """
    return start.unbounded and race.highest > start.loss + max(FLUNG * abs(start.loss), THROWN * start.noise)


def told_apart(heat: Heat, start: Start) -> bool:
    """Whether the best and the worst racer of a heat differ by more than chance, and by more than a trifle of the best fall.

    Chance is that of the difference, batch by batch, where both saw the same ones. Those that diverged do not count.
    """
    if len(heat.sound) < 2:
        return False
    best, worst = min(heat.sound, key=lambda race: race.loss), max(heat.sound, key=lambda race: race.loss)
    apart = worst.loss - best.loss
    paired = len(best.judged) == len(worst.judged) >= 3
    chances = 4 * _error_apart(best, worst) if paired else chance(heat.updates, start)
    return apart > chances and apart > TRIFLE * heat.fall(start)
