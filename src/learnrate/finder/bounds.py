"""What a rule reads off a curve: bounds with their reasons, or an explicit "no answer"."""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from learnrate import checks, html, records
from learnrate.checks import check_fields, checked, frozen
from learnrate.errors import NoAnswerError
from learnrate.finder.nonfinite import last_run, rises, unchanged
from learnrate.records import Fields, decode_interval, nested

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

MIN_POINTS = 10
"""Fewest finite losses, or values of a metric, that a rule reads."""


def two_digits(lr: float) -> float:
    """An LR to two significant digits.

    A range test does not measure an LR to a percent (in a usual sweep, the LRs of two consecutive updates differ by 20 %),
    and more digits are harder to read, to type and to compare.
    """
    return float(f"{lr:.1e}")


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.2g} to {ends[1]:.2g}"


@frozen
class Reasons:
    """One sentence for each number of `Bounds`. Iterating over it gives the sentences."""

    base_lr: str = checked(checks.text)
    max_lr: str = checked(checks.text)
    lr: str = checked(checks.text)
    interval: str = checked(checks.text)

    def __post_init__(self) -> None:
        check_fields(self)

    def __iter__(self) -> Iterator[str]:
        yield from (self.base_lr, self.max_lr, self.lr, self.interval)

    def __str__(self) -> str:
        return " ".join(self)

    def __repr__(self) -> str:
        return "\n".join(["Reasons", *(f"  {sentence}" for sentence in self)])

    def _repr_html_(self) -> str:
        return html.notebook("Reasons", sections={"": list(self)})


@frozen
class Intervals:
    """A 90 % interval (low, high) for each number of `Bounds`, over new draws of the batch noise and of the sweeps."""

    base_lr: tuple[float, float] = checked(checks.interval)
    max_lr: tuple[float, float] = checked(checks.interval)
    lr: tuple[float, float] = checked(checks.interval)

    def __post_init__(self) -> None:
        check_fields(self)

    def __repr__(self) -> str:
        return "90 % intervals: " + ", ".join(f"{name} {_range(ends)}" for name, ends in vars(self).items())

    def _repr_html_(self) -> str:
        return html.notebook("90 % intervals", [(name, _range(ends)) for name, ends in vars(self).items()])


