"""Finite schedules from one value to another: `start` at update 0, `end` from update `length` on.

In the formulas p = min(n / length, 1) is the completed fraction of the ramp at update number n.
"""

import math
from abc import abstractmethod
from typing import Any, Literal

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.schedules import durations, shapes
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import REST, updates
from learnrate.schedules.numerics import Namespace
from learnrate.schedules.shapes import Shape, between, geometric

__all__ = [
    "constant",
    "cosine",
    "exponential",
    "linear",
    "one_minus_sqrt",
    "polynomial",
    "rex",
    "sigmoid",
    "tanh",
    "warmup",
]


@frozen
class constant(Schedule):
    """The same value at every update.

    Args:
        value: The value, at least 0.
        length: Number of updates or a text such as "10%" or "rest", so that another schedule can follow; without end by
            default.

    Raises:
        ArgumentError: if `value` is negative or not finite, or `length` below 0.

    Example:
        >>> constant(0.1)(1_000_000)
        0.1
    """

    value: float = checked(checks.rate_or_traced)
    length: int | str | None = checked(durations.optional_length, default=None)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.value + 0.0 * n

    def _range(self) -> tuple[float, float]:
        return self.value, self.value


class Ramp(Schedule):
    """What the ramps share: two ends, a length, and a shape between the ends."""

    start: float
    end: float
    length: int | str

    @abstractmethod
    def _shape(self) -> Shape:
        """The shape from the start to the end."""

    def _at(self, n: Any, xp: Namespace) -> Any:
        return between(self.start, self.end, self._shape(), n, updates(self.length), xp)

    def _range(self) -> tuple[float, float]:
        return min(self.start, self.end), max(self.start, self.end)


@frozen
class linear(Ramp):
    """A linear ramp: value(n) = start (1 - p) + end p.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates or a text; by default the rest of the run.

    Raises:
        ArgumentError: if a value is negative or not finite, or `length` below 0.

    Example:
        >>> s = linear(0.5, 0.0, length=10)
        >>> s(0), s(5), s(10), s(99)
        (0.5, 0.25, 0.0, 0.0)
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    length: int | str = checked(durations.length, default=REST)

    def _shape(self) -> Shape:
        return shapes.LINEAR


@frozen
class cosine(Ramp):
    """Half a cosine wave: value(n) = end + (start - end) ((1 + cos(pi p ** k)) / 2) ** power.

    With the defaults it is one period of SGDR (Loshchilov and Hutter, arXiv 1608.03983, equation 5).

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates or a text; by default the rest of the run.
        power: Exponent of the wave, above 0; with more than 1 the fall is faster at first (`exponent` in optax).
        k: Exponent of p, above 0; with more than 1 the fall comes later (k-decay, Zhang and Li, arXiv 2004.05909).

    Raises:
        ArgumentError: if a value is negative or not finite, an exponent not above 0, or `length` below 0.

    Example:
        >>> s = cosine(1.0, 0.0, length=100)
        >>> s(0), round(s(50), 12), s(100)
        (1.0, 0.5, 0.0)
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    length: int | str = checked(durations.length, default=REST)
    power: float = checked(checks.positive, default=1.0)
    k: float = checked(checks.positive, default=1.0)

    def _shape(self) -> Shape:
        return shapes.warped(self.k, shapes.power(self.power, shapes.COSINE))


