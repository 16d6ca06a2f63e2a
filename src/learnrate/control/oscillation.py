"""Lower the LR when the loss rises and falls."""

import math
from collections import namedtuple
from typing import Any

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.levels import Level, leveled
from learnrate.schedules.numerics import Namespace

SCALES = 10
"""Number of averages, over 1, 2, 4, ... 512 updates. So periods between 2 and about 300 updates are seen."""

Oscillation: Any = namedtuple(
    "Oscillation",
    (
        *("values", "level", "spread", "factor", "last_lr"),
        *(f"average_{2**k}" for k in range(1, SCALES)),
        *(f"power_{2**k}" for k in range(SCALES - 1)),
    ),
    defaults=(0, 0.0, 0.0, 1.0, 0.0, *[0.0] * (2 * SCALES - 2)),
    module=__name__,
)
"""The state: the level of the losses; the factor; the last LR; the averages, and the mean squares of their differences."""

ABOVE = 4.0
"""What the square on the scale of the period has to be, as a multiple of that of the noise, and of that on longer scales."""

LONGER = 3
"""Scales by which the longer one is longer, that is eight times."""

DROP = 0.95
"""A change of the LR by which the series begins again."""


@frozen
class oscillation(Controller[Any]):  # noqa: N801 - written as a call, as schedules are
    """Lower the LR when the loss rises and falls again and again.

    A loss is noise, a trend, and where the LR is too high a sawtooth. They differ by the scales on which neighbours differ.
    The measure of von Neumann, the mean square of the difference of neighbours, is taken of averages over 1, 2, 4, ... 512
    updates, each relative to what noise alone would give. It is the same on all scales for noise, rises with the scale for a
    trend, and rises to a limit for noise whose neighbours are correlated. For a sawtooth it rises up to half its period, and
    falls beyond. So the loss oscillates if, on some scale, it is 4 times that of the noise and 4 times that on the scale
    that is 8 times as long; for a sawtooth of 2 to 4 updates, which is the noise of the shortest scale, the second decides.
    A fall that is faster than the oscillation hides it.

    Batches in a fixed order, and epochs of 8 batches or fewer, give such a loss at any LR: shuffle them.

    Args:
        patience: Updates over which the squares are averaged, and before which nothing is decided; 30 periods are seen well.
        factor: What the LR is multiplied with.
        min_factor: The factor of this controller does not become less.

    Source: von Neumann, Kent, Bellinson and Hart (1941), The mean square successive difference, Annals of Mathematical
        Statistics 12, 153-162; over averages of growing length, Allan (1966), Statistics of atomic frequency standards,
        Proceedings of the IEEE 54, 221-230.

    Example:
        >>> from learnrate.control import Observation
        >>> controller = oscillation(patience=300)
        >>> state = controller.init()
        >>> for n in range(500):
        ...     loss = 1.0 + 0.1 * (n % 10)  # a sawtooth of 10 updates
        ...     state, action = controller.update(state, Observation(n, lr=0.1, loss=loss))
        >>> action.factor
        0.5
    """

    patience: int = checked(checks.length, default=1000)
    factor: float = checked(checks.fraction, default=0.5)
    min_factor: float = checked(checks.decay, default=0.05)

    def __post_init__(self) -> None:
        checks.check_fields(self)

    def init(self) -> Any:
        """See `Controller.init`."""
        return Oscillation()

    def update(self, state: Any, observation: Observation) -> tuple[Any, Action]:
        """See `Controller.update`."""
        where, xp, lr = observation.xp.where, observation.xp, observation.lr
        if observation.loss is None:
            return state, Action(state.factor)
        restarts = observation.restarts
        changed = (lr < DROP * state.last_lr) | (lr * DROP > state.last_lr) | restarts
        factor = where(restarts, 1.0, state.factor)
        values = where(changed, 0, state.values)
        level, loss, usable = leveled(Level(values, state.level, state.spread), observation.loss, xp)
        averages, powers = self._scales(state, loss, values, usable, xp)
        lowered = factor * self.factor
        lowered = where(lowered > self.min_factor, lowered, self.min_factor)
        lowers = (level.values >= self.patience) & (lowered < factor) & _oscillates(powers, self.patience, xp)
        factor = where(lowers, lowered, factor)
        values = where(lowers, 0, level.values)
        return Oscillation(values, level.level, level.spread, factor, lr, *averages, *powers), Action(factor)

    def _scales(self, state: Any, loss: Any, values: Any, usable: Any, xp: Namespace) -> tuple[list[Any], list[Any]]:
        """The averages, and the mean squares of their differences relative to the noise's."""
        before, powers = state[5 : 4 + SCALES], state[4 + SCALES :]
        first, forget = values < 1, 1 / xp.clip(values, 1, self.patience)
        averages = [
            xp.where(usable, xp.where(first, loss, average + (loss - average) / 2**k), average)
            for k, average in enumerate(before, start=1)
        ]
        shorter = [loss, *averages[:-1]]
        squares = [(a - b) ** 2 / relative for a, b, relative in zip(shorter, averages, _OF_NOISE, strict=True)]
        return averages, [
            xp.where(usable, xp.where(first, 0.0, power + forget * (square - power)), power)
            for square, power in zip(squares, powers, strict=True)
        ]

    def reason(self, before: Any, after: Any, observation: Observation) -> str:
        """See `Controller.reason`."""
        if observation.restarts:
            return "a cycle begins, and the factor with it"
        powers = [value for value in after[4 + SCALES :]]
        highest = max(range(len(powers) - LONGER), key=lambda k: powers[k])
        return (
            f"the loss oscillates with a period near {_period(highest)} updates, by about "
            f"{math.sqrt(powers[highest] * _OF_NOISE[highest]):.3g}; LR times {after.factor / before.factor:.3g}"
        )


def _of_noise(k: int) -> float:
    """The mean square of the difference of the averages k and k + 1 for independent values of variance 1."""
    a, b = 1 / 2**k, 1 / 2 ** (k + 1)
    return a / (2 - a) + b / (2 - b) - 2 * a * b / (a + b - a * b)


_OF_NOISE = [_of_noise(k) for k in range(SCALES - 1)]


def _period(k: int) -> int:
    return round(2 * math.pi * 2 ** (k + 0.5)) if k else 3


def _oscillates(powers: list[Any], patience: int, xp: Namespace) -> Any:
    yes = powers[0] > ABOVE * powers[2]
    for k in range(1, len(powers) - LONGER):
        if 2 ** (k + LONGER) <= patience:
            yes = yes | ((powers[k] > ABOVE * powers[0]) & (powers[k] > ABOVE * powers[k + LONGER]))
    return yes
