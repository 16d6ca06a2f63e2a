"""tune(): range test, races, plan."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.finder import Bounds, Curve, NoAnswer, range_test
from learnrate.finder.levels import difference_noise
from learnrate.finder.smoothing import Floats
from learnrate.trainable import Trainable as Trainee
from learnrate.tuner import budget as budgets
from learnrate.tuner import families
from learnrate.tuner.budget import Purse
from learnrate.tuner.evidence import Start
from learnrate.tuner.families import Families, Family
from learnrate.tuner.no_answer import (
    LEVEL,
    require_finite,
    require_learned,
    require_level,
    require_raced,
    require_sound,
)
from learnrate.tuner.plan import Plan
from learnrate.tuner.reasons import planned
from learnrate.tuner.search import FINALISTS, LONGEST, SHORTEST, Search, beginning, finals_length, scout_length
from learnrate.tuner.trials import Race, Track, finite_score

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, updates made, updates planned)."""

OnCurve = Callable[[Curve, Bounds | NoAnswer], object]
"""Called with a range test and what was read off it."""

LOW, HIGH = 1e-6, 100.0
"""LRs of the range test: it only has to find where to race, and plain SGD on sparse inputs wants LRs above 10."""

MEMBERS = ("update", "evaluate", "updates_per_epoch", "save", "restore")

LEAST = 5
"""Losses that are taken to show the level at the start, however short the range test."""

MOST_DRIFT = 1
"""Octaves for each doubling: the LR that best suits a run, times its length, or divided by it, stays the same."""

SMALLEST_BUDGET = 40
"""Updates: twenty for a range test, and as many for races."""


