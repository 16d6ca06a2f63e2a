"""What is read off a curve: bounds with their reasons, or an explicit "no answer"."""

from dataclasses import dataclass
from typing import Any, Never

from learnrate.errors import NoAnswerError


def two_digits(lr: float) -> float:
    """An LR to two significant digits.

    A range test does not know an LR to the percent (two neighbouring updates of a usual sweep are 20 % apart), and a
    number that pretends to is harder to read, to type and to compare.
    """
    return float(f"{lr:.1e}")


@dataclass(frozen=True)
class Reasons:
    """One sentence for each number of `Bounds`."""

    base_lr: str
    max_lr: str
    lr: str
    interval: str

    def __str__(self) -> str:
        return " ".join((self.base_lr, self.max_lr, self.lr, self.interval))


@dataclass(frozen=True)
class Intervals:
    """For each number of `Bounds`, what 90 % of it lie in when sweeps and noise are drawn anew: (low, high)."""

    base_lr: tuple[float, float]
    max_lr: tuple[float, float]
    lr: tuple[float, float]


@dataclass(frozen=True)
class Bounds:
    """The LRs between which training works, and why.

    Attributes:
        base_lr: Lower bound of a cycle: below it the loss hardly falls.
        max_lr: Upper bound of a cycle: above it the loss stops falling.
        lr: The single best LR for a run at one LR.
        intervals: 90 % interval of each, under the noise of the losses and, in a merged curve, the choice of sweeps.
        reasons: One sentence for each.
        rule: Name of the rule that read them.
    """

    base_lr: float
    max_lr: float
    lr: float
    intervals: Intervals
    reasons: Reasons
    rule: str

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of `lr`."""
        return self.intervals.lr

    @property
    def reason(self) -> str:
        """All reasons, as one text."""
        return str(self.reasons)

    def as_record(self) -> dict[str, Any]:
        """The bounds as JSON holds them."""
        return {
            "base_lr": self.base_lr,
            "max_lr": self.max_lr,
            "lr": self.lr,
            "intervals": {name: list(ends) for name, ends in vars(self.intervals).items()},
            "reason": self.reason,
            "reasons": vars(self.reasons).copy(),
            "rule": self.rule,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Bounds":
        """The inverse of `as_record`."""
        intervals = Intervals(**{name: (low, high) for name, (low, high) in record["intervals"].items()})
        reasons = Reasons(**record["reasons"])
        return cls(record["base_lr"], record["max_lr"], record["lr"], intervals, reasons, record["rule"])


@dataclass(frozen=True)
class NoAnswer:
    """The curve does not carry bounds. False in a condition; asking it for a bound raises `NoAnswerError`.

    Attributes:
        reason: What the curve shows, in one sentence.
        remedy: What would give an answer, in one sentence.
        rule: Name of the rule that found none.
    """

    reason: str
    remedy: str
    rule: str

    def __bool__(self) -> bool:
        return False

    def _refuse(self) -> Never:
        raise NoAnswerError(self.reason, self.remedy)

    @property
    def base_lr(self) -> float:
        """Raises NoAnswerError."""
        self._refuse()

    @property
    def max_lr(self) -> float:
        """Raises NoAnswerError."""
        self._refuse()

    @property
    def lr(self) -> float:
        """Raises NoAnswerError."""
        self._refuse()

    @property
    def interval(self) -> tuple[float, float]:
        """Raises NoAnswerError."""
        self._refuse()

    @property
    def intervals(self) -> Intervals:
        """Raises NoAnswerError."""
        self._refuse()
