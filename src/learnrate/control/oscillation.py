"""Lower the LR when the loss rises and falls."""

import math
from collections import namedtuple
from functools import reduce
from operator import or_
from typing import Any

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.levels import Level, leveled
from learnrate.schedules.numerics import Namespace

OF_NOISE = (0.333333, 0.171429, 0.0534231, 0.0219229, 0.0101676, 0.00491415, 0.00241745, 0.00119914, 0.000597208)
"""The mean squares of the differences of the averages for independent values of variance 1: the sums of the squares of their
responses to one value of 1."""

SCALES = len(OF_NOISE)


def _state_type() -> Any:
    averages, powers = ([f"{name}_{2**k}" for k in range(1, SCALES + 1)] for name in ("average", "power"))
    names = ["values", "level", "spread", "factor", "last_lr", *averages, *powers]
    return namedtuple("Oscillation", names, defaults=(0, 0.0, 0.0, 1.0, 0.0, *[0.0] * (2 * SCALES)), module=__name__)


Oscillation = _state_type()
"""The state: the level of the losses; the factor; the last LR; the averages, and the mean squares of their differences."""

FALLS = 4.0
"""By what the square on the scale of the oscillation has to be larger than that on the scale that is 4 times as long: a
sawtooth of 40 updates has 5, a sine more than 16, and noise of any correlation between neighbours at most 1."""

FALLS_AT_ONCE = 6.0
"""The same where the oscillation is on the shortest scale. Noise has 1, and batches that are drawn without replacement, four
to an epoch, 4.2."""

CLEAR = 5.0
"""Standard errors by which the square has to be above that of the noise."""

SEEN = 32
"""How often the longest scale has to fit into a patience, for its square to be measured within a factor of 2."""

SETTLED = SEEN // 2
"""How often a scale has to have fitted before its square is looked at."""

DROP = 0.95
"""A change of the LR by which the series begins again."""


@frozen
class oscillation(Controller[Any]):
    """Lower the LR when the loss rises and falls again and again.

    A loss consists of noise, a trend and, where the LR is too high, an oscillation. They differ in the scales on which
    neighbours differ. The measure of von Neumann, the mean square of the difference of neighbours, is taken here of averages
    over 1, 2, 4, ... 512 updates, each average being made from the one before it, and is divided by what independent noise
    would give. For such noise it is then the same on all scales, for noise with correlated neighbours it rises to a limit,
    and for a trend it rises without one. For an oscillation it rises up to the scale of the period and falls beyond. So the
    loss oscillates if the measure on some scale is clearly above that of the shortest one, and 4 times that of the
    scale that is 4 times as long. An oscillation of 2 to 4 updates, on the shortest scale, has to be 6 times that.
    Periods up to a 30th of the patience are seen. A trend that is steeper than the oscillation hides it.

    Batches in a fixed order, or epochs of 3 batches or fewer, give such a loss with any LR: shuffle them.

    Args:
        patience: Number of updates without which nothing is decided, and over which the measure is averaged.
        factor: What the LR is multiplied with.
        min_factor: The factor of this controller does not become less.

    Source: von Neumann, Kent, Bellinson and Hart (1941), The mean square successive difference, Annals of Mathematical
        Statistics 12, 153-162; over averages of growing length, Allan (1966), Statistics of atomic frequency standards,
        Proceedings of the IEEE 54, 221-230.

    Example:
        >>> from learnrate.control import Observation
        >>> controller = oscillation(patience=1000)
        >>> state = controller.init()
        >>> for n in range(1500):
        ...     loss = 1.0 + (0.1 if n % 10 < 5 else 0.0)  # a square wave of 10 updates
        ...     state, action = controller.update(state, Observation(n, lr=0.1, loss=loss))
        >>> action.factor
        0.5
    """

    patience: int = checked(checks.length, default=2000)
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
        lowers = (level.values >= self.patience) & (lowered < factor) & reduce(or_, _shown(powers, self.patience))
        factor = where(lowers, lowered, factor)
        values = where(lowers, 0, level.values)
        return Oscillation(values, level.level, level.spread, factor, lr, *averages, *powers), Action(factor)

    def _scales(self, state: Any, loss: Any, values: Any, usable: Any, xp: Namespace) -> tuple[list[Any], list[Any]]:
        """The averages, and the mean squares of their differences relative to those of noise."""
        where = xp.where
        first, share = values < 1, 1 / (xp.clip(values, 0, self.patience) + 1)
        averages, powers, shorter = [], [], loss
        for k, (old, power) in enumerate(zip(state[5 : 5 + SCALES], state[5 + SCALES :], strict=True)):
            average = where(first, loss, old + (shorter - old) * where(share > 0.5 ** (k + 1), share, 0.5 ** (k + 1)))
            average = where(usable, average, old)
            # The first value is up to an amplitude off the mean, which averages as long as this one forget slowly.
            measured = values + 1 - SETTLED * 2**k
            square = (shorter - average) ** 2 / OF_NOISE[k]
            power = power + (square - power) / xp.clip(measured, 1, self.patience)
            powers.append(where(usable, where(measured < 1, 0.0, power), state[5 + SCALES + k]))
            averages.append(average)
            shorter = average
        return averages, powers

    def reason(self, before: Any, after: Any, observation: Observation) -> str:
        """See `Controller.reason`."""
        if observation.restarts:
            return "a cycle begins, and the factor with it"
        _, powers = self._scales(before, observation.loss, before.values, True, observation.xp)
        scales = [k for k, shown in enumerate(_shown(powers, self.patience)) if shown]
        scale = max(scales, key=lambda k: powers[k])
        period = "2 to 4" if scale == 0 else f"about {round(2 * math.pi * 2 ** (scale - 0.5))}"
        return f"the loss rises and falls with a period of {period} updates; LR times {after.factor / before.factor:.3g}"


def _shown(powers: list[Any], patience: int) -> list[Any]:
    """Whether the loss oscillates, by scale."""
    shown = [powers[0] > FALLS_AT_ONCE * powers[2]]
    for k in range(1, SCALES - 2):
        if SEEN * 2 ** (k + 2) <= patience:
            least = 1 + CLEAR * math.sqrt(3 * 2**k / patience)
            shown.append((powers[k] > least * powers[0]) & (powers[k] > FALLS * powers[k + 2]))
    return shown