@frozen
class Bounds:
    """The LRs between which training works, and why.

    Attributes:
        base_lr: Lower bound of a cycle: below it, the loss hardly falls.
        max_lr: Upper bound of a cycle: above it, the loss no longer falls.
        lr: The best LR for a training run with a constant LR.
        intervals: A 90 % interval of each LR, over the noise of the losses and, for a merged curve, the choice of sweeps.
        reasons: One sentence for each number.
        rule: Name of the rule that read them.
    """

    base_lr: float = checked(checks.positive)
    max_lr: float = checked(checks.positive)
    lr: float = checked(checks.positive)
    intervals: Intervals = checked(checks.instance(Intervals, "Intervals"))
    reasons: Reasons = checked(checks.instance(Reasons, "Reasons"))
    rule: str = checked(checks.text)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of `lr`."""
        return self.intervals.lr

    @property
    def reason(self) -> str:
        """All reasons in one text."""
        return str(self.reasons)

    def __repr__(self) -> str:
        numbers = f"base_lr={self.base_lr}, max_lr={self.max_lr}, lr={self.lr}, rule={self.rule!r}"
        others = f"90 % interval of base_lr: {_range(self.intervals.base_lr)}; of max_lr: {_range(self.intervals.max_lr)}."
        return "\n".join([f"Bounds({numbers})", *(f"  {sentence}" for sentence in (*self.reasons, others))])

    def _repr_html_(self) -> str:
        facts = [
            (name, f"{getattr(self, name):.2g} (90 % interval: {_range(ends)})")
            for name, ends in vars(self.intervals).items()
        ]
        return html.notebook("Bounds", [*facts, ("rule", self.rule)], {"Reasons": list(self.reasons)})

    def as_record(self) -> dict[str, Any]:
        """The bounds as a JSON object."""
        return {
            "base_lr": self.base_lr,
            "max_lr": self.max_lr,
            "lr": self.lr,
            "intervals": {name: [*map(records.encode_float, ends)] for name, ends in vars(self.intervals).items()},
            "reason": self.reason,
            "reasons": vars(self.reasons).copy(),
            "rule": self.rule,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Bounds":
        """The inverse of `as_record`."""
        content = Fields(record)
        return cls(
            content["base_lr"],
            content["max_lr"],
            content["lr"],
            content.read("intervals", nested(_intervals)),
            content.read("reasons", nested(_reasons)),
            content["rule"],
        )


def _intervals(record: Any) -> Intervals:
    content = Fields(record)
    return Intervals(**{field.name: content.read(field.name, decode_interval) for field in fields(Intervals)})


def _reasons(record: Any) -> Reasons:
    content = Fields(record)
    return Reasons(**{field.name: content[field.name] for field in fields(Reasons)})


@frozen
class NoAnswer:
    """The curve does not determine any bounds. It is false in a condition, and its bounds raise `NoAnswerError`.

    Attributes:
        reason: What the curve shows, in one sentence.
        remedy: What would give an answer, in one sentence.
        rule: Name of the rule that gave no answer.
    """

    reason: str = checked(checks.text)
    remedy: str = checked(checks.text)
    rule: str = checked(checks.text)

    def __post_init__(self) -> None:
        check_fields(self)

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"NoAnswer(rule={self.rule!r})\n  reason: {self.reason}\n  remedy: {self.remedy}"

    def _repr_html_(self) -> str:
        return html.notebook("No answer", [("reason", self.reason), ("remedy", self.remedy), ("rule", self.rule)])

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


def require_curve(value: object) -> "Curve":
    """Refuse what is not a curve.

    Raises:
        ArgumentTypeError: if it is not one.
    """
    from learnrate.finder.curve import Curve  # which imports the rules

    return checks.instance(Curve, "a Curve")("curve", value)


def unreadable(curve: "Curve", rule: str) -> NoAnswer | None:
    """The answer of every rule to a curve with too few finite losses, or with a constant loss; None for any other curve."""
    losses = require_curve(curve).finite().losses
    if len(losses) < MIN_POINTS:
        return NoAnswer(*_too_few(curve), rule)
    if float(np.ptp(losses)) == 0.0:
        remedy = "Check that the loss depends on the parameters of the optimizer."
        return NoAnswer(f"the loss is exactly {losses[0]:.6g} at every update.", remedy, rule)
    return None


def _too_few(curve: "Curve") -> tuple[str, str]:
    """Why a curve has too few finite losses, and what would help."""
    fault = batch_at_fault(curve)
    finite = len(curve.finite())
    reason = f"only {finite} losses are finite."
    if fault is not None:
        return f"{reason[:-1]}: {fault[0]}.", fault[1]
    needed = f"A curve needs at least {MIN_POINTS}"
    last = last_run(curve.losses)
    if last is None:
        return reason, f"{needed}: use more updates."
    if rises(curve.losses) or not finite:
        return reason, f"{needed}: start at a lower LR, or use more updates."
    cause = f"check the batch of update {curve.updates[last]}, whose loss is {curve.losses[last]}, or start at a lower LR"
    return reason, f"{needed}: {cause}."


def batch_at_fault(curve: "Curve") -> tuple[str, str] | None:
    """The finding and the remedy for a sweep that a loss ended which was not finite where no LR had changed it."""
    last = last_run(curve.losses)
    if last is None or not unchanged(curve.losses[:last]):
        return None
    at = f"update {curve.updates[last]} (LR {curve.lrs[last]:.2g})"
    finding = f"the loss of {at} is {curve.losses[last]}, and no LR before it had changed the loss"
    remedy = f"Check the batch of update {curve.updates[last]}, the gradients of the one before, and the model: not the LR"
    return finding, f"{remedy} is the cause."
