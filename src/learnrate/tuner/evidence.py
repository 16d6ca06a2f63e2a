"""What races tell: how good each LR was at each length, and which LR that makes the best guess for the whole run.

LRs are counted in octaves, log2(lr): what matters about an LR is its ratio to another.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from learnrate.finder.smoothing import Floats
from learnrate.tuner.races import JUDGED, Race

TRUST_IN_LOSS = 0.75
"""Weight of the training loss beside the score: it is a mean over many batches, and the same ones for all racers, where a
score is one look at a model. Measured in docs/choice.md."""

DRIFT = -0.1
"""Octaves by which the best LR is taken to move with each doubling of the horizon: it falls, a little."""

SPREAD, SPREAD_AHEAD = 0.4, 0.1
"""Standard deviation, in octaves, of where the best LR of a run lies: of any run, and for each doubling that lies ahead."""

BELOW, ABOVE = 0.2, 0.3
"""What an octave beyond the lowest and highest LR that raced is taken to cost, in shares of the fall: nobody was there, and
there is a slope on the low side and a cliff on the high side."""

TRIFLE = 0.12
"""Share of the loss at the start; see `begun`."""

ALIKE = 0.05
"""Share of the best fall that counts as no difference. Narrower, the interval around a guess would hold the best LR of half
of all runs; docs/choice.md tells how many it holds so."""

THROWN = 12
"""Standard deviations of a batch's loss; see `dead`."""

FAR = 10
"""Standard deviations of a batch's loss by which no net that is stuck comes down."""

LITTLE = 0.02
"""Share of the loss at the start; half of it is what even a net that is stuck may learn of how frequent the classes are."""

SLOW = 0.1
"""What an octave below the best racer costs one that has not left a plateau yet, in shares of the fall: a longer run leaves
it at lower LRs too."""

STUCK = 0.2
"""Share of the best fall below which a racer counts as one of those."""

_NORMAL = np.array([-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64])
"""Ten equally likely places of a standard normal distribution."""


@dataclass(frozen=True)
class Start:
    """The model before any training.

    Attributes:
        loss: Level of the training loss.
        noise: Standard deviation of a batch's loss.
        score: What the evaluation gives; None where there is none, or no finite number.
    """

    loss: float
    noise: float
    score: float | None = None


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


@dataclass(frozen=True)
class Surface:
    """How good LRs are at one length of training: 0 for the best that raced, -1 for a model that has learned nothing."""

    updates: int
    octaves: Floats
    worth: Floats

    def at(self, octaves: Floats) -> Floats:
        """Straight lines between what is known; what lies beyond is as its edge."""
        return np.interp(octaves, self.octaves, self.worth)


@dataclass(frozen=True)
class Guess:
    """The LR for the whole run.

    Attributes:
        octave: log2 of it.
        low: The lowest LR, in octaves, that is expected to be as good, but for `doubt`.
        high: The highest.
        doubt: The share of what the best racer has learned that a difference must exceed in order to count.
    """

    octave: float
    low: float
    high: float
    doubt: float


def cliff(heats: Iterable[Heat], start: Start) -> float:
    """The lowest LR, in octaves, at which a race diverged, or was dead where others learned; infinite where none did."""
    gone = (
        math.log2(race.max_lr)
        for heat in heats
        for race in heat.races
        if race.diverged or (dead(race, start) and tells(heat, start))
    )
    return min(gone, default=math.inf)


def safe(heats: Sequence[Heat], start: Start) -> list[Heat]:
    """The heats, with all races from the cliff on counted as diverged: where a lower LR diverges, a higher one was lucky."""
    edge = cliff(heats, start)
    return [
        Heat(
            heat.updates,
            tuple(replace(race, loss=math.inf) if math.log2(race.max_lr) >= edge else race for race in heat.races),
        )
        for heat in heats
    ]


