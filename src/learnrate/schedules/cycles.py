"""Cyclical learning rates (Smith, arXiv 1506.01186): windows times envelopes between two bounds.

All positions in a cycle are taken with integer arithmetic before the first division, so that update 1,000,000,007 is
as exact as update 7, in float32 as well.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from learnrate import checks
from learnrate.checks import Decay, Positive, Rate, Times
from learnrate.errors import ArgumentTypeError
from learnrate.schedules import functions, periods
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import UNRESOLVED, OptionalSpan, Span, updates
from learnrate.schedules.functions import Function
from learnrate.schedules.numerics import Namespace, blend, power, split
from learnrate.schedules.shapes import LINEAR, WINDOWS, Shape, Way, by_function

Shrinks = Literal["amplitude", "bounds"]


class _Cyclical(Schedule):
    """What the cyclical policies share: bounds, half-cycles of `step_size` updates, and an end only where one is stated."""

    base_lr: Rate
    max_lr: Positive
    step_size: Span
    cycles: Times

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.ordered("base_lr", self.base_lr, "max_lr", self.max_lr)

    @property
    def length(self) -> int | str | None:
        """The whole cycles, in updates; None where no number of cycles is given."""
        if self.cycles is None:
            return None
        return self._period() * self.cycles if self.is_resolved else UNRESOLVED

    def _down(self) -> int:
        """Length of the way down, in updates."""
        return updates(self.step_size)

    def _period(self) -> int:
        return updates(self.step_size) + self._down()

    def _window(self) -> Shape:
        return LINEAR

    def _height(self, cycle: Any, n: Any, xp: Namespace) -> Any:
        """What the envelope leaves of the cycle's height; None for all of it."""
        return None

    def _shrinks_bounds(self) -> bool:
        return False

    def _at(self, n: Any, xp: Namespace) -> Any:
        if self.cycles is not None:
            n = xp.clip(n, None, self._period() * self.cycles)
        up, down = updates(self.step_size), self._down()
        cycle, into = split(n, up + down)
        if up == down:
            way = Way(up - xp.abs(into - up), up, xp)
        else:
            way = Way(xp.where(into < up, into / up, (up + down - into) / down), 1.0, xp)
        window, height = self._window().rise(way), self._height(cycle, n, xp)
        if self._shrinks_bounds() and height is not None:
            return blend(self.base_lr, self.max_lr, window) * height
        return blend(self.base_lr, self.max_lr, window if height is None else window * height)

    def _range(self) -> tuple[float, float]:
        return self.base_lr, self.max_lr

    def _edges(self, limit: float) -> Iterator[float]:
        for start, _ in periods.spans(self._period(), 1, self.cycles, limit):
            yield start + updates(self.step_size)
            yield start + self._period()

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from periods.ends(self._period(), 1, self.cycles, limit)

    def _span(self) -> int:
        return updates(self.length) if self.length is not None else 5 * self._period()


@dataclass(frozen=True, repr=False)
class triangular(_Cyclical):
    """Up and down between two bounds, cycle after cycle.

    value(n) = base_lr + (max_lr - base_lr) max(0, 1 - x), where x = abs(n / step_size - 2 cycle + 1) and
    cycle = floor(1 + n / (2 step_size)) (Smith, arXiv 1506.01186, section 3.1).

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound, above `base_lr`; reached at update `step_size`.
        step_size: Half a cycle, in updates or as a text. The paper advises 2 to 10 epochs (section 3.2).
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
    step_size: Span
    cycles: Times = None


@dataclass(frozen=True, repr=False)
class triangular2(_Cyclical):
    """`triangular` whose amplitude is halved after every cycle.

    value(n) = base_lr + (max_lr - base_lr) w(n) / 2 ** k, with w the triangle of `triangular` and k = floor(n / (2
    step_size)) (Smith, arXiv 1506.01186, section 3.1).

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound of the first cycle, above `base_lr`; reached at update `step_size`.
        step_size: Half a cycle, in updates or as a text. The paper advises 2 to 10 epochs (section 3.2).
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
    step_size: Span
    cycles: Times = None

    def _height(self, cycle: Any, n: Any, xp: Namespace) -> Any:
        return power(0.5, cycle)


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
        step_size: Half a cycle, in updates or as a text.
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
    step_size: Span
    gamma: Decay
    cycles: Times = None
    shrinks: Shrinks = "amplitude"

    def _height(self, cycle: Any, n: Any, xp: Namespace) -> Any:
        return _per_update(self.gamma, n, xp)

    def _shrinks_bounds(self) -> bool:
        return self.shrinks == "bounds"

    def _range(self) -> tuple[float, float]:
        rise = updates(self.step_size)
        tried = [0.0, float(rise)]
        if self.gamma < 1:
            # A straight rise a + b n times exp(n log gamma) turns at n = -1 / log gamma - a / b, perhaps before its peak.
            lowest = self.base_lr if self._shrinks_bounds() else 0.0
            turn = -1 / math.log(self.gamma) - lowest * rise / (self.max_lr - self.base_lr)
            if 0 < turn < rise:
                tried.append(turn)
        values = [self(n) for n in tried]
        if not self._shrinks_bounds():
            return self.base_lr, max(values)
        return (0.0 if self.cycles is None else min(self(self._period() * self.cycles), *values)), max(values)


