"""Cyclical learning rates (Smith, arXiv 1506.01186): windows times envelopes between two bounds.

The position in a cycle is computed in integers before the first division, so update 1,000,000,007 is as exact as update 7,
also in float32.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.schedules import durations, functions, periods
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import UNRESOLVED, Horizon, updates
from learnrate.schedules.functions import Function
from learnrate.schedules.numerics import Namespace, blend, power, split
from learnrate.schedules.shapes import LINEAR, WINDOWS, Progress, Shape, by_function

__all__ = ["cyclical", "exp_range", "triangular", "triangular2"]

Shrinks = Literal["amplitude", "bounds"]


class _Cyclical(Schedule):
    """What the cyclical policies share: bounds, half cycles of `step_size` updates, and an end only if `cycles` is given."""

    base_lr: float
    max_lr: float
    step_size: float | str
    cycles: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.ordered("base_lr", self.base_lr, "max_lr", self.max_lr)

    @property
    def length(self) -> int | str | None:
        """Length of all cycles in updates; None if `cycles` is not given."""
        if self.cycles is None:
            return None
        return periods.edge(2 * self.cycles, self._halves()) if self.is_resolved else UNRESOLVED

    def _exact_length(self, horizon: Horizon) -> Fraction:
        halves = (self.step_size, self._fall_length())
        return (self.cycles or 1) * sum((horizon.exactly(half) for half in halves), Fraction(0))

    def _fall_length(self) -> float | str:
        return self.step_size

    def _halves(self) -> tuple[float, float]:
        """Lengths of the rise and of the fall in updates."""
        return updates(self.step_size), updates(self._fall_length())

    def _window(self) -> Shape:
        return LINEAR

    def _height(self, cycle: Any, n: Any, xp: Namespace) -> Any:
        """Height of the cycle as a share of the full height; None for the full height."""
        return None

    def _shrinks_bounds(self) -> bool:
        return False

    def _at(self, n: Any, xp: Namespace) -> Any:
        up, down = updates(self.step_size), updates(self._fall_length())
        fractional = isinstance(up + down, float)
        if self.cycles is not None:
            n = xp.clip(n, None, periods.edge(2 * self.cycles, (up, down)) if fractional else (up + down) * self.cycles)
        if fractional:
            half, into, length = periods.segment(n, (up, down), xp)
            cycle, falling = split(half, 2)
            at = Progress(xp.where(falling == 0, into, length - into), length, xp)
        else:
            cycle, into = split(n, up + down)
            if up == down:
                at = Progress(up - xp.abs(into - up), up, xp)
            else:
                at = Progress(xp.where(into < up, into / up, (up + down - into) / down), 1.0, xp)
        window, height = self._window().rise(at), self._height(cycle, n, xp)
        if self._shrinks_bounds() and height is not None:
            return blend(self.base_lr, self.max_lr, window) * height
        return blend(self.base_lr, self.max_lr, window if height is None else window * height)

    def _range(self) -> tuple[float, float]:
        return self.base_lr, self.max_lr

    def _edges(self, limit: float) -> Iterator[float]:
        yield from periods.edges(self._halves(), None if self.cycles is None else 2 * self.cycles, limit)

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        yield from list(periods.edges(self._halves(), None if self.cycles is None else 2 * self.cycles, limit))[1::2]

    def _span(self) -> int:
        return updates(self.length) if self.length is not None else periods.edge(10, self._halves())


@frozen
class triangular(_Cyclical):
    """A triangle wave between two bounds.

    value(n) = base_lr + (max_lr - base_lr) max(0, 1 - x), where x = abs(n / step_size - 2 cycle + 1) and
    cycle = floor(1 + n / (2 step_size)) (Smith, arXiv 1506.01186, section 3.1).

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound, above `base_lr`; reached at update `step_size`.
        step_size: Half a cycle, in updates (fractions allowed) or as a text. The paper recommends 2 to 10 epochs (section
            3.2). Half cycle number k begins at update round(k * step_size).
        cycles: Number of cycles after which the schedule ends at `base_lr`; without end by default.

    Raises:
        ArgumentError: if a bound is negative or not finite, `base_lr` is not below `max_lr`, or a length is below 1.

    Example:
        >>> s = triangular(base_lr=1.0, max_lr=5.0, step_size=4)
        >>> [s(n) for n in range(9)]
        [1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    """

    base_lr: float = checked(checks.rate_or_traced)
    max_lr: float = checked(checks.positive_or_traced)
    step_size: float | str = checked(durations.period)
    cycles: int | None = checked(checks.optional(checks.length), default=None)


@frozen
class triangular2(_Cyclical):
    """`triangular` with an amplitude that is halved after every cycle.

    value(n) = base_lr + (max_lr - base_lr) w(n) / 2 ** k, where w is the triangle of `triangular` and
    k = floor(n / (2 step_size)) (Smith, arXiv 1506.01186, section 3.1).

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound of the first cycle, above `base_lr`; reached at update `step_size`.
        step_size: Half a cycle, in updates (fractions allowed) or as a text. The paper recommends 2 to 10 epochs (section
            3.2). Half cycle number k begins at update round(k * step_size).
        cycles: Number of cycles after which the schedule ends at `base_lr`; without end by default.

    Raises:
        ArgumentError: if a bound is negative or not finite, `base_lr` is not below `max_lr`, or a length is below 1.

    Example:
        >>> s = triangular2(base_lr=1.0, max_lr=5.0, step_size=2)
        >>> [s(n) for n in range(9)]
        [1.0, 3.0, 5.0, 3.0, 1.0, 2.0, 3.0, 2.0, 1.0]
    """

    base_lr: float = checked(checks.rate_or_traced)
    max_lr: float = checked(checks.positive_or_traced)
    step_size: float | str = checked(durations.period)
    cycles: int | None = checked(checks.optional(checks.length), default=None)

    def _height(self, cycle: Any, n: Any, xp: Namespace) -> Any:
        return power(0.5, cycle)


@frozen
class exp_range(_Cyclical):
    """`triangular` that shrinks by a factor `gamma` at every update.

    Two forms are published. w is the triangle of `triangular`:

    - shrinks="amplitude": value(n) = base_lr + (max_lr - base_lr) w(n) gamma ** n. The form of the CLR code for Keras and
      of torch's CyclicLR.
    - shrinks="bounds": value(n) = (base_lr + (max_lr - base_lr) w(n)) gamma ** n. The form in the text of the paper, "each
      boundary value declines by an exponential factor of gamma ** iteration" (Smith, arXiv 1506.01186, section 3.1).

    The default is "amplitude", because nearly all published runs used it, and because it respects the lower bound of a range
    test, below which updates are wasted.

    Args:
        base_lr: Lower bound, at least 0.
        max_lr: Upper bound, above `base_lr`.
        step_size: Half a cycle, in updates or as a text.
        gamma: Factor per update, above 0 and at most 1; 0.99994 in the paper.
        cycles: Number of cycles after which the schedule ends; without end by default.
        shrinks: "amplitude" or "bounds".

    Raises:
        ArgumentError: if a bound is negative or not finite, `base_lr` is not below `max_lr`, a length is below 1, `gamma` is
            outside (0, 1] or `shrinks` is another word.

    Example:
        >>> s = exp_range(base_lr=1.0, max_lr=2.0, step_size=1, gamma=0.5)
        >>> [round(s(n), 6) for n in range(4)]
        [1.0, 1.5, 1.0, 1.125]
    """

    base_lr: float = checked(checks.rate_or_traced)
    max_lr: float = checked(checks.positive_or_traced)
    step_size: float | str = checked(durations.period)
    gamma: float = checked(checks.decay)
    cycles: int | None = checked(checks.optional(checks.length), default=None)
    shrinks: Shrinks = "amplitude"

    def _height(self, cycle: Any, n: Any, xp: Namespace) -> Any:
        return _per_update(self.gamma, n, xp)

    def _shrinks_bounds(self) -> bool:
        return self.shrinks == "bounds"

    def _range(self) -> tuple[float, float]:
        rise = periods.edge(1, self._halves())
        extrema = [0.0, float(rise)]
        if self.gamma < 1:
            # A linear rise a + b n times exp(n log gamma) is highest at n = -1 / log gamma - a / b, perhaps before its end.
            lowest = self.base_lr if self._shrinks_bounds() else 0.0
            turn = -1 / math.log(self.gamma) - lowest * rise / (self.max_lr - self.base_lr)
            if 0 < turn < rise:
                extrema.append(turn)
        values = [self(n) for n in extrema]
        if not self._shrinks_bounds():
            return self.base_lr, max(values)
        return (0.0 if self.length is None else min(self(updates(self.length)), *values)), max(values)


def _per_update(gamma: float, n: Any, xp: Namespace) -> Any:
    # Not gamma ** n: in float32 gamma itself would be rounded, and the power would multiply that error by n.
    return xp.exp(math.log(gamma) * n)


def _window(name: str, value: object) -> str | Function:
    if isinstance(value, str):
        return checks.choice(name, value, tuple(WINDOWS))
    if not callable(value):
        checks.refuse_type(name, "a function or one of " + ", ".join(map(repr, WINDOWS)), value)
    return functions.shape(name, value)


@frozen
class cyclical(_Cyclical):
    """Any window under any envelope: value(n) = base_lr + (max_lr - base_lr) w(n) e(n).

    The window w rises from 0 to 1 in `step_size` updates and falls back along the same curve. With u, the completed fraction
    of the rise, it is one of

    - "triangular": u
    - "welch": u (2 - u), a parabola (Smith, arXiv 1506.01186, section 3.1)
    - "hann": (1 - cos(pi u)) / 2, a sine wave (same section)
    - a function of u that is 0 at 0 and 1 at 1

    The envelope e is "constant", "halving" (after every cycle), "gamma per update" or "gamma per cycle".
    The paper names three combinations: triangular, triangular2 and exp_range.

    Args:
        base_lr: Lower bound, at least 0; the value at update 0.
        max_lr: Upper bound of the first cycle, above `base_lr`.
        step_size: Length of the rise, in updates or as a text.
        step_size_down: Length of the fall, in updates or as a text; `step_size` by default.
        window: A word or a function, see above.
        envelope: A word, see above.
        gamma: Factor of the two gamma envelopes, above 0 and at most 1.
        cycles: Number of cycles after which the schedule ends; without end by default.
        shrinks: "amplitude" or "bounds", see `exp_range`.

    Raises:
        ArgumentError: if a bound is negative or not finite, `base_lr` is not below `max_lr`, a length is below 1, `gamma` is
            outside (0, 1], or a word or function is not one of the above.

    Example:
        >>> s = cyclical(base_lr=1.0, max_lr=5.0, step_size=4, step_size_down=2, window="hann")
        >>> [round(s(n), 6) for n in range(7)]
        [1.0, 1.585786, 3.0, 4.414214, 5.0, 3.0, 1.0]
    """

    base_lr: float = checked(checks.rate_or_traced)
    max_lr: float = checked(checks.positive_or_traced)
    step_size: float | str = checked(durations.period)
    step_size_down: float | str | None = checked(durations.optional_period, default=None)
    window: str | Function = checked(_window, default="triangular")
    envelope: Literal["constant", "halving", "gamma per update", "gamma per cycle"] = "constant"
    gamma: float = checked(checks.decay, default=1.0)
    cycles: int | None = checked(checks.optional(checks.length), default=None)
    shrinks: Shrinks = "amplitude"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma != 1 and not self.envelope.startswith("gamma"):
            checks.refuse("gamma", f"1 if the envelope is {self.envelope!r}", self.gamma, "use envelope='gamma per cycle'")

    def _fall_length(self) -> float | str:
        return self.step_size if self.step_size_down is None else self.step_size_down

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
