"""Which LRs race, and over how many updates: first a few far apart over short races, then their middle over long ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.finder.bounds import two_digits
from learnrate.tuner.estimate import DRIFT, Guess, best, guess, worth
from learnrate.tuner.evidence import Heat, Start, begun, cliff, dead, safe, told_apart
from learnrate.tuner.families import Family
from learnrate.tuner.trials import Race, Track

SCOUT = 0.05
"""Length of a scouting race as a share of the budget: they find the region, at a tenth to a fifth of the cost."""

SHORTEST = 10
"""Updates of a race: fewer show chance."""

STRIDE = 2
"""Octaves between two scouts."""

FINALISTS = 4
"""Long races of a family: one on either side of the best, and one more where the best is not between them."""

LONGEST = 0.5
"""Share of the whole run: a longer race would buy less than the training that it delays."""

NARROW = 0.2
"""Octaves below a cliff in which nothing is left to look for."""

MOST_SCOUTS = 10
"""Of one length: twenty octaves, a factor of a million."""

FARTHEST = 1000
"""Octaves either side of 1: what lies beyond is no float."""


@dataclass
class Search:
    """The races of one kind of schedule.

    Attributes:
        track: Where they run.
        family: The schedules.
        start: The model before any training.
        name: What the family is called.
        drift: Octaves by which the best LR moves with each doubling of the length.
        heats: What has been run, by length.
        kept: Updates of the budget that are left to others.
    """

    track: Track
    family: Family
    start: Start
    name: str = ""
    drift: float = DRIFT
    heats: dict[int, list[Race]] = field(default_factory=dict)
    kept: int = 0

    def race(self, octaves: Sequence[float], updates: int) -> bool:
        """Race LRs that have not raced over this length; false where the budget does not reach, or there is no such LR."""
        known = {race.max_lr for race in self.heats.get(updates, ())}
        asked = [octave for octave in octaves if abs(octave) <= FARTHEST]
        lrs = [lr for lr in dict.fromkeys(two_digits(2.0**octave) for octave in asked) if lr not in known]
        races = self.track.races(self.family, lrs, updates, self.name, self.kept)
        if races:
            self.heats.setdefault(updates, []).extend(races)
        return len(races) == len(lrs) and len(asked) == len(octaves)

    def heat(self, updates: int) -> Heat:
        """The races of this length, those from the cliff on counted as diverged."""
        return next((heat for heat in safe(self.all_heats(), self.start) if heat.updates == updates), Heat(updates, ()))

    def all_heats(self) -> list[Heat]:
        """From short to long."""
        return [Heat(updates, tuple(self.heats[updates])) for updates in sorted(self.heats)]

    @property
    def races(self) -> tuple[Race, ...]:
        """All races, in the order in which they ran."""
        return tuple(race for races in self.heats.values() for race in races)

    def guess(self) -> Guess:
        """The LR for the whole run, by all races."""
        return guess(self.all_heats(), self.start, self.track.horizon, self.drift)

    def scout(self, first: float, lowest: float, highest: float) -> None:
        """Race LRs two octaves apart over short races, until the best has a worse one on either side.

        Args:
            first: Where to begin, in octaves.
            lowest: The lowest LR of the range test, in octaves: where all diverge, this is where to stop going down.
            highest: The highest LR to be expected, in octaves; scouts go one octave further at most.
        """
        budget, horizon = self.track.purse.whole, self.track.horizon
        updates = scout_length(budget, horizon)
        while self.race([first, first - STRIDE], updates) and not self.heat(updates).sound and first > lowest:
            first -= 2 * STRIDE
        above = first + STRIDE
        while updates in self.heats and not self._begun(updates) and above <= highest + 1 and self._cliff > above:
            if not self.race([above], updates) or not told_apart(self.heat(updates), self.start):
                break
            above += STRIDE
        while self._begun(updates) and len(self.heats[updates]) < MOST_SCOUTS:
            beyond = self._beyond(updates, STRIDE)
            if beyond is None or beyond > highest + 1 or not self.race([beyond], updates):
                return

    def finish(self, updates: int, kept: int = 0) -> None:
        """Race four LRs around the guess over so many updates, an octave apart; more where there is a budget for them.

        Where no scout has begun to learn, or all have come equally far, two octaves apart and from above, below what is
        dead: a plateau is left soonest there.

        Args:
            updates: Length of these races.
            kept: Updates of the budget that are left to others.
        """
        self.kept = kept
        left_start = any(self._begun(length) for length in self.heats)
        stride = 1.0 if left_start else float(STRIDE)
        if left_start:
            middle = self.guess().octave
            # One after the other, each race is placed by what those before it have shown; as one batch, four cost no more.
            around = (-0.5, 0.5, -1.5, 1.5) if self.track.together else (-0.5, 0.5)
            self.race([middle + one for one in around], updates)
        else:
            top = self._below_dead()
            self.race([top, top - STRIDE], updates)
        # Those that diverge early leave something for another.
        while 0 < len(self.heats.get(updates, ())) < 2 * FINALISTS:
            if not self._begun(updates) and (left_start or not told_apart(self.heat(updates), self.start)):
                # What was quick at first has collapsed since, or all are still equal: lower LRs have not been looked at.
                beyond: float | None = min(self._raced(updates)) - STRIDE
            else:
                beyond = self._beyond(updates, stride)
            if beyond is None:
                beyond = self._between(updates)
            raced = len(self.heats[updates])
            # With two digits, the middle between two LRs may be one of them.
            if not self.race([beyond], updates) or len(self.heats[updates]) == raced:
                return

    def _beyond(self, updates: int, stride: float) -> float | None:
        """The place beyond the edge on whose side the best LR of a heat stands; None where it stands on neither."""
        raced = self._raced(updates)
        top = best(self.heat(updates), self.start)
        if top <= raced[0]:
            return raced[0] - stride
        if top < raced[-1]:
            return None
        edge = self._cliff
        return min(raced[-1] + stride, (raced[-1] + edge) / 2) if edge > raced[-1] + NARROW else None

    def _between(self, updates: int) -> float:
        """The middle between the best LR of a heat and the better one of its neighbours."""
        raced = self._raced(updates)
        found = worth(self.heat(updates), self.start)
        place = raced.index(best(self.heat(updates), self.start))
        beside = [raced[one] for one in (place - 1, place + 1) if 0 <= one < len(raced)]
        return (raced[place] + max(beside, key=lambda octave: found[octave])) / 2

    @property
    def _cliff(self) -> float:
        return cliff(self.all_heats(), self.start)

    def _below_dead(self) -> float:
        """The highest LR, in octaves, that raced below all that diverged, and is not dead; else two octaves below those."""
        lost = {race.max_lr for race in self.races if race.diverged or dead(race, self.start)}
        edge = min((race.max_lr for race in self.races if race.diverged), default=math.inf)
        below = [race.max_lr for race in self.races if race.max_lr < edge and race.max_lr not in lost]
        return math.log2(max(below)) if below else math.log2(min(lost)) - STRIDE

    def _raced(self, updates: int) -> list[float]:
        return sorted(math.log2(race.max_lr) for race in self.heats[updates])

    def _begun(self, updates: int) -> bool:
        return begun(self.heat(updates), self.start)


def scout_length(budget: int, horizon: int) -> int:
    """Updates of the short races."""
    updates = max(SHORTEST, min(max(25, math.floor(SCOUT * budget)), budget // 12, math.floor(LONGEST * horizon)))
    return min(updates, horizon)


def finals_length(left: int, horizon: int, families: int, scouted: int) -> int:
    """Updates of the long races, four for each family; 0 where the budget leaves no room for any that tell more than scouts.

    Several families race their finals even where these are shorter than the scouts, which ran with the first one alone.
    """
    updates = min(left // (FINALISTS * families), math.floor(LONGEST * horizon))
    if families > 1 and updates == scouted:
        updates -= 1  # a heat of its own: what scouted raced with one family alone
    return updates if updates >= (SHORTEST if families > 1 else max(SHORTEST, 0.9 * scouted)) else 0


def beginning(curve: Curve, bounds: Bounds | NoAnswer, high: float) -> tuple[float, float, float]:
    """Where to begin, and the lowest and the highest LR to look at, in octaves.

    Where the curve carries an answer, at its lowest smoothed loss, which lies once to twelve times above the best LR of a
    run; where it does not, one octave below its end. A curve that was cut short does not tell where LRs become too high: it
    counts as if it had gone on.

    Args:
        curve: The range test.
        bounds: What was read off it.
        high: Where it was to end.
    """
    lowest, end = math.log2(float(curve.lrs[0])), math.log2(float(curve.lrs[-1]))
    highest = end if curve.ended in ("swept", "diverged", "not finite") else max(end, math.log2(high))
    if not bounds:
        return highest - 1, lowest, highest
    return math.log2(float(curve.lrs[int(np.nanargmin(curve.smoothed()))])), lowest, highest
