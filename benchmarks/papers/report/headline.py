"""The headline: updates to the accuracy of "fixed" after 70,000 updates."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.papers.report.results import Measured, Results, between
from learnrate.study import Difference, Outcome, Speedup, TimeToTarget, speedup, time_to_target
from learnrate.study.statistics.survival import median_time

PAPER = 2.8
"""How many times fewer updates triangular2 needs in the paper: 25,000 instead of 70,000."""

GOAL = 10.0
"""The goal for learnrate's own plan."""

TABLE, PLANS = "clr-table-1", "headline"


@dataclass(frozen=True)
class Contender:
    """A schedule, and when it reached the accuracy of fixed.

    Attributes:
        arm: Its trainings.
        times: When each of them reached it.
        reference: The trainings of fixed.
        own: Whether it is learnrate's own plan.
    """

    arm: Outcome
    times: tuple[TimeToTarget, ...]
    reference: Outcome
    own: bool

    @property
    def tuning(self) -> int:
        """Updates that the choice of its LR cost."""
        return 0 if self.arm.chosen is None else self.arm.chosen.updates

    @property
    def reached(self) -> int:
        """Number of trainings that reached it."""
        return sum(time.reached for time in self.times)

    @property
    def median(self) -> float:
        """Median of the updates to it; infinite if fewer than half of the trainings reached it."""
        return median_time(self.times).median

    def fewer(self, with_tuning: bool = False) -> Speedup:
        """How many times fewer updates than the whole length of fixed, at whose end its accuracy is measured.

        Args:
            with_tuning: Whether the choice of the LR is counted.
        """
        more = self.tuning if with_tuning else 0
        ours = [TimeToTarget(time.reached, time.updates + more, None, time.not_at) for time in self.times]
        whole = [TimeToTarget(True, self.reference.updates)] * len(ours)
        return speedup(ours, whole, names=(self.arm.name, "the whole length of fixed"))

    @property
    def better_by(self) -> Difference | None:
        """Accuracy at the end minus that of fixed."""
        return between(self.arm, self.reference)


@dataclass(frozen=True)
class Headline:
    """The headline at one scale.

    Attributes:
        scale: Factor on every length.
        title: Where it was run.
        target: Mean accuracy of fixed at its end.
        reference: The trainings of fixed.
        contenders: Schedules from the paper, and learnrate's own plans if they were run.
    """

    scale: float
    title: str
    target: float
    reference: Outcome
    contenders: tuple[Contender, ...]

    @property
    def best_own(self) -> Contender | None:
        """Learnrate's plan with the lowest median of updates; None if none reached it with at least half of the seeds."""
        own = [contender for contender in self.contenders if contender.own and contender.median < float("inf")]
        return min(own, key=lambda contender: contender.median, default=None)


def headlines(results: Results) -> list[Headline]:
    """The headline at each scale at which there is a training of fixed, the largest first."""
    shown = []
    for measured in results.of(TABLE):
        reference = measured.arm("fixed")
        if reference is None:
            continue
        plans = [plan for plan in results.of(PLANS) if plan.scale == measured.scale]
        rows = [(arm, False) for arm in measured.comparison if arm.name != "fixed"]
        rows += [(arm, True) for plan in plans for arm in plan.comparison]
        target = reference.mean
        contenders = tuple(_contenders(measured, rows, reference, target))
        shown.append(Headline(measured.scale, measured.title, target, reference, contenders))
    return shown


def foremost(shown: Iterable[Headline]) -> Headline | None:
    """The one to draw: the largest scale with plans of learnrate's own, or else the largest with any other schedule."""
    several = [headline for headline in shown if headline.contenders]
    return next(
        (headline for headline in several if any(contender.own for contender in headline.contenders)),
        next(iter(several), None),
    )


def _contenders(
    measured: Measured, rows: Iterable[tuple[Outcome, bool]], reference: Outcome, target: float
) -> Iterable[Contender]:
    for arm, own in rows:
        if arm.trainings:
            times = tuple(
                time_to_target(training.checkpoints, training.scores, target, diverged=training.updates < arm.updates)
                for training in arm.trainings
            )
            yield Contender(arm, times, reference, own)
