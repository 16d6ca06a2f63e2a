"""A comparison in words: its answer, its differences, its ranking, times and cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from learnrate import checks
from learnrate.amounts import duration, plural
from learnrate.errors import ArgumentError
from learnrate.study.report.ranking import Row, ranked
from learnrate.study.statistics.survival import MedianTime, median_time

if TYPE_CHECKING:
    from learnrate.study.comparison import Comparison
    from learnrate.study.outcome import Cost
    from learnrate.study.statistics.times import Unit


def answer(comparison: Comparison) -> str:
    """Which arm is the best, and how sure that is, in one sentence."""
    rows = ranked(comparison)
    if not rows:
        failed = any(arm.failures for arm in comparison) and not comparison.in_progress
        return "No training has ended without an error" if failed else "No training has ended yet"
    leader, others = rows[0].arm, rows[1:]
    if not others:
        return f"{leader.name}: {score(leader.mean)} on average over {plural(len(leader.trainings), 'seed')}"
    if not math.isfinite(leader.mean):
        return "Each arm has a training whose score is not finite, so there are no means to compare"
    if comparison.best() == leader.name:
        if len(others) == 1:
            return f"{leader.name} is better than {others[0].arm.name}{_by(others[0])}"
        by = _by(others[0])
        next_one = f"; than {others[0].arm.name}, the next one{by}" if by else ""
        return f"{leader.name} is better than each of the {len(others)} others{next_one}"
    if equal := [row.arm.name for row in others if row.mean == 0]:
        names = _listed([leader.name, *equal], "and")
        return f"{names} have the best mean, which is the same: it is not sure which is better"
    unsure = [row.arm.name for row in others if row.difference is None or row.difference.better != leader.name]
    names = _listed(unsure, "or")
    if len(unsure) > 3:
        names = f"{'any' if len(unsure) == len(others) else len(unsure)} of the {len(others)} others"
    return f"{leader.name} has the best mean, but it is not sure that it is better than {names}"


def _listed(names: list[str], word: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def _by(row: Row) -> str:
    """By how much the best arm is better than the second."""
    if not math.isfinite(row.mean):
        return ""
    low, high = sorted(map(abs, row.interval))
    return f", by {score(abs(row.mean))} on average" + (
        f" (95 % interval {score(low)} to {score(high)})" if math.isfinite(high) else ""
    )


def sentences(comparison: Comparison) -> list[str]:
    """The difference of every pair of arms that have trainings, those of the best arm first."""
    rows = ranked(comparison)
    trained = {row.arm.name for row in rows}
    own = [row.difference for row in rows if row.difference is not None]
    rest = [pair for pair in comparison.differences() if pair not in own and {pair.first, pair.second} <= trained]
    return [str(pair) for pair in (*own, *rest)]


def score(value: float) -> str:
    """A score with four digits behind the point, or four significant ones if it is very small or large."""
    if not math.isfinite(value):
        return "diverged"
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"


def spread(comparison: Comparison, name: str) -> str:
    """The sample standard deviation of the scores of an arm."""
    arm = comparison[name]
    if len(arm.trainings) < 2:
        return "(1 seed)"
    return f"± {score(arm.std)}" if math.isfinite(arm.std) else ""


def difference(row: Row) -> str:
    """The difference of an arm to the best one."""
    if row.difference is None:
        return ""
    return signed(row.mean) if math.isfinite(row.mean) else ""


def interval(row: Row) -> str:
    """Its interval."""
    low, high = row.interval
    if row.difference is None:
        return ""
    return f"{signed(low)} to {signed(high)}" if math.isfinite(low) and math.isfinite(high) else "none"


def signed(value: float) -> str:
    """A difference, with its sign."""
    value += 0.0  # no negative zero
    return f"{value:+.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:+.3g}"


def probability(row: Row) -> str:
    """The probability that the best arm is better than this one; neither rounded to 0 nor to 1."""
    if row.difference is None or math.isnan(row.probability):
        return ""
    if row.probability > 0.999:
        return "> 0.999"
    return "< 0.001" if row.probability < 0.001 else f"{row.probability:.3f}"


def medians(comparison: Comparison, target: float, unit: Unit = "updates") -> dict[str, MedianTime]:
    """The median time of each arm to a target.

    Raises:
        ArgumentError: if there were no evaluations, or the target is reached before the first update.
    """
    return {name: median_time(times, unit) for name, times in comparison.times(target).items() if times}


def median(time: MedianTime) -> str:
    """A median time, and how many trainings have reached the target."""
    reached = f"{time.reached} of {time.runs}"
    if math.isinf(time.median):
        return f"not reached ({reached})" if not time.reached else f"no median ({reached})"
    return f"{time.median:,.6g} ({reached})"


def speedups(comparison: Comparison, target: float) -> Iterator[str]:
    """How many times fewer updates the fastest arm needs to reach a target than each other one."""
    times = medians(comparison, target)
    if len(times) < 2:
        return
    quickest = min(times, key=lambda name: (times[name].median, -times[name].reached / times[name].runs))
    if not times[quickest].reached:
        return
    for name in times:
        if name != quickest:
            try:
                yield str(comparison.speedup(quickest, name, target))
            except ArgumentError:  # no seed that both have been trained with
                continue


def cost(spent: Cost) -> tuple[str, str]:
    """Updates and seconds."""
    seconds = f"{spent.seconds:,.0f}" if spent.seconds >= 1000 else f"{spent.seconds:.3g}"
    return f"{spent.updates:,}", seconds


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """How much was trained, and what it cost."""
    trainings = sum(len(arm.trainings) for arm in comparison.arms)
    failed = sum(len(arm.failures) for arm in comparison.arms)
    spent, tuning = comparison.cost, sum(arm.chosen.updates for arm in comparison.arms if arm.chosen)
    rows = [
        ("arms", str(len(comparison.arms))),
        ("trainings", f"{trainings:,}" + (f", and {failed} failed" if failed else "")),
        ("seeds that all arms have", _seeds(comparison.seeds)),
        ("metric", f"{comparison.score_title}, {'higher' if comparison.higher_is_better else 'lower'} is better"),
        ("cost", f"{plural(spent.updates, 'update')}, {duration(spent.seconds)} of training"),
    ]
    if tuning:
        rows.append(("of which to choose LRs", plural(tuning, "update")))
    if comparison.anytime:
        rows.append(("seeds were added while it was not sure", "the intervals are right after every seed"))
    return rows


def _seeds(seeds: tuple[int, ...]) -> str:
    if not seeds:
        return "none yet"
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return checks.short(", ".join(map(str, seeds)), 200)


def notes(comparison: Comparison) -> list[str]:
    """What a reader has to know, with what is not complete."""
    lines = list(comparison.notes)
    counts = {len(arm.trainings) + sum(seed >= 0 for seed in arm.failures) for arm in comparison.arms}
    if comparison.in_progress:
        names = checks.short("; ".join(map(str, comparison.in_progress)), 200)
        lines.insert(0, f"{plural(len(comparison.in_progress), 'run')} in progress: {names}")
    if len(counts) > 1:
        lines.insert(
            0, "the arms do not have the same number of trainings yet: differences are over the seeds that both have"
        )
    if len(comparison.environments) > 1:
        lines.append(f"the trainings were made with {len(comparison.environments)} sets of versions and hardware")
    return lines