def sweep_updates(budget: int) -> int:
    """Updates of the range test: 100 where a tenth of the budget pays for them, fewer where it is small.

    Raises:
        ArgumentError: if the budget does not cover a range test and races.
    """
    if budget < SMALLEST_BUDGET:
        raise ArgumentError(
            f"budget must cover at least {SMALLEST_BUDGET} updates (a range test and races), received {budget} updates: "
            "give a longer training (updates) or a larger share of it (budget)"
        )
    return 100 if budget >= 1000 else 60 if budget >= 600 else max(20, min(40, budget // 5))


def tune(
    trainee: Trainee,
    *,
    updates: int,
    family: Families | None = None,
    budget: float | str | None = None,
    low: float = LOW,
    high: float = HIGH,
    curve: Curve | None = None,
    progress: Progress | None = None,
    on_curve: OnCurve | None = None,
) -> Plan:
    """Choose a schedule for a training of so many updates: a range test, races at a few candidates, a plan.

    The range test says where to look. Short races, two octaves apart, find the region; four longer ones, about an octave
    apart, the place; from there to the whole run the best LR is taken to move by `drift`. All races start from the same
    state over the same data, and squeeze the schedule of the whole run into their length. How well this chooses, and what it
    costs, is measured on real tasks in docs/choice.md.

    Args:
        trainee: What is trained; see `learnrate.tuner.Trainee`. It is left as it was found.
        updates: Length of the whole training.
        family: The kind of schedule: "warmup_cosine" (the default: 10 % linear warm-up, cosine to 0), "one_cycle", "wsd",
            "triangular2" (between bounds, in whole cycles of 2 to 10 epochs a half), or a function from a max_lr to a
            schedule. Several names, or functions by name, are compared, each at its own best LR.
        budget: What tuning may cost: a share of one training, or a text such as "500 updates", "25%" or "90 seconds". By
            default all of a training of up to 1,200 updates, a quarter of 5,000, a tenth of 20,000. Never exceeded.
        low: First LR of the range test.
        high: Last LR of the range test.
        curve: A range test that was run already on the same start; its updates count as spent.
        drift: Octaves by which the best LR is taken to move with each doubling of a training: it mostly falls a little.
        unbounded: Whether a step grows with its gradient without limit, as that of SGD does where gradients are not clipped.
            Then no LR is safe above one at which a batch flung the loss far up, even if the race went on well.
        abreast: From a number to so many racers that train as one batch, from the trainee's present state; it raises
            `learnrate.tuner.ApartError` where that cannot be done.
        progress: Called after every update.
        on_curve: Called with the range test and its bounds as soon as it has ended, also by an interrupt; not with a `curve`
            that was given.

    Returns:
        The plan.

    Raises:
        ArgumentError: if a number breaks its rule, a name is unknown, or the budget is too small for a range test and races.
        ArgumentTypeError: if an argument is of the wrong kind.
        NoAnswerError: if every candidate diverges, none learns within the budget, a batch gives no finite loss whatever the
            LR, or the budget has no races for one of several families.
    """
    if curve is not None and not isinstance(curve, Curve):
        raise ArgumentTypeError(f"curve must be a Curve, received {curve!r} of type {type(curve).__name__}")
    require_members(trainee)
    drift, unbounded, abreast = trainee.traits.lr_drift, trainee.traits.unbounded_steps, trainee.ensemble
    require_callable("progress", progress, "(what, updates made, updates planned)")
    require_callable("on_curve", on_curve, "of the range test and its bounds")
    require_callable("abreast", abreast, "from a number to so many racers")
    updates = checks.whole("updates", updates, at_least=2, at_most=checks.LONGEST)
    if abs(checks.finite("drift", drift)) > MOST_DRIFT:
        checks.refuse("drift", f"between -{MOST_DRIFT} and {MOST_DRIFT} octaves a doubling", drift)
    # What would break off the races is refused before the range test.
    _updates_per_epoch(trainee)
    asked = families.read(family, families.Run(updates))
    allowed = budgets.read(budget, updates)
    sweep = sweep_updates(allowed.updates) if curve is None else require_races(allowed.updates, curve)
    given = 0 if curve is None else len(curve)
    require_room(len(asked), allowed.updates, given, updates)

    def told(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, planned: progress(what, done, planned)

    purse = Purse(allowed, given, given)
    state = trainee.save()
    try:
        measured = trainee.evaluate()
        score = finite_score(measured)
        if curve is None:
            limit = allowed.seconds / 4 if math.isfinite(allowed.seconds) else None
            curve = range_test(
                trainee, restore=False, low=low, high=high, updates=sweep, time_limit=limit, progress=told("range test")
            )
            curve = replace(curve, updates_per_epoch=_updates_per_epoch(trainee))
            purse.pay(len(curve))
            bounds = curve.bounds()
            if on_curve is not None:
                with purse.idling():
                    on_curve(curve, bounds)
            if curve.ended == "interrupted":
                raise KeyboardInterrupt
        else:
            bounds = curve.bounds()
        start = start_of(curve, score, unbounded)
        epoch = _updates_per_epoch(trainee) or curve.updates_per_epoch  # now it may be known
        run = families.Run(updates, epoch, bounds.base_lr if bounds else None)
        track = Track(trainee, state, purse, start.loss, start.noise, updates, told("races"), abreast)
        track.unscored += measured is not None and score is None
        searches = run_races(families.read(family, run), track, start, drift, *beginning(curve, bounds, high))
    finally:
        trainee.restore(state)
        trainee.release(state)
    return planned(searches, curve, bounds, run, purse.spent)


def _updates_per_epoch(trainee: Trainee) -> int | None:
    told = trainee.updates_per_epoch()
    return None if told is None else checks.length("updates_per_epoch() of trainee", told)


def at_start(curve: Curve) -> Floats:
    """The losses of the first, tiny LRs."""
    return curve.losses[: max(LEAST, len(curve) // 4)]


def start_of(curve: Curve, score: float | None, unbounded: bool = False) -> Start:
    """The model before any training, as the first, tiny LRs of a range test show it.

    Raises:
        NoAnswerError: if too few of their losses are finite.
    """
    first = at_start(curve)
    require_level(curve, first)
    # A few losses tell a level, but no noise; more of them do, for a trend does not pass for noise.
    shown = curve.losses[: max(2 * LEAST, len(first))]
    shown = shown[np.isfinite(shown)]
    noise = difference_noise(shown)
    first = first[np.isfinite(first)]
    # The standard error of a median is that of the mean, times the root of pi / 2.
    error = math.sqrt(math.pi / 2 / len(first)) * noise
    return Start(float(np.median(first)), noise, score, error, unbounded)


def run_races(
    kinds: Mapping[str, Family],
    track: Track,
    start: Start,
    drift: float,
    first: float,
    lowest: float,
    highest: float,
) -> dict[str, Search]:
    """The races of each family: the first scouts for all, and each has long races of its own, of the same length.

    Raises:
        NoAnswerError: if every candidate diverges, none learns, or the budget leaves a family without a race.
    """
    searches: dict[str, Search] = {}
    scouted: dict[int, list[Race]] = {}
    updates = 0
    for place, (name, family) in enumerate(kinds.items()):
        search = Search(track, family, start, name, drift, {length: list(races) for length, races in scouted.items()})
        if not scouted:
            search.scout(first, lowest, highest)
            require_sound(search, lowest)
            scouted = {length: list(races) for length, races in search.heats.items()}
            updates = finals_length(track.purse.left, track.horizon, len(kinds), max(scouted))
        if updates:
            others = len(kinds) - place - 1
            search.finish(updates, others * track.purse.left // (others + 1))
            require_finite(search)
        if len(kinds) > 1:
            require_raced(search, updates)
        require_learned(search, highest)
        searches[name] = search
    return searches


def require_members(trainee: Trainee) -> None:
    """Refuse what is no trainee."""
    if isinstance(trainee, type):
        raise ArgumentTypeError(f"trainee must be an object, received the class {trainee.__name__}: call it to make one")
    missing = [name for name in MEMBERS if not callable(getattr(trainee, name, None))]
    if missing:
        raise ArgumentTypeError(
            f"trainee must have the methods of learnrate.tuner.Trainee, received {trainee!r} without {', '.join(missing)}"
        )


def require_callable(name: str, value: object, what: str) -> None:
    """Refuse what is neither None nor a function."""
    if value is not None and not callable(value):
        raise ArgumentTypeError(f"{name} must be a function {what}, received {value!r}")


def require_races(budget: int, curve: Curve) -> int:
    """Refuse a budget that a given curve leaves nothing of, and a curve that does not show a loss; 0 updates to sweep."""
    if budget - len(curve) < SMALLEST_BUDGET // 2:
        raise ArgumentError(
            f"budget must cover the {len(curve)} updates of curve and at least {SMALLEST_BUDGET // 2} for races, received "
            f"{budget} updates: give a larger share of the training (budget), or a shorter curve"
        )
    if np.isfinite(at_start(curve)).sum() < LEVEL:
        raise ArgumentError(f"curve must have {LEVEL} finite losses among its first updates, received fewer: sweep anew")
    return 0


def require_room(families: int, budget: int, given: int, horizon: int) -> None:
    """Refuse, before anything is trained, more families than the budget has races for, or the training is long enough for.

    Args:
        families: How many.
        budget: Updates.
        given: Those of them that a given curve has spent.
        horizon: Length of the training.
    """
    if families == 1:
        return
    shortest = SHORTEST + 1  # one more than the scouts, which must be told from them
    if math.floor(LONGEST * horizon) < shortest:
        checks.refuse("updates", f"at least {math.ceil(shortest / LONGEST)} where several families are compared", horizon)

    def needed(budget: int) -> int:
        scouts = 3 * max(SHORTEST, scout_length(budget, horizon))
        return (given or sweep_updates(budget)) + scouts + families * FINALISTS * shortest

    if needed(budget) > budget:
        least = next(more for more in range(budget, 100 * families + budget + given) if needed(more) <= more)
        raise ArgumentError(
            f"budget must cover at least {least} updates to compare {families} families, it covers {budget}: give a larger "
            "share of the training (budget), a longer training (updates), or fewer families"
        )
