"""From the races to the plan, with its reasons in sentences."""

import math
from collections.abc import Mapping

from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.finder.bounds import two_digits
from learnrate.tuner.estimate import Guess, best, missed, worth
from learnrate.tuner.evidence import Heat, Start, cliff
from learnrate.tuner.families import NAMED, Run
from learnrate.tuner.plan import Plan
from learnrate.tuner.search import FINALISTS, LONGEST, Search
from learnrate.tuner.trials import Race


def planned(searches: Mapping[str, Search], curve: Curve, bounds: Bounds | NoAnswer, run: Run, spent: int) -> Plan:
    """The plan of the family that did best at its own best LR."""
    name = winner(searches)
    search = searches[name]
    guess = search.guess()
    max_lr = lr_of(guess.octave)
    schedule = search.family(max_lr)
    # A function of the user's own may bear that name as well.
    cycling = run.cycling if name == "triangular2" and schedule == NAMED[name](max_lr, run) else None
    reasons = [
        *why_bounds(bounds),
        *(_why_heat(heat) for heat in search.all_heats()),
        *_why_cliff(search),
        *_why_guess(guess, search, run),
        *([_why_family(name, searches)] if len(searches) > 1 else []),
        *_why_apart(search),
        *_why_unscored(search),
        *([cycling.reason] if cycling else []),
        *_why_cost(search, run, spent, len(searches)),
    ]
    return Plan(
        schedule=schedule,
        max_lr=max_lr,
        interval=(lr_of(guess.low), lr_of(guess.high)),
        family=name,
        bounds=bounds,
        step_size=cycling.step_size if cycling else None,
        cycles=cycling.cycles if cycling else None,
        updates=run.updates,
        spent=spent,
        reasons=tuple(reasons),
        races=tuple(dict.fromkeys(race for one in searches.values() for race in one.races)),
        curve=curve,
    )


def why_bounds(bounds: Bounds | NoAnswer) -> list[str]:
    """What the range test tells, sentence by sentence."""
    if isinstance(bounds, NoAnswer):
        return [f"The range test alone gives no answer: {bounds.reason}"]
    return list(vars(bounds.reasons).values())


def lr_of(octave: float) -> float:
    """An LR with the digits that are known of it."""
    return two_digits(2.0**octave)


def winner(searches: Mapping[str, Search]) -> str:
    """The family whose best long race is the best, all of the same length; the first of equals."""
    if len(searches) == 1:
        return next(iter(searches))
    best = {name: final(search) for name, search in searches.items()}
    shared = worth_of(list(best.values()), next(iter(searches.values())).start)
    return max(best, key=lambda name: shared[best[name]])


def final(search: Search) -> Race:
    """The best of a family's own long races: those over the last length that it raced."""
    heat = search.heat(list(search.heats)[-1])
    found = worth(heat, search.start)
    return max(heat.races, key=lambda race: (found[math.log2(race.max_lr)], -race.max_lr))


def worth_of(races: list[Race], start: Start) -> dict[Race, float]:
    """How good races of different families are beside each other."""
    # `missed` tells races of one heat apart by their LR, which those of two families may share.
    apart = [Race(2.0**place, race.updates, race.made, race.loss, race.score) for place, race in enumerate(races)]
    found = missed(Heat(max(race.updates for race in races), tuple(apart)), start)
    return {race: found[float(place)] for place, race in enumerate(races)}


def _why_heat(heat: Heat) -> str:
    field = "; ".join(f"{race.max_lr:.2g} {_ended(race)}" for race in sorted(heat.races, key=lambda race: race.max_lr))
    return f"Raced over {heat.updates} updates: {field}."


def _ended(race: Race) -> str:
    if race.diverged:
        return "diverged"
    return f"ended at loss {race.loss:.3g}" + ("" if race.score is None else f", score {race.score:.4g}")


def _why_cliff(search: Search) -> list[str]:
    edge = cliff(search.all_heats(), search.start)
    if all(race.diverged or math.log2(race.max_lr) < edge for race in search.races):
        return []
    gone = "there a race diverged, or was thrown up and learned nothing, or one at a lower LR was flung far up"
    return [f"From {lr_of(edge):.2g} on no LR is taken to be safe: {gone}."]


def _why_guess(guess: Guess, search: Search, run: Run) -> list[str]:
    longest = max(search.heats)
    max_lr, low, high = lr_of(guess.octave), lr_of(guess.low), lr_of(guess.high)
    reasons = [
        f"max_lr of the plan is {max_lr:.2g}; between {low:.2g} and {high:.2g} a run is expected to learn nearly as much, "
        f"within {guess.doubt:.0%} of what the best race learned."
    ]
    if lr_of(best(search.heat(longest), search.start)) >= max(race.max_lr for race in search.races):
        reasons.append("The highest LR that raced did best: a higher one may be better.")
    safe = "Above the best LR may lie a cliff, so it is the one that costs least on average over where the best one may lie."
    if longest >= run.updates:
        return [*reasons, safe]
    moved = 2.0 ** (search.drift * math.log2(run.updates / longest)) - 1
    other = f"an LR {abs(moved):.0%} {'lower' if moved < 0 else 'higher'} than" if moved else "the same LR as"
    return [*reasons, f"A run of {run.updates} updates is taken to want {other} races of {longest}.", safe]


def _why_family(name: str, searches: Mapping[str, Search]) -> str:
    ends = "; ".join(f"{other} at {final(search).max_lr:.2g} {_ended(final(search))}" for other, search in searches.items())
    return f"Of the kinds of schedule, {name} did best, each at its own best LR: {ends}."


def _why_apart(search: Search) -> list[str]:
    track = search.track
    reasons = [f"The time was over in mid-race: what {track.cut} of the races had shown tells nothing."] if track.cut else []
    if track.apart:
        return [*reasons, f"The races ran one after the other: {track.apart}."]
    return [*reasons, "The races ran as one batch where several were due."] if track.groups else reasons


def _why_unscored(search: Search) -> list[str]:
    missing = search.track.unscored
    return [f"Evaluations that gave no finite number, {missing} of them, counted for nothing."] if missing else []


def _why_cost(search: Search, run: Run, spent: int, families: int) -> list[str]:
    longest = max(search.heats)
    more = min(2 * longest, math.floor(LONGEST * run.updates))
    cost = f"Tuning made {spent} updates, {spent / run.updates:.0%} of one training of {run.updates}."
    if more <= longest:
        return [cost]
    dearer = families * FINALISTS * (more - longest)
    return [cost, f"About {dearer} more would make the longest races {more} updates long instead of {longest}."]