@frozen
class polynomial(Ramp):
    """Polynomial decay: value(n) = end + (start - end) (1 - p ** k) ** power.

    The "poly" policy of Caffe and of DeepLab (Chen et al., arXiv 1606.00915, section 4.1.1), where end is 0 and k is 1.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates or a text; by default the rest of the run.
        power: Exponent, above 0; 1 is linear, with more than 1 the fall is faster at first.
        k: Exponent of p, above 0; with more than 1 the fall comes later (k-decay, Zhang and Li, arXiv 2004.05909).

    Raises:
        ArgumentError: if a value is negative or not finite, an exponent not above 0, or `length` below 0.

    Example:
        >>> s = polynomial(1.0, 0.0, length=10, power=2)
        >>> s(0), s(5), s(10)
        (1.0, 0.25, 0.0)
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    length: int | str = checked(durations.length, default=REST)
    power: float = checked(checks.positive, default=1.0)
    k: float = checked(checks.positive, default=1.0)

    def _shape(self) -> Shape:
        return shapes.warped(self.k, shapes.power(self.power))


@frozen
class exponential(Schedule):
    """A geometric ramp, linear on a logarithmic axis: value(n) = start ** (1 - p) * end ** p.

    A rising one is the usual sweep of the LR range test, a falling one an exponential decay with a given end.

    Args:
        start: Value at update 0, above 0.
        end: Value from update `length` on, above 0.
        length: Number of updates or a text; by default the rest of the run.

    Raises:
        ArgumentError: if a value is not above 0 or not finite, or `length` below 0.

    Example:
        >>> s = exponential(1e-6, 1.0, length=6)
        >>> s(0), round(s(3), 12), s(6)
        (1e-06, 0.001, 1.0)
    """

    start: float = checked(checks.positive_or_traced)
    end: float = checked(checks.positive_or_traced)
    length: int | str = checked(durations.length, default=REST)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return geometric(self.start, self.end, n, updates(self.length), xp)

    def _range(self) -> tuple[float, float]:
        return min(self.start, self.end), max(self.start, self.end)


@frozen
class one_minus_sqrt(Ramp):
    """The 1-sqrt cooldown: value(n) = end + (start - end) (1 - sqrt(p)).

    The best of the cooldowns compared by Haegele et al. (arXiv 2405.18392, section 3), where end is 0.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates or a text; by default the rest of the run.

    Raises:
        ArgumentError: if a value is negative or not finite, or `length` below 0.

    Example:
        >>> s = one_minus_sqrt(1.0, 0.0, length=100)
        >>> s(0), s(25), s(100)
        (1.0, 0.5, 0.0)
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    length: int | str = checked(durations.length, default=REST)

    def _shape(self) -> Shape:
        return shapes.ONE_MINUS_SQRT


@frozen
class rex(Ramp):
    """REX, the reflected exponential: value(n) = end + (start - end) (1 - p) / ((1 - beta) + beta (1 - p)).

    It stays high for long, then falls fast (Chen et al., arXiv 2107.04197, section 4, where end is 0 and beta 1/2). Some
    ports use (1 - p) / (0.1 + 0.9 (1 - p)), which is beta=0.9.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates or a text; by default the rest of the run.
        beta: At least 0 (linear) and below 1. A larger value moves the fall to later updates.

    Raises:
        ArgumentError: if a value is negative or not finite, `beta` outside [0, 1), or `length` below 0.

    Example:
        >>> s = rex(1.0, 0.0, length=100)
        >>> s(0), round(s(50), 6), s(100)
        (1.0, 0.666667, 0.0)
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    length: int | str = checked(durations.length, default=REST)
    beta: float = checked(checks.weight, default=0.5)

    def _shape(self) -> Shape:
        return shapes.rex(self.beta)


@frozen
class tanh(Ramp):
    """Hyperbolic tangent decay: value(n) = end + (start - end) (1 - tanh(low (1 - p) + high p)) / 2.

    Hsueh et al., arXiv 1806.01593, equation 3, recommend low = -6 and high = 3 (section 4); the default of timm is -7 and 3.
    The published curve starts slightly below `start` and ends slightly above `end`; ends="exact" stretches it to meet both.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates or a text; by default the rest of the run.
        low: Argument of the tangent at update 0.
        high: Argument of the tangent at update `length`, above `low`.
        ends: "exact" or "published".

    Raises:
        ArgumentError: if a value is negative or not finite, `low` is not below `high`, `ends` is another word, or `length`
            is below 0.

    Example:
        >>> s = tanh(1.0, 0.0, length=90)
        >>> s(0), round(s(60), 6), s(90)
        (1.0, 0.498764, 0.0)
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    length: int | str = checked(durations.length, default=REST)
    low: float = checked(checks.finite, default=-6.0)
    high: float = checked(checks.finite, default=3.0)
    ends: Literal["exact", "published"] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.ordered("low", self.low, "high", self.high)
        if math.tanh(self.high) - math.tanh(self.low) < 1e-3 or max(-self.low, self.high) > 50:
            checks.refuse("low", "where the tangent changes", self.low, "usual are low=-6 and high=3, within [-50, 50]")

    def _shape(self) -> Shape:
        return shapes.hyperbolic(self.low, self.high, self.ends)


