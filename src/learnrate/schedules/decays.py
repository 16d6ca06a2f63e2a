"""Decays without end, from `start` at update 0.

In the formulas n is the update number. For a formula that decays per epoch, give lengths such as "30 epochs", or keep the
value constant during an epoch with `staircase`.
"""

import math
from collections.abc import Iterator
from typing import Any

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.schedules import durations
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import updates
from learnrate.schedules.numerics import Namespace

__all__ = [
    "exponential_decay",
    "inverse_sqrt",
    "inverse_time",
    "natural_exp_decay",
    "noam",
    "sigmoid_decay",
    "time_based",
]


class Endless(Schedule):
    """A schedule without end."""

    @property
    def length(self) -> None:
        """None: the schedule has no end."""
        return None


@frozen
class inverse_time(Endless):
    """Time-based decay in closed form: value(n) = start / (1 + decay n) ** power.

    With power 1 it is Keras' InverseTimeDecay, with other powers Caffe's "inv" policy.

    Args:
        start: Value at update 0, above 0.
        decay: Decay per update, at least 0.
        power: Exponent, above 0.

    Raises:
        ArgumentError: if a number is out of its range.

    Example:
        >>> inverse_time(1.0, decay=0.01)(100)
        0.5
    """

    start: float = checked(checks.positive_or_traced)
    decay: float = checked(checks.rate)
    power: float = checked(checks.positive, default=1.0)

    def _at(self, n: Any, xp: Namespace) -> Any:
        divisor = 1 + self.decay * n
        return self.start / divisor if self.power == 1 else self.start * divisor**-self.power

    def _range(self) -> tuple[float, float]:
        return (self.start if self.decay == 0 else 0.0), self.start


@frozen
class time_based(Endless):
    """Time-based decay as a recursion: a[0] = start, a[n + 1] = a[n] / (1 + decay n).

    Unlike `inverse_time` it divides the previous value, so it soon falls much faster. In closed form it is a ratio of gamma
    functions, a[n] = start G(x) / (decay ** n G(x + n)) with x = 1 / decay, which is also the value between updates.

    Args:
        start: Value at update 0, above 0.
        decay: Decay per update, above 0.

    Raises:
        ArgumentError: if a number is not above 0.

    Example:
        >>> s = time_based(1.0, decay=0.5)
        >>> s(0), s(1), round(s(3), 9), round(1 / 1.5 / 2, 9)
        (1.0, 1.0, 0.333333333, 0.333333333)
    """

    start: float = checked(checks.positive_or_traced)
    decay: float = checked(checks.positive)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1e-100 <= self.decay <= 1e100:
            checks.refuse("decay", "within 1e-100 and 1e100", self.decay, "outside, the value never falls, or falls at once")

    def _at(self, n: Any, xp: Namespace) -> Any:
        # Updates 0 and 1 have the same value; between them the gamma functions would rise above it.
        return self.start * xp.exp(-xp.clip(_log_rising(1 / self.decay, n, xp), 0.0, None))

    def _range(self) -> tuple[float, float]:
        return 0.0, self.start


_SHIFT = 10
"""From here on Stirling's series is exact to the last digit: at 10 the next term is 1e-16."""


def _log_rising(x: float, n: Any, xp: Namespace) -> Any:
    """Logarithm of the product of (1 + k / x) for k = 0 .. n - 1, which is G(x + n) / (G(x) x ** n)."""
    if x >= _SHIFT:
        return _log_rising_stirling(x, n, xp)
    # G(x + n) = G(x + n + 10) / ((x + n) ... (x + n + 9)), and the same at n = 0.
    shifted = x + _SHIFT
    factors = sum(xp.log1p(n / (x + j)) for j in range(_SHIFT))
    return _log_rising_stirling(shifted, n, xp) + n * math.log(shifted / x) - factors


def _log_rising_stirling(x: float, n: Any, xp: Namespace) -> Any:
    # With t = n / x, Stirling's series gives x (log(1 + t) - t) + (n - 1/2) log(1 + t) and a correction. All terms are as
    # small as their sum; a difference of two log-gammas would lose all digits for a large x.
    t = n / x
    log = xp.log1p(t)
    return x * _log1p_minus(t, log, xp) + (n - 0.5) * log + _series(x + n) - _series(x)


def _log1p_minus(t: Any, log: Any, xp: Namespace) -> Any:
    """log(1 + t) - t, without cancellation for small t: a series in r = t / (2 + t)."""
    small = xp.clip(t, None, 0.5)
    r = small / (2 + small)
    square = r * r
    series = square / 25
    for odd in range(23, 2, -2):
        series = (series + 1 / odd) * square
    return xp.where(t < 0.5, 2 * (r * series - square / (1 - r)), log - t)


def _series(z: Any) -> Any:
    """Stirling's correction of log G(z)."""
    inverse = 1 / z
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))