def worth(heat: Heat, start: Start) -> dict[float, float]:
    """From each LR that raced, in octaves, to how good it was: the share of the best one's fall that it missed, below 0.

    A fall is that of the loss from its level at the start; where there are scores, their rise counts as well.
    """
    sound = heat.sound
    if not sound:
        return {math.log2(race.max_lr): -1.0 for race in heat.races}
    best_loss = min(race.loss for race in sound)
    fall = start.loss - best_loss
    scores = [race.score for race in sound if race.score is not None and math.isfinite(race.score)]
    best_score = max(scores, default=-math.inf)
    rise = best_score - start.score if start.score is not None else 0.0

    def of(race: Race) -> float:
        if not math.isfinite(race.loss):
            return -1.0
        missed = (race.loss - best_loss) / fall if fall > 0 else 0.0
        if rise > 0:
            score = race.score if race.score is not None and math.isfinite(race.score) else -math.inf
            missed = TRUST_IN_LOSS * min(1.0, missed) + (1 - TRUST_IN_LOSS) * min(1.0, (best_score - score) / rise)
        return -min(1.0, missed)

    found = {math.log2(race.max_lr): of(race) for race in heat.races}
    if begun(heat, start):
        top, so_far = _best(found), 0.0
        for race in sorted(sound, key=lambda race: -race.max_lr):
            octave = math.log2(race.max_lr)
            if octave < top:
                if start.loss - race.loss < STUCK * fall:
                    found[octave] = max(found[octave], min(so_far, -SLOW * (top - octave)))
                so_far = min(so_far, found[octave])
    return found


def best(heat: Heat, start: Start) -> float:
    """The LR, in octaves, that did best; the lower of equals."""
    return _best(worth(heat, start))


def _best(found: Mapping[float, float]) -> float:
    return max(found, key=lambda octave: (found[octave], -octave))


def surfaces(heats: Sequence[Heat], start: Start) -> list[Surface]:
    """One for each length, from short to long. Where no long race has been, the shape of the shorter ones goes on."""
    made: list[Surface] = []
    for heat in sorted(heats, key=lambda heat: heat.updates):
        found = sorted(worth(heat, start).items())
        octaves, values = np.array(found, dtype=np.float64).T
        made.append(_extended(heat.updates, octaves, values, made[-1] if made else None))
    return made


def _extended(updates: int, octaves: Floats, values: Floats, shorter: Surface | None) -> Surface:
    if shorter is None:
        # Where the lowest LR did best, half an octave below is taken to be as good: the way there led upwards.
        level = 0.5 if len(values) > 1 and int(np.argmax(values)) == 0 else 0.0
        low, high = octaves[0] - 3, octaves[-1] + 3
        below, above = values[0] - (3 - level) * BELOW, values[-1] - 3 * ABOVE
        return Surface(
            updates,
            np.array([low, octaves[0] - level, *octaves, high]),
            np.array([below, values[0], *values, above]),
        )
    below = shorter.octaves[shorter.octaves < octaves[0]]
    above = shorter.octaves[shorter.octaves > octaves[-1]]
    low, high = shorter.at(octaves[[0, -1]])
    # No better than the edge: what was quicker beyond it in a short race need not be so in a long one.
    beyond = values[0] + np.minimum(shorter.at(below) - low, 0.0), values[-1] + np.minimum(shorter.at(above) - high, 0.0)
    return Surface(updates, np.concatenate([below, octaves, above]), np.concatenate([beyond[0], values, beyond[1]]))


def guess(heats: Sequence[Heat], start: Start, horizon: int, drift: float = DRIFT) -> Guess:
    """The LR that is expected to cost least in a run of this length.

    The best LR of the run is not where it was in a race: it drifts, by an amount that is known roughly. So each LR is judged
    by what the races say about LRs around the place that it will have drifted from, weighted by how likely each is. Next to
    a cliff that pushes the choice to the safe side, the more so the longer the run is than the races.

    Args:
        heats: All races so far, at least one heat.
        start: The model before any training.
        horizon: Length of the whole run in updates.
        drift: Octaves by which the best LR moves with each doubling of the length.
    """
    # A heat in which nobody has left the start tells chance, if there is any in which somebody has.
    heats = [heat for heat in safe(heats, start) if begun(heat, start)] or safe(heats, start)
    known = surfaces(heats, start)
    low, high = min(one.octaves[0] for one in known) + 0.5, max(one.octaves[-1] for one in known) - 1
    octaves = np.arange(low, max(high, low + 1), 1 / 16)
    expected = np.zeros(len(octaves))
    longest = known[-1].updates
    for surface in known:
        ahead = math.log2(max(horizon / surface.updates, 1.0))
        places = octaves - drift * ahead + math.hypot(SPREAD, SPREAD_AHEAD * ahead) * _NORMAL[:, None]
        expected += surface.updates / longest * surface.at(places).mean(axis=0)
    expected /= sum(surface.updates / longest for surface in known)
    top = int(np.argmax(expected > expected.max() - 1e-9))  # the lowest of equals, which rounding would else decide
    doubt = max(ALIKE, _doubt(heats, start))
    alike = octaves[expected >= expected[top] - doubt]
    return Guess(float(octaves[top]), float(alike[0]), float(alike[-1]), doubt)