def _per_update(gamma: float, n: Any, xp: Namespace) -> Any:
    # exp(n log gamma) rather than gamma ** n: in float32 gamma itself would be rounded, and the power would multiply
    # that error by n.
    return xp.exp(math.log(gamma) * n)


def _window(name: str, value: object) -> str | Function:
    if isinstance(value, str):
        return checks.choice(name, value, tuple(WINDOWS))
    if not callable(value):
        raise ArgumentTypeError(f"{name} must be a function or one of {', '.join(map(repr, WINDOWS))}, received {value!r}")
    return functions.shape(name, value)


@dataclass(frozen=True, repr=False)
class cyclical(_Cyclical):
    """Any window under any envelope: value(n) = base_lr + (max_lr - base_lr) w(n) e(n).

    The window w is the way up from 0 to 1 in `step_size` updates, and the same way down; u is the fraction of it:

    - "triangular": u
    - "welch": u (2 - u), a parabola (Smith, arXiv 1506.01186, section 3.1)
    - "hann": (1 - cos(pi u)) / 2, a sine wave (same section)
    - a function of u, from 0 at 0 to 1 at 1

    The envelope e is "constant", "halving" with every cycle, "gamma per update" or "gamma per cycle".
    triangular, triangular2 and exp_range are the three of these that the paper names.

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound of the first cycle, above `base_lr`.
        step_size: Length of the way up, in updates or as a text.
        step_size_down: Length of the way down; the same by default.
        window: A word or a function, see above.
        envelope: A word, see above.
        gamma: Factor of the envelopes that take one, above 0 and at most 1.
        cycles: Number of cycles after which the schedule ends; endless by default.
        shrinks: What the envelope shrinks, see `exp_range`.

    Raises:
        ArgumentError: if a bound is negative or not finite, the bounds are swapped, a length is below 1, `gamma` is outside
            (0, 1], or a word or function is none of the above.

    Example:
        >>> s = cyclical(base_lr=1.0, max_lr=5.0, step_size=4, step_size_down=2, window="hann")
        >>> [round(s(n), 6) for n in range(7)]
        [1.0, 1.585786, 3.0, 4.414214, 5.0, 3.0, 1.0]
    """

    base_lr: Rate
    max_lr: Positive
    step_size: Span
    step_size_down: OptionalSpan = None
    window: Annotated[str | Function, _window] = "triangular"
    envelope: Literal["constant", "halving", "gamma per update", "gamma per cycle"] = "constant"
    gamma: Decay = 1.0
    cycles: Times = None
    shrinks: Shrinks = "amplitude"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma != 1 and not self.envelope.startswith("gamma"):
            checks.refuse("gamma", f"1 where the envelope is {self.envelope!r}", self.gamma, "use 'gamma per cycle', say")

    def _down(self) -> int:
        return updates(self.step_size if self.step_size_down is None else self.step_size_down)

    def _window(self) -> Shape:
        return WINDOWS[self.window] if isinstance(self.window, str) else by_function(self.window)

    def _height(self, cycle: Any, n: Any, xp: Namespace) -> Any:
        if self.envelope == "gamma per update":
            return _per_update(self.gamma, n, xp)
        factor = {"constant": 1.0, "halving": 0.5, "gamma per cycle": self.gamma}[self.envelope]
        return None if factor == 1 else power(factor, cycle)

    def _shrinks_bounds(self) -> bool:
        return self.shrinks == "bounds"

    def _range(self) -> tuple[float, float]:
        if self.shrinks == "amplitude" or self.envelope == "constant":
            return self.base_lr, self.max_lr
        return 0.0, self.max_lr
