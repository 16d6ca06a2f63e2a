"""The difference of two arms, as a value: how large it is, whether it is sure, and the sentence that says so."""

import math
from dataclasses import dataclass
from typing import Any

from learnrate import records
from learnrate.amounts import plural
from learnrate.study.statistics import sequential


@dataclass(frozen=True)
class Difference:
    """The difference of two arms over the same seeds.

    Attributes:
        first: Name of an arm.
        second: Name of the other.
        pairs: Number of seeds that both have been trained with.
        mean: Mean of score of the first minus score of the second; NaN if one of the scores is not finite.
        spread: Sample standard deviation of these differences; NaN with fewer than two, or if one is not finite.
        interval: For the mean; infinite where nothing is known about it.
        level: Of the interval, for example 0.95.
        probability: That the first is better, which means that the true mean of the differences is on its side. If there is
            no spread or a score is not finite: that it is better with more than half of the seeds on which the two differ.
        p_value: How probable a difference at least this large is if the true mean is 0, adjusted for the number of
            comparisons.
        sure: Whether the difference is sure at this level, adjusted for all comparisons.
        first_better: Number of seeds with which the first is better. A score that is not finite, of a training that has
            diverged, is worse than any other.
        second_better: Number of seeds with which the second is better.
        not_finite: Number of seeds with which at least one of the two has diverged.
        comparisons: Number of pairs of arms that `sure` accounts for.
        anytime: Whether seeds may be added until the difference is sure.
        higher_is_better: Which scores are better.
        unpaired: Number of seeds that are left out, because a training with them is missing so far, or, with `anytime`,
            with a seed that was planned before them.
    """

    first: str
    second: str
    pairs: int
    mean: float
    spread: float
    interval: tuple[float, float]
    level: float
    probability: float
    p_value: float
    sure: bool
    first_better: int
    second_better: int
    not_finite: int = 0
    comparisons: int = 1
    anytime: bool = False
    higher_is_better: bool = True
    unpaired: int = 0

    @property
    def better(self) -> str | None:
        """Name of the arm that is surely better; None if that is not sure."""
        if not self.sure:
            return None
        if math.isfinite(self.interval[0]):
            return self.first if (self.interval[0] > 0) == self.higher_is_better else self.second
        return self.first if self.first_better > self.second_better else self.second

    def describe(self) -> str:
        """The difference in one sentence."""
        result = f"not sure whether {self.first} or {self.second} is better"
        if self.better:
            result = f"{self.better} is better than {self.second if self.better == self.first else self.first}"
        if not self.pairs:
            return f"{result}: no seed has been trained with both{self._left_out()}"
        probability = f"probability that {self.first} is better: {_probability(self.probability)}"
        among = f"; {self.comparisons} comparisons are accounted for" if self.comparisons > 1 else ""
        return f"{result}: {self._evidence()}; {probability}{among}{self._left_out()}"

    def _evidence(self) -> str:
        seeds = plural(self.pairs, "seed")
        counts = f"{self.first} is better with {self.first_better} and {self.second} with {self.second_better}"
        if self.not_finite:
            return (
                f"{self.not_finite} of {seeds} ended with a score that is not finite, so there is no interval, but {counts}"
            )
        mean = f"{self.first} - {self.second} is {self.mean:+.3g}" + ("" if self.higher_is_better else " (lower is better)")
        low, high = self.interval
        if math.isfinite(low):
            kept = ", right after every seed" if self.anytime else ""
            return f"{mean}, {100 * self.level:g} % interval {low:+.3g} to {high:+.3g} with {seeds}{kept}"
        if self.pairs == 1:
            return f"{mean} with 1 seed, which shows no spread"
        if max(self.first_better, self.second_better) == 0:
            return f"the scores are equal with each of {seeds}"
        if self.spread == 0:
            return f"{mean} with each of {seeds}, and without a spread there is no interval, but {counts}"
        fewest = sequential.fewest_pairs(self.level, self.comparisons)
        return f"{mean} with {seeds}, and nothing is sure before {max(fewest, self.pairs + 1)} seeds"

    def _left_out(self) -> str:
        seeds = "1 seed is" if self.unpaired == 1 else f"{self.unpaired} seeds are"
        return f"; {seeds} left out until missing trainings have ended" if self.unpaired else ""

    def __str__(self) -> str:
        return self.describe()

    def as_record(self) -> dict[str, Any]:
        """The difference as JSON holds it."""
        encoded = {name: records.encode_float(getattr(self, name)) for name in ("mean", "spread")}
        return {**vars(self), **encoded, "interval": [records.encode_float(end) for end in self.interval]}


def _probability(value: float) -> str:
    """A probability that is neither rounded to 0 nor to 1."""
    if value < 0.001:
        return "below 0.001"
    return "above 0.999" if value > 0.999 else f"{value:.3f}"
