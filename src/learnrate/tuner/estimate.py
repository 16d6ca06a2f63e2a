"""The best guess for the whole run: how good each LR was at each length, and what that makes of the run that is longer.

LRs are counted in octaves, log2(lr): what matters about an LR is its ratio to another.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from learnrate.finder.smoothing import Floats
from learnrate.tuner.evidence import Heat, Start, begun, below, ceiling, cliff, standard_error, tells
from learnrate.tuner.trials import Race

CATCH_UP = 3, 2
"""What an LR below the best one costs is halved for every two doublings of the length beyond the third: a run that is much
longer than the races has time to catch up, and more time to meet a cliff."""

TRUST_IN_LOSS = 0.75
"""Weight of the training loss beside the score: it is a mean over many batches, and the same ones for all racers, where a
score is one look at a model."""

DRIFT = -0.1
"""Octaves by which the best LR is taken to move with each doubling of the horizon: it falls, a little."""

SPREAD, SPREAD_AHEAD = 0.4, 0.1
"""Standard deviation, in octaves, of where the best LR of a run lies: of any run, and for each doubling that lies ahead."""

BELOW, ABOVE = 0.2, 0.3
"""What an octave beyond the lowest and highest LR that raced is taken to cost, in shares of the fall: nobody was there, and
there is a slope on the low side and a cliff on the high side."""

ALIKE = 0.05
"""Share of the best fall that counts as no difference. Narrower, the interval around a guess would hold the best LR of half
of all runs; docs/choice.md tells how many it holds so."""

SLOW = 0.1
"""What an octave below the best racer costs one that has not left a plateau yet, in shares of the fall: a longer run leaves
it at lower LRs too."""

STUCK = 0.12
"""Share of the best fall below which a racer counts as one of those, wholly; from twice that on not at all."""

_NORMAL = np.array([-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64])
"""Ten equally likely places of a standard normal distribution."""


@dataclass(frozen=True)
class Surface:
    """How good LRs are at one length of training: 0 for the best there is, -1 for a model that has learned nothing."""

    updates: int
    octaves: Floats
    worth: Floats

    def at(self, octaves: Floats) -> Floats:
        """Straight lines between what is known; what lies beyond is as its edge."""
        return np.interp(octaves, self.octaves, self.worth)

    def ahead(self, octaves: Floats, doublings: float) -> Floats:
        """The same for a run that is longer by so many doublings: what lies below the best has caught up in part."""
        after, each = CATCH_UP
        top = int(np.argmax(self.worth))
        found, left = self.at(octaves), 2.0 ** (-max(0.0, doublings - after) / each)
        return np.where(octaves < self.octaves[top], self.worth[top] + left * (found - self.worth[top]), found)


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


def worth(heat: Heat, start: Start) -> dict[float, float]:
    """From each LR that raced, in octaves, to how good it is for a longer run: 0 at best, and -1 for having learned nothing.

    It is the share of the best one's fall that it missed (see `missed`), less for those that are still on a plateau.
    """
    found = missed(heat, start)
    return _unstuck(found, heat, start) if begun(heat, start) else found


def missed(heat: Heat, start: Start) -> dict[float, float]:
    """From each LR that raced, in octaves, to the share of the best one's fall that it missed, below 0.

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
        share = (race.loss - best_loss) / fall if fall > 0 else 0.0
        if rise > 0:
            score = race.score if race.score is not None and math.isfinite(race.score) else -math.inf
            share = TRUST_IN_LOSS * min(1.0, share) + (1 - TRUST_IN_LOSS) * min(1.0, (best_score - score) / rise)
        return -min(1.0, share)

    return {math.log2(race.max_lr): of(race) for race in heat.races}


def _unstuck(found: Mapping[float, float], heat: Heat, start: Start) -> dict[float, float]:
    """How good LRs are where those below the best that have not left a plateau yet will leave it in a longer run.

    None is better for that than those between it and the best; and one that is about to leave it counts in part.
    """
    top, fall = _best(found), heat.fall(start)
    made, so_far = dict(found), found[top]
    for race in sorted(heat.sound, key=lambda race: -race.max_lr):
        octave = math.log2(race.max_lr)
        if octave < top:
            floor = min(so_far, found[top] - SLOW * (top - octave))
            stuck = min(1.0, max(0.0, 2 - (start.loss - race.loss) / (STUCK * fall)))
            made[octave] += stuck * max(0.0, floor - made[octave])
            so_far = min(so_far, made[octave])
    return made


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
    edge = cliff(heats, start)
    most = min(edge, ceiling(heats, start))
    # A heat in which nobody has left the start, or all have come equally far, tells chance if there is any other.
    counted = below(heats, edge)
    heats = [heat for heat in counted if begun(heat, start)] or [heat for heat in counted if tells(heat, start)] or counted
    known = surfaces(heats, start)
    ahead = [math.log2(max(horizon / one.updates, 1.0)) for one in known]
    low = min(one.octaves[0] + min(0.0, drift * far) for one, far in zip(known, ahead, strict=True)) + 0.5
    high = max(one.octaves[-1] + max(0.0, drift * far) for one, far in zip(known, ahead, strict=True)) - 1
    octaves = np.arange(low, max(min(high, most), low + 1), 1 / 16)
    expected = np.zeros(len(octaves))
    longest = known[-1].updates
    for surface, far in zip(known, ahead, strict=True):
        places = octaves - drift * far + math.hypot(SPREAD, SPREAD_AHEAD * far) * _NORMAL[:, None]
        expected += surface.updates / longest * surface.ahead(places, far).mean(axis=0)
    expected /= sum(surface.updates / longest for surface in known)
    top = int(np.argmax(expected > expected.max() - 1e-9))  # the lowest of equals, which rounding would else decide
    doubt = max(ALIKE, _doubt(heats, start))
    alike = octaves[(expected >= expected[top] - doubt) & (octaves <= max(most, octaves[top]))]
    return Guess(float(octaves[top]), float(alike[0]), float(alike[-1]), doubt)


def _doubt(heats: Sequence[Heat], start: Start) -> float:
    """How far a race's loss may lie off by chance, one standard deviation, as a share of the longest heat's best fall."""
    heat = max(heats, key=lambda heat: heat.updates)
    fall = heat.fall(start)
    if fall <= 0:
        return 1.0
    return min(1.0, standard_error(heat.updates, start) / fall)
