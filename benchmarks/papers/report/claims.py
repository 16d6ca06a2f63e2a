"""What the papers claim, and whether it holds here: direction and size, each with an interval over the seeds."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.policies import TABLE_3, TABLE_4
from benchmarks.papers.report.results import Measured, Results
from learnrate.study import Difference

MARGIN = 1.0
"""Points of accuracy within which two arms count as equal: the paper's own two runs of the same arm, AlexNet with "exp",
differ by half of it, and its tables have one run a row."""

HOLDS, FAILS, OPEN = "holds", "does not hold", "open"


@dataclass(frozen=True)
class Claim:
    """That one arm is better than another, or as good.

    Attributes:
        text: What the paper says.
        experiment: Where that is shown.
        first: Arm that is claimed to be better, or as good.
        second: The other arm.
        equal: Whether it is claimed to be as good, in fewer updates.
        either_way: Whether neither arm may be better by more than the margin.
    """

    text: str
    experiment: str
    first: str
    second: str
    equal: bool = False
    either_way: bool = False

    @property
    def paper(self) -> float | None:
        """The paper's difference in points; None if it gives none."""
        entries = EXPERIMENTS[self.experiment].by_name(1.0)
        first, second = (entries[name].row.paper_accuracy for name in (self.first, self.second))
        return None if first is None or second is None else round(first - second, 2)

    def verdict(self, measured: Measured) -> "Verdict | None":
        """What an experiment says about it; None if one of the two arms is missing."""
        compared = measured.difference(self.first, self.second)
        return None if compared is None else Verdict(self, compared)


@dataclass(frozen=True)
class Verdict:
    """What was measured of a claim.

    Attributes:
        claim: The claim.
        compared: The first arm minus the second.
    """

    claim: Claim
    compared: Difference

    @property
    def word(self) -> str:
        """Whether the claim holds: only the interval decides."""
        low, high = self.compared.interval
        if not (math.isfinite(low) and math.isfinite(high)):
            return OPEN
        if not self.claim.equal:
            return HOLDS if low > 0 else FAILS if high < 0 else OPEN
        if self.claim.either_way and low > MARGIN:
            return FAILS
        inside = low >= -MARGIN and (high <= MARGIN or not self.claim.either_way)
        return HOLDS if inside else FAILS if high < -MARGIN else OPEN

    @property
    def size(self) -> str:
        """How the size compares with the paper's; nothing where there is no interval or the paper gives none."""
        (low, high), paper = self.compared.interval, self.claim.paper
        if paper is None or not (math.isfinite(low) and math.isfinite(high)):
            return ""
        if low <= paper <= high:
            return "size as in the paper"
        return "less than in the paper" if high < paper else "more than in the paper"

    @property
    def figures(self) -> str:
        """The difference with its interval."""
        return points(self.compared)


def points(compared: Difference) -> str:
    """A difference in points with its interval, or the number of seeds where there is none."""
    low, high = compared.interval
    if not math.isfinite(compared.mean):
        return f"{compared.not_finite} of {compared.pairs} diverged"
    shown = f"{compared.mean:+.2f}"
    if math.isfinite(low) and math.isfinite(high):
        return f"{shown} ({low:+.2f} to {high:+.2f})"
    return f"{shown} (1 seed)" if compared.pairs == 1 else shown


def _table_3() -> Iterable[Claim]:
    for optimizer, (_, _, fixed, short, _) in TABLE_3.items():
        arms = (f"{optimizer}, triangular", f"{optimizer}, fixed")
        if short > fixed:
            yield Claim(f"{optimizer}: cycles are better than a fixed LR, in 2.8 times fewer updates", "clr-table-3", *arms)
        elif fixed - short <= MARGIN:
            text = f"{optimizer}: cycles are as good as a fixed LR, in 2.8 times fewer updates"
            yield Claim(text, "clr-table-3", *arms, equal=True)
        else:
            text = f"{optimizer}: 25,000 updates of cycles are not enough for the accuracy of a fixed LR"
            yield Claim(text, "clr-table-3", *reversed(arms))


def _table_4() -> Iterable[Claim]:
    for classes in (10, 100):
        for net, (_, top, _) in TABLE_4.items():
            name = f"clr-table-4-{net.lower().replace(' ', '-')}-{classes}"
            text = f"{net}, {classes} classes: cycles are at least as good as the usual LR"
            yield Claim(text, name, f"CLR 0.1-{top}", "LR 0.1", equal=True)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "triangular2 in 25,000 updates is as good as a fixed LR in 70,000", "clr-table-1", "triangular2", "fixed", equal=True
    ),
    Claim("It is the cycles, not the fall: triangular2 is better than decay", "clr-table-1", "triangular2", "decay"),
    Claim("exp_range is better than exp, in fewer updates", "clr-table-1", "exp_range", "exp"),
    Claim("exp alone is worse than a fixed LR", "clr-table-1", "fixed", "exp"),
    *_table_3(),
    Claim("Sigmoids: cycles are better, in 2.8 times fewer updates", "clr-sigmoid", "triangular2", "fixed"),
    Claim("A Welch window is as good as a triangular one", "clr-windows", "welch", "triangular", True, True),
    Claim("A Hann window is as good as a triangular one", "clr-windows", "hann", "triangular", True, True),
    *_table_4(),
    Claim(
        "SGDR: restarts (T0 = 10) are at least as good as steps, in fewer updates", "sgdr-10", "T0 = 10, x2", "steps", True
    ),
    Claim("SGDR, 100 classes: the same", "sgdr-100", "T0 = 10, x2", "steps", True),
    Claim("SGDR, with WRN-16-2: the same", "sgdr-small", "T0 = 10, x2", "steps", True),
    Claim("Super-convergence: one cycle is better, in 8 times fewer updates", "super-convergence", "one cycle", "steps"),
    Claim("Super-convergence, with ResNet-20: the same", "super-convergence-small", "one cycle", "steps"),
    Claim("Super-convergence on MNIST, in 7 times fewer updates", "super-convergence-mnist", "one cycle", "steps"),
)


def verdicts(results: Results, claim: Claim) -> list[tuple[Measured, Verdict]]:
    """What is known of a claim, the largest scale first."""
    rows = [(measured, claim.verdict(measured)) for measured in results.of(claim.experiment)]
    return [(measured, verdict) for measured, verdict in rows if verdict is not None]


def deciding(rows: list[tuple[Measured, Verdict]]) -> tuple[Measured, Verdict] | None:
    """The verdict that counts: that at the largest scale with an interval; without any, that at the largest scale."""
    with_interval = [row for row in rows if math.isfinite(row[1].compared.interval[0])]
    return next(iter(with_interval or rows), None)
