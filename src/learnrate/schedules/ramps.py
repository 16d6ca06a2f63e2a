"""Finite schedules from one value to another: value `start` at update 0, `end` from update `length` on."""

from dataclasses import dataclass
from typing import Annotated, Any

from learnrate import checks
from learnrate.checks import Length, Positive, Rate
from learnrate.schedules.base import Schedule
from learnrate.schedules.numerics import Namespace, half_cosine, lerp, progress


@dataclass(frozen=True, repr=False)
class constant(Schedule):
    """The same value at every update.

    Args:
        value: The value, at least 0.
        length: Number of updates, so that something can follow it; endless by default.

    Raises:
        ArgumentError: if `value` is negative or not finite, or `length` below 1.

    Example:
        >>> constant(0.1)(1_000_000)
        0.1
    """

    value: Rate
    length: Annotated[int | None, checks.optional(checks.length)] = None

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.value + 0.0 * n


@dataclass(frozen=True, repr=False)
class linear(Schedule):
    """A straight line: value(n) = start (1 - p) + end p, with p = min(n / length, 1).

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates, at least 1.

    Raises:
        ArgumentError: if a value is negative or not finite, or `length` below 1.

    Example:
        >>> s = linear(0.5, 0.0, length=10)
        >>> s(0), s(5), s(10), s(99)
        (0.5, 0.25, 0.0, 0.0)
    """

    start: Rate
    end: Rate
    length: Length

    def _at(self, n: Any, xp: Namespace) -> Any:
        return lerp(self.start, self.end, *progress(n, self.length, xp))


@dataclass(frozen=True, repr=False)
class cosine(Schedule):
    """Half a cosine wave: value(n) = start (1 - w) + end w, with w = (1 - cos(pi p)) / 2 and p = min(n / length, 1).

    One period of SGDR (Loshchilov and Hutter, arXiv 1608.03983, equation 5), without the restart.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates, at least 1.

    Raises:
        ArgumentError: if a value is negative or not finite, or `length` below 1.

    Example:
        >>> s = cosine(1.0, 0.0, length=100)
        >>> s(0), round(s(50), 12), s(100)
        (1.0, 0.5, 0.0)
    """

    start: Rate
    end: Rate
    length: Length

    def _at(self, n: Any, xp: Namespace) -> Any:
        return lerp(self.start, self.end, *half_cosine(*progress(n, self.length, xp), xp))


@dataclass(frozen=True, repr=False)
class polynomial(Schedule):
    """A power of what remains: value(n) = end + (start - end) (1 - p) ** power, with p = min(n / length, 1).

    The "poly" policy of Caffe and of DeepLab (Chen et al., arXiv 1606.00915, section 4.1.1), where end is 0.

    Args:
        start: Value at update 0, at least 0.
        end: Value from update `length` on, at least 0.
        length: Number of updates, at least 1.
        power: Exponent, above 0; 1 is a straight line, above 1 falls fast first.

    Raises:
        ArgumentError: if a value is negative or not finite, `power` not above 0, or `length` below 1.

    Example:
        >>> s = polynomial(1.0, 0.0, length=10, power=2)
        >>> s(0), s(5), s(10)
        (1.0, 0.25, 0.0)
    """

    start: Rate
    end: Rate
    length: Length
    power: Positive = 1.0

    def _at(self, n: Any, xp: Namespace) -> Any:
        _, q = progress(n, self.length, xp)
        remaining = q**self.power
        return lerp(self.end, self.start, remaining, 1 - remaining)


@dataclass(frozen=True, repr=False)
class exponential(Schedule):
    """A geometric ramp, straight on a logarithmic axis: value(n) = start ** (1 - p) * end ** p, with p = min(n / length, 1).

    The sweep of the LR range test in its usual form; falling, the classic exponential decay with a stated end.

    Args:
        start: Value at update 0, above 0.
        end: Value from update `length` on, above 0.
        length: Number of updates, at least 1.

    Raises:
        ArgumentError: if a value is not above 0 or not finite, or `length` below 1.

    Example:
        >>> s = exponential(1e-6, 1.0, length=6)
        >>> s(0), round(s(3), 12), s(6)
        (1e-06, 0.001, 1.0)
    """

    start: Positive
    end: Positive
    length: Length

    def _at(self, n: Any, xp: Namespace) -> Any:
        p, q = progress(n, self.length, xp)
        return self.start**q * self.end**p


@dataclass(frozen=True, repr=False)
class warmup(Schedule):
    """A straight rise to `max_lr`, made to be followed by something.

    value(n) = start (1 - p) + max_lr p, with p = min(n / length, 1). Gradual warm-up (Goyal et al., arXiv 1706.02677,
    section 2.2).

    Args:
        max_lr: Value from update `length` on, above 0.
        length: Number of updates, at least 1.
        start: Value at update 0. By default max_lr / (length + 1), one step of the rise, so that the first update is not
            wasted at an LR of 0.

    Raises:
        ArgumentError: if `max_lr` is not above 0, `start` is negative or above `max_lr`, or `length` is below 1.

    Example:
        >>> s = warmup(1.0, length=4)
        >>> [round(s(n), 6) for n in range(5)]
        [0.2, 0.4, 0.6, 0.8, 1.0]
    """

    max_lr: Positive
    length: Length
    start: Annotated[float | None, checks.optional(checks.rate)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is not None and self.start > self.max_lr:
            checks.refuse(
                "start", f"at most max_lr = {self.max_lr!r}", self.start, "to fall, use linear(start, end, length)"
            )

    def _at(self, n: Any, xp: Namespace) -> Any:
        start = self.max_lr / (self.length + 1) if self.start is None else self.start
        return lerp(start, self.max_lr, *progress(n, self.length, xp))