@frozen
class exponential_decay(Endless):
    """Exponential decay by a rate: value(n) = start * rate ** (n / every).

    With every=1 it is torch's ExponentialLR, with every=decay_steps Keras' ExponentialDecay. For `staircase=True` of Keras,
    add `.staircase(every)`.

    Args:
        start: Value at update 0, above 0.
        rate: Factor per `every` updates, above 0 and at most 1.
        every: Updates, at least 1, fractions allowed, or a text such as "1 epoch".

    Raises:
        ArgumentError: if a number is out of its range.

    Example:
        >>> s = exponential_decay(1.0, rate=0.25, every=10)
        >>> s(5), s(10), s.staircase(10)(15)
        (0.5, 0.25, 0.25)
    """

    start: float = checked(checks.positive_or_traced)
    rate: float = checked(checks.decay)
    every: float | str = checked(durations.period, default=1)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.start * self.rate ** (n / updates(self.every))

    def _range(self) -> tuple[float, float]:
        return (self.start if self.rate == 1 else 0.0), self.start


@frozen
class natural_exp_decay(Endless):
    """Exponential decay by a constant: value(n) = start * exp(-decay n).

    Args:
        start: Value at update 0, above 0.
        decay: Decay constant per update, at least 0.

    Raises:
        ArgumentError: if a number is out of its range.

    Example:
        >>> round(natural_exp_decay(1.0, decay=0.1)(10), 6)
        0.367879
    """

    start: float = checked(checks.positive_or_traced)
    decay: float = checked(checks.rate)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.start * xp.exp(-self.decay * n)

    def _range(self) -> tuple[float, float]:
        return (self.start if self.decay == 0 else 0.0), self.start


@frozen
class inverse_sqrt(Endless):
    """Inverse square root decay: value(n) = max_lr / sqrt(1 + n / timescale).

    After a warm-up of `timescale` updates it is the schedule of Vaswani et al. (arXiv 1706.03762, section 5.3; see `noam`)
    and of Zhai et al. (arXiv 2106.04560, section 3.4): warmup(max_lr, w) >> inverse_sqrt(max_lr, w).
    With steps of one epoch it is k / sqrt(epoch): inverse_sqrt(k, timescale=e).staircase(e).

    Args:
        max_lr: Value at update 0, above 0.
        timescale: Updates, at least 1, or a text.

    Raises:
        ArgumentError: if `max_lr` is not above 0 or `timescale` below 1.

    Example:
        >>> inverse_sqrt(1.0, timescale=100)(300)
        0.5
    """

    max_lr: float = checked(checks.positive_or_traced)
    timescale: int | str = checked(durations.span)

    def _at(self, n: Any, xp: Namespace) -> Any:
        return self.max_lr / xp.sqrt(1 + n / updates(self.timescale))

    def _range(self) -> tuple[float, float]:
        return 0.0, self.max_lr


@frozen
class noam(Endless):
    """The schedule of the Transformer: value(n) = factor * d_model ** -0.5 * min((n + 1) ** -0.5, (n + 1) * warmup ** -1.5).

    Vaswani et al., arXiv 1706.03762, equation 3, where steps are counted from 1.

    Args:
        d_model: Width of the model.
        warmup: Number of updates of the warm-up, at least 1, or a text; 4,000 in the paper.
        factor: Factor on all values, above 0; 1 in the paper.

    Raises:
        ArgumentError: if a number is out of its range.

    Example:
        >>> s = noam(d_model=512, warmup=4000)
        >>> round(s(3999), 9), round(s(15_999), 9)
        (0.000698771, 0.000349386)
    """

    d_model: int = checked(checks.length)
    warmup: int | str = checked(durations.span, default=4000)
    factor: float = checked(checks.positive, default=1.0)

    def _peak(self) -> float:
        return self.factor / math.sqrt(self.d_model) / math.sqrt(updates(self.warmup))

    def _at(self, n: Any, xp: Namespace) -> Any:
        warmup = updates(self.warmup)
        steps = (n + 1.0) / warmup
        return self._peak() * xp.where(steps < 1, steps, 1 / xp.sqrt(xp.clip(steps, 1, None)))

    def _range(self) -> tuple[float, float]:
        return 0.0, self._peak()

    def _edges(self, limit: float) -> Iterator[float]:
        yield updates(self.warmup) - 1


@frozen
class sigmoid_decay(Endless):
    """Logistic decay: value(n) = height / (1 + exp(gamma (n - midpoint))).

    Caffe's "sigmoid" policy, where gamma has the opposite sign.

    Args:
        height: Limit of the values before the fall, above 0; the value at `midpoint` is half of it.
        gamma: Steepness per update, above 0.
        midpoint: Update number of the middle of the fall, or a text.

    Raises:
        ArgumentError: if a number is out of its range.

    Example:
        >>> sigmoid_decay(1.0, gamma=0.1, midpoint=100)(100)
        0.5
    """

    height: float = checked(checks.positive_or_traced)
    gamma: float = checked(checks.positive)
    midpoint: int | str = checked(durations.span)

    def _at(self, n: Any, xp: Namespace) -> Any:
        x = self.gamma * (n - updates(self.midpoint))
        # The exponential of a negative number only, because that of a large number overflows.
        small = xp.exp(-xp.abs(x))
        return self.height * xp.where(x < 0, 1 / (1 + small), small / (1 + small))

    def _range(self) -> tuple[float, float]:
        return 0.0, self(0)
