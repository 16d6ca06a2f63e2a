"""Cyclical learning rates (Smith, arXiv 1506.01186) and the one-cycle policy (Smith and Topin, arXiv 1708.07120).

All positions in a cycle are taken with integer arithmetic before the first division, so that update 1,000,000,007 is
as exact as update 7, in float32 as well.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from learnrate import checks
from learnrate.checks import Decay, Factor, Fraction, Length, Positive, Rate
from learnrate.schedules.base import Schedule
from learnrate.schedules.numerics import Namespace, half_cosine, lerp, progress

Cycles = Annotated[int | None, checks.optional(checks.length)]


class _Cyclical(Schedule):
    """What the cyclical policies share: bounds, half-cycles of `step_size` updates, and an end only where one is stated."""

    base_lr: Rate
    max_lr: Positive
    step_size: Length
    cycles: Cycles

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.ordered("base_lr", self.base_lr, "max_lr", self.max_lr)

    @property
    def length(self) -> int | None:
        """2 * step_size * cycles updates; None where no number of cycles is given."""
        return None if self.cycles is None else 2 * self.step_size * self.cycles

    def _span(self) -> int:
        return self.length or 10 * self.step_size

    def _held(self, n: Any, xp: Namespace) -> Any:
        return n if self.length is None else xp.clip(n, None, self.length)

    def _triangle(self, n: Any, xp: Namespace) -> tuple[Any, Any]:
        """The place in the cycle, 0 at its ends, 1 in its middle, straight in between; and the number of the cycle."""
        cycle = n // (2 * self.step_size)
        from_peak = xp.abs(n - (2 * cycle + 1) * self.step_size)
        return (self.step_size - from_peak) / self.step_size, cycle


@dataclass(frozen=True, repr=False)
class triangular(_Cyclical):
    """Up and down between two bounds, cycle after cycle.

    value(n) = base_lr + (max_lr - base_lr) max(0, 1 - x), where x = abs(n / step_size - 2 cycle + 1) and
    cycle = floor(1 + n / (2 step_size)) (Smith, arXiv 1506.01186, section 3.1).

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound, above `base_lr`; reached at update `step_size`.
        step_size: Half a cycle, in updates. The paper advises 2 to 10 epochs (section 3.2).
        cycles: Number of cycles after which the schedule ends, at `base_lr`; endless by default.

    Raises:
        ArgumentError: if a bound is negative or not finite, the bounds are swapped, or a length is below 1.

    Example:
        >>> s = triangular(base_lr=1.0, max_lr=5.0, step_size=4)
        >>> [s(n) for n in range(9)]
        [1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    """

    base_lr: Rate
    max_lr: Positive
    step_size: Length
    cycles: Cycles = None

    def _at(self, n: Any, xp: Namespace) -> Any:
        window, _ = self._triangle(self._held(n, xp), xp)
        return lerp(self.base_lr, self.max_lr, window, 1 - window)


@dataclass(frozen=True, repr=False)
class triangular2(_Cyclical):
    """`triangular` whose amplitude is halved after every cycle.

    value(n) = base_lr + (max_lr - base_lr) w(n) / 2 ** k, with w the triangle of `triangular` and k = floor(n / (2
    step_size)) (Smith, arXiv 1506.01186, section 3.1).

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound of the first cycle, above `base_lr`; reached at update `step_size`.
        step_size: Half a cycle, in updates. The paper advises 2 to 10 epochs (section 3.2).
        cycles: Number of cycles after which the schedule ends, at `base_lr`; endless by default.

    Raises:
        ArgumentError: if a bound is negative or not finite, the bounds are swapped, or a length is below 1.

    Example:
        >>> s = triangular2(base_lr=1.0, max_lr=5.0, step_size=2)
        >>> [s(n) for n in range(9)]
        [1.0, 3.0, 5.0, 3.0, 1.0, 2.0, 3.0, 2.0, 1.0]
    """

    base_lr: Rate
    max_lr: Positive
    step_size: Length
    cycles: Cycles = None

    def _at(self, n: Any, xp: Namespace) -> Any:
        window, cycle = self._triangle(self._held(n, xp), xp)
        # Clipped where the amplitude has long been below the smallest float, so that no power overflows.
        amplitude = window * 0.5 ** xp.clip(cycle, 0, 1100)
        return lerp(self.base_lr, self.max_lr, amplitude, 1 - amplitude)


@dataclass(frozen=True, repr=False)
class exp_range(_Cyclical):
    """`triangular` that shrinks by a factor `gamma` at every update.

    Two forms are published. With w the triangle of `triangular`:

    - shrinks="amplitude": value(n) = base_lr + (max_lr - base_lr) w(n) gamma ** n. The form of the CLR code for
      Keras, and of torch's CyclicLR.
    - shrinks="bounds": value(n) = (base_lr + (max_lr - base_lr) w(n)) gamma ** n. The form in the words of the paper, "each
      boundary value declines by an exponential factor of gamma ** iteration" (Smith, arXiv 1506.01186, section 3.1).

    The default is "amplitude": it is what nearly all published runs used, and it keeps to the lower bound that a range test
    found, below which updates are wasted.

    Args:
        base_lr: Lower bound, at least 0.
        max_lr: Upper bound, above `base_lr`.
        step_size: Half a cycle, in updates.
        gamma: Factor per update, above 0 and at most 1; 0.99994 in the paper.
        cycles: Number of cycles after which the schedule ends; endless by default.
        shrinks: "amplitude" or "bounds".

    Raises:
        ArgumentError: if a bound is negative or not finite, the bounds are swapped, a length is below 1, `gamma` is outside
            (0, 1] or `shrinks` is another word.

    Example:
        >>> s = exp_range(base_lr=1.0, max_lr=2.0, step_size=1, gamma=0.5)
        >>> [round(s(n), 6) for n in range(4)]
        [1.0, 1.5, 1.0, 1.125]
    """

    base_lr: Rate
    max_lr: Positive
    step_size: Length
    gamma: Decay
    cycles: Cycles = None
    shrinks: Literal["amplitude", "bounds"] = "amplitude"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice("shrinks", self.shrinks, ("amplitude", "bounds"))

    def _at(self, n: Any, xp: Namespace) -> Any:
        n = self._held(n, xp)
        # exp(n log gamma) rather than gamma ** n: in float32 gamma itself would be rounded, and the power would multiply
        # that error by n.
        envelope = xp.exp(math.log(self.gamma) * n)
        window, _ = self._triangle(n, xp)
        if self.shrinks == "amplitude":
            amplitude = window * envelope
            return lerp(self.base_lr, self.max_lr, amplitude, 1 - amplitude)
        return lerp(self.base_lr, self.max_lr, window, 1 - window) * envelope


@dataclass(frozen=True, repr=False)
class one_cycle(Schedule):
    """The one-cycle policy: one rise to a high LR, then a long fall to far below where it began.

    From max_lr / div_factor up to max_lr over pct_start * length updates, then down to
    max_lr / (div_factor * final_div_factor) at update `length`; both ways along half a cosine, or a straight line.

    After Smith and Topin (arXiv 1708.07120) and Smith (arXiv 1803.09820); the numbers and the cosine are those of
    fastai and of torch's OneCycleLR. That one reaches its end at update total_steps - 1 and its peak at pct_start *
    total_steps - 1: it equals one_cycle(max_lr, length=T - 1, pct_start=(f * T - 1) / (T - 1)) with T = total_steps
    and f its pct_start.

    Args:
        max_lr: The peak, above 0.
        length: Number of updates, at least 1.
        pct_start: Share of the length spent rising, strictly between 0 and 1.
        div_factor: max_lr / value at update 0, at least 1.
        final_div_factor: Value at update 0 / value at the end, at least 1.
        shape: "cosine" or "linear".

    Raises:
        ArgumentError: if a number is out of its range or `shape` is another word.

    Example:
        >>> s = one_cycle(max_lr=1.0, length=10_000)
        >>> s(0), s(3_000), round(s(10_000), 9)
        (0.04, 1.0, 4e-06)
    """

    max_lr: Positive
    length: Length
    pct_start: Fraction = 0.3
    div_factor: Factor = 25.0
    final_div_factor: Factor = 1e4
    shape: Literal["cosine", "linear"] = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice("shape", self.shape, ("cosine", "linear"))

    def _at(self, n: Any, xp: Namespace) -> Any:
        peak = self.pct_start * self.length
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        up = progress(n, peak, xp)
        down = progress(xp.clip(n, peak, self.length) - peak, self.length - peak, xp)
        if self.shape == "cosine":
            up, down = half_cosine(*up, xp), half_cosine(*down, xp)
        return xp.where(n < peak, lerp(first, self.max_lr, *up), lerp(self.max_lr, last, *down))