def _doubt(heats: Sequence[Heat], start: Start) -> float:
    """How far a race's loss may lie off by chance, one standard deviation, as a share of the longest heat's best fall."""
    heat = max(heats, key=lambda heat: heat.updates)
    fall = heat.fall(start)
    if fall <= 0:
        return 1.0
    return min(1.0, chance(heat.updates, start) / 4 / fall)


def chance(updates: int, start: Start) -> float:
    """How far a race's loss may lie off by chance: four standard deviations of the mean of its last fifth."""
    return 4 * start.noise / math.sqrt(max(1, updates // JUDGED))


def learned(heat: Heat, start: Start) -> bool:
    """Whether any racer's loss has fallen by more than chance; half of that will do where every score tells the same.

    So much a model that is fine-tuned on small batches may learn in a short race, whose batches differ more than that.
    """
    fall, chances = heat.fall(start), chance(heat.updates, start)
    halfway = fall > chances / 2 and fall >= TRIFLE * abs(start.loss)
    return fall > chances or (halfway and _scores_rose(heat, start))


def tells(heat: Heat, start: Start) -> bool:
    """Whether the racers have learned enough to choose between them.

    That is more than chance, and more than a trifle or far beyond the noise; or a little, if some learned more than others.
    """
    fall, scale = heat.fall(start), abs(start.loss)
    far = fall >= min(TRIFLE * scale, FAR * start.noise)
    return learned(heat, start) and (far or (fall >= LITTLE / 2 * scale and told_apart(heat, start)))


def _scores_rose(heat: Heat, start: Start) -> bool:
    """Whether each of several racers scored higher than the model at the start."""
    scores = [race.score for race in heat.sound]
    return len(scores) > 1 and start.score is not None and all(one is not None and one > start.score for one in scores)


def begun(heat: Heat, start: Start) -> bool:
    """Whether the racers have left the start: the best loss has fallen by more than chance, and by more than a trifle.

    A trifle is 12 % of the loss at the start. Below that many models have learned how frequent the classes are, and no more:
    the LR at which that is quickest says nothing about the rest. Nor do racers who have all come equally far.
    """
    far = learned(heat, start) and heat.fall(start) >= TRIFLE * abs(start.loss)
    return far and (len(heat.sound) < 2 or told_apart(heat, start))


def dead(race: Race, start: Start) -> bool:
    """Whether the loss was thrown up on the way, far beyond its noise, and nothing was learned after that.

    A net that sits on a plateau moves little at the LRs that leave it. One that was thrown up and has come back to where it
    started looks the same in the end, but its LR is too high: its units are dead or saturated.
    """
    scale = abs(start.loss)
    thrown = race.highest > start.loss + max(THROWN * start.noise, LITTLE * scale)
    return thrown and start.loss - race.loss < LITTLE / 2 * scale


def told_apart(heat: Heat, start: Start) -> bool:
    """Whether the best and the worst racer of a heat differ by more than chance, and by more than a trifle of the best fall.

    Chance is that of the difference, batch by batch: both saw the same ones. Those that diverged do not count.
    """
    if len(heat.sound) < 2:
        return False
    best, worst = min(heat.sound, key=lambda race: race.loss), max(heat.sound, key=lambda race: race.loss)
    apart = worst.loss - best.loss
    if len(best.judged) != len(worst.judged) or len(best.judged) < 3:
        return apart > chance(heat.updates, start)
    noise = float(np.std(np.subtract(worst.judged, best.judged), ddof=1)) / math.sqrt(len(best.judged))
    return apart > 4 * noise and apart > TRIFLE * heat.fall(start)