@frozen
class sigmoid(Ramp):
    """A logistic ramp, stretched to meet both ends.

    value(n) = start + (end - start) (s(x) - s(-c)) / (s(c) - s(-c)), with s(x) = 1 / (1 + exp(-x)), c = steepness / 2 and
    x = steepness (p - 1/2). The logistic policy of Caffe with given ends; for its form without end see `sigmoid_decay`.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates or a text; by default the rest of the run.
        steepness: Above 0; near 0 the curve is nearly linear, at 50 nearly a jump.

    Raises:
        ArgumentError: if a value is negative or not finite, `steepness` not above 0 or above 70, or `length` below 0.

    Example:
        >>> s = sigmoid(1.0, 0.0, length=100)
        >>> s(0), round(s(50), 12), s(100)
        (1.0, 0.5, 0.0)
    """

    start: float = checked(checks.rate_or_traced)
    end: float = checked(checks.rate_or_traced)
    length: int | str = checked(durations.length, default=REST)
    steepness: float = checked(checks.positive, default=12.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steepness > 70:
            checks.refuse("steepness", "at most 70", self.steepness, "for a jump, write constant(a, n) >> constant(b)")
        if self.steepness < 1e-3:
            checks.refuse(
                "steepness", "at least 0.001", self.steepness, "for a linear ramp, write linear(start, end, length)"
            )

    def _shape(self) -> Shape:
        # s(x) = (1 + tanh(x / 2)) / 2
        return shapes.hyperbolic(-self.steepness / 4, self.steepness / 4, "exact")


@frozen
class warmup(Schedule):
    """A rise to `max_lr`, to be followed by another schedule.

    - shape="linear": value(n) = start (1 - p) + max_lr p. Gradual warm-up (Goyal et al., arXiv 1706.02677, section 2.2).
    - shape="cosine": the same with half a cosine wave.
    - shape="exponential": value(n) = start ** (1 - p) * max_lr ** p.
    - shape="constant": `start` until the last update (Goyal et al., section 2.2; He et al., arXiv 1512.03385, section 4.2).

    Args:
        max_lr: Value from update `length` on, above 0.
        length: Number of updates or a text such as "5%"; 0 for no warm-up.
        start: Value at update 0. By default max_lr / (length + 1), one step of the rise, because an update with an LR of 0
            would be wasted. It must be given for a constant warm-up.
        shape: "linear", "cosine", "exponential" or "constant".

    Raises:
        ArgumentError: if `max_lr` is not above 0, `start` is negative, above `max_lr`, or 0 for the shape "exponential", or
            `length` is below 0.

    Example:
        >>> s = warmup(1.0, length=4)
        >>> [round(s(n), 6) for n in range(5)]
        [0.2, 0.4, 0.6, 0.8, 1.0]
    """

    max_lr: float = checked(checks.positive_or_traced)
    length: int | str = checked(durations.length)
    start: float | None = checked(checks.optional(checks.rate_or_traced), default=None)
    shape: Literal["linear", "cosine", "exponential", "constant"] = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape == "constant" and self.start is None:
            checks.refuse("start", "given for a constant warm-up", self.start, "usual is a tenth of max_lr")
        if self.start is None or checks.is_traced(self.start) or checks.is_traced(self.max_lr):
            return
        if self.start > self.max_lr:
            checks.refuse(
                "start", f"at most max_lr = {self.max_lr!r}", self.start, "for a fall, use linear(start, end, length)"
            )
        if self.shape == "exponential" and self.start == 0:
            checks.refuse("start", "above 0 for an exponential warm-up", self.start)

    def _start(self) -> float:
        return self.max_lr / (updates(self.length) + 1) if self.start is None else self.start

    def _at(self, n: Any, xp: Namespace) -> Any:
        start, length = self._start(), updates(self.length)
        if self.shape == "exponential":
            return geometric(start, self.max_lr, n, length, xp)
        if self.shape == "constant":
            return xp.where(n < length, start + 0.0 * n, self.max_lr + 0.0 * n)
        return between(start, self.max_lr, shapes.BY_NAME[self.shape], n, length, xp)

    def _range(self) -> tuple[float, float]:
        return self._start(), self.max_lr
