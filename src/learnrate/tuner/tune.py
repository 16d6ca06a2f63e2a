"""tune(): range test, races, plan."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError, NoAnswerError
from learnrate.finder import Bounds, Curve, NoAnswer, range_test
from learnrate.finder.bounds import two_digits
from learnrate.schedules import Schedule, triangular2
from learnrate.schedules.base import known_length
from learnrate.tuner import races
from learnrate.tuner.cycling import Cycling, cut
from learnrate.tuner.plan import Plan
from learnrate.tuner.races import Family, Race
from learnrate.tuner.trainee import Trainee

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, updates made, updates planned)."""

SWEEP = 100
"""Updates of a range test, where the budget allows: twelve a decade over the usual eight decades."""

SMALLEST_BUDGET = 40
"""Updates: twenty for a sweep, and as many for the races."""

FINALISTS = 2


@dataclass(frozen=True)
class Allowance:
    """How a budget of updates is spent.

    Attributes:
        sweep: Updates of the range test.
        candidates: Number of candidates in the first round.
        heat: Updates of each race of the first round.
        final: Updates of each race of the second round, between the best two.
    """

    sweep: int
    candidates: int
    heat: int
    final: int


def allow(budget: int, sweep: int | None = None) -> Allowance:
    """Share out a budget of updates: at most a quarter for the sweep, the rest half and half for the two rounds.

    Args:
        budget: All updates that may be made.
        sweep: Updates that a range test has made already.

    Raises:
        ArgumentError: if the budget does not cover a sweep and races.

    Example:
        >>> allow(480)
        Allowance(sweep=100, candidates=5, heat=38, final=95)
    """
    if sweep is None:
        sweep = min(SWEEP, max(SMALLEST_BUDGET // 2, budget // 4))
    left = budget - sweep
    if left < SMALLEST_BUDGET // 2:
        raise ArgumentError(
            f"budget must cover at least {SMALLEST_BUDGET} updates (a range test and races), received {budget} updates: "
            "give a longer training (updates) or a larger share of it (budget)"
        )
    candidates = 5 if left >= 60 else 3
    return Allowance(sweep, candidates, heat=left // 2 // candidates, final=left // 2 // FINALISTS)


def tune(
    trainee: Trainee,
    *,
    updates: int,
    family: Family | None = None,
    budget: float = 1.0,
    low: float = 1e-7,
    high: float = 10.0,
    curve: Curve | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Choose a schedule for a training of so many updates: a range test, races at a few candidates, a plan.

    Candidates are max_lr of the range test, its half, its quarter, and so on. All race from the same state over the same
    data; the best two race again, longer. Among equals the lower LR wins, for there is a cliff on the high side and a slope
    on the low side.

    Args:
        trainee: What is trained; see `learnrate.tuner.Trainee`. It is left as it was found.
        updates: Length of the whole training.
        family: From a max_lr to the schedule of the whole training; by default triangular2 between the bounds, cut into
            whole cycles by the rule of the CLR paper.
        budget: What tuning may cost, as a share of one training. Never exceeded.
        low: First LR of the range test.
        high: Last LR of the range test.
        curve: A range test that was run already on the same start; its updates count as spent.
        progress: Called after every update.

    Returns:
        The plan.

    Raises:
        ArgumentError: if a number breaks its rule, or the budget is too small for a range test and races.
        NoAnswerError: if the range test carries no answer, or every candidate diverges.
    """
    if curve is not None and not isinstance(curve, Curve):
        raise ArgumentTypeError(f"curve must be a Curve, received {curve!r} of type {type(curve).__name__}")
    if family is not None and not callable(family):
        raise ArgumentTypeError(f"family must be a function from max_lr to a schedule, received {family!r}")

    updates = checks.whole("updates", updates, at_least=2)
    allowance = allow(math.floor(checks.positive("budget", budget) * updates), None if curve is None else len(curve))

    def told(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, planned: progress(what, done, planned)

    start = trainee.save()
    try:
        if curve is None:
            curve = range_test(trainee.update, low=low, high=high, updates=allowance.sweep, progress=told("range test"))
        if curve.ended == "interrupted":
            raise KeyboardInterrupt
        bounds = curve.bounds()
        if isinstance(bounds, NoAnswer):
            raise NoAnswerError(bounds.reason, bounds.remedy)
        cycling = cut(updates, trainee.updates_per_epoch() or curve.updates_per_epoch)
        chosen = family or cyclical(bounds, cycling)

        def made(max_lr: float) -> Schedule:
            return _checked(chosen(max_lr), updates)

        horizon = known_length(made(bounds.max_lr)) or updates

        def race(candidates: tuple[float, ...], length: int, round_name: str) -> tuple[Race, ...]:
            return races.run(trainee, start, candidates, made, updates=length, horizon=horizon, progress=told(round_name))

        heats = race(candidates_below(bounds.max_lr, allowance.candidates), allowance.heat, "races")
        finals = race(_best(heats, FINALISTS), allowance.final, "final races")
        winner = _best(finals, 1)[0]
    finally:
        trainee.restore(start)
    spent = len(curve) + sum(entry.made for entry in heats + finals)
    reasons = [*vars(bounds.reasons).values(), _why_winner(winner, heats, finals)]
    schedule = made(winner)
    if family is None:
        reasons.append(cycling.reason)
    reasons.append(f"Tuning made {spent} updates, {spent / updates:.0%} of one training of {updates}.")
    return Plan(
        schedule=schedule,
        max_lr=winner,
        bounds=bounds,
        step_size=cycling.step_size if family is None else None,
        cycles=cycling.cycles if family is None else None,
        updates=updates,
        spent=spent,
        reasons=tuple(reasons),
        races=heats + finals,
        curve=curve,
    )


def cyclical(bounds: Bounds, cycling: Cycling) -> Family:
    """The default family: triangular2 from the lower bound, or from a quarter of the peak where that is lower.

    A quarter: "set base_lr to 1/3 or 1/4 of max_lr" is the rule of thumb of Smith (arXiv 1506.01186, section 3.3).
    """

    def made(max_lr: float) -> Schedule:
        return triangular2(min(bounds.base_lr, two_digits(max_lr / 4)), max_lr, cycling.step_size, cycling.cycles)

    return made


def candidates_below(max_lr: float, number: int) -> tuple[float, ...]:
    """`number` LRs a factor of two apart, from `max_lr` downwards, to two digits.

    None above it: a short race is limited by progress where the whole run is limited by noise and stability, so that races
    favour high LRs, and what the curve warned of would win.
    """
    return tuple(two_digits(max_lr / 2.0**k) for k in range(number))


def _checked(schedule: object, updates: int) -> Schedule:
    if not isinstance(schedule, Schedule):
        raise ArgumentTypeError(f"family must return a schedule, received {schedule!r} of type {type(schedule).__name__}")
    schedule = schedule.resolve(updates)
    length = known_length(schedule)
    if length is not None and length > updates:
        raise ArgumentError(
            f"family must return a schedule of at most {updates} updates, received one of {length}: "
            "make it of the length that updates says"
        )
    return schedule


def _best(entries: tuple[Race, ...], number: int) -> tuple[float, ...]:
    """The max_lrs of the best races that did not diverge, best first; among equals the lower LR."""
    sound = [entry for entry in entries if math.isfinite(entry.loss)]
    if not sound:
        tried = ", ".join(f"{entry.max_lr:.2g}" for entry in entries)
        raise NoAnswerError(f"every candidate max_lr diverged ({tried}).", "Give a lower `high` for the range test.")
    sound.sort(key=lambda entry: (*entry.rank, -entry.max_lr), reverse=True)
    return tuple(entry.max_lr for entry in sound[:number])


def _why_winner(winner: float, heats: tuple[Race, ...], finals: tuple[Race, ...]) -> str:
    edge = " It is the highest that raced." if winner == heats[0].max_lr else ""
    field = ", ".join(f"{entry.max_lr:.2g}" for entry in heats)
    ends = "; ".join(f"{entry.max_lr:.2g} {_ended(entry)}" for entry in finals)
    return (
        f"max_lr of the plan is {winner:.2g}: of {field} raced over {heats[0].updates} updates, the best raced again over "
        f"{finals[0].updates} ({ends}).{edge}"
    )


def _ended(race: Race) -> str:
    if not math.isfinite(race.loss):
        return "diverged"
    return f"ended at loss {race.loss:.3g}" + ("" if race.score is None else f", score {race.score:.4g}")
