"""Lower the LR when the loss has stopped falling."""

from dataclasses import field
from typing import Any, ClassVar, Literal

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.peers import keras_plateau, optax_plateau, timm_plateau, torch_plateau
from learnrate.control.trend import (
    FIELDS,
    add,
    begun_if,
    block_length,
    described,
    follow_lr,
    has_ended,
    recent_level,
    shortest,
    state_with_trend,
    trend_of,
)
from learnrate.control.watched import LOSS, Watching, unit, watched

Plateau = state_with_trend("Plateau", __name__, factor=1.0, pause=0, patiences=1, mark=float("inf"), mark_error=0.0)
"""The state: a trend; the factor; values that are still left out; the patience now, as a multiple; the level when the LR was
last lowered, and its standard error."""

GAIN = 3.0
"""Standard errors by which a level has to be below an earlier one to be a gain."""

WORTH = 0.99
"""A factor above which the LR would hardly change: at the floor, nothing is done any more."""


@frozen
class plateau(Watching[Any]):
    """Lower the LR when the loss, or a metric, has no improvement any more that is worth waiting for.

    The values since the last change of the LR are tested for a trend against their own noise. The best value so far, which
    noise makes a matter of luck, plays no part. The result is the same for a loss of any sign, scale and level.
    **No improvement worth waiting for** means one of two things:

    - There is no significant fall: the average of a later part of the values is not below that of an earlier one by half a
      standard error. After one `patience` the whole stretch is asked, and later also ever shorter parts of its end: from 2
      patiences on about the last three quarters, from 4 on three eighths, from 12 on a fifth. What is certain to be seen
      (5 standard errors) is a fall within a patience of 17 * noise / sqrt(patience). `noise` is the standard deviation
      of a value, times sqrt((1 + r) / (1 - r)) if each is correlated by r with the one before. These are 0.54 standard
      deviations of the loss for a patience of 1,000 updates.
    - The fall has become much slower: its present rate is, by three standard errors, below a share of the rate before it:
      0.07, where the last three quarters of the stretch are compared with its last third, up to 0.45, where its last tenth
      is compared with its last fortieth. Logarithms and power laws with exponents up to 1.5 never become slower like that.
      An exponential fall does when it is complete to one in a million, if the noise lets that be seen.

    A lower LR also makes the fall slower, down to one that nobody can see in a patience. So each time that the LR was
    lowered and that brought no gain (of three standard errors), the patience is doubled.

    Losses that are not finite are ignored, and single values far from the others are clipped at 5 standard deviations. The
    stretch begins again when the LR has risen by a quarter (in a warm-up, or through another controller), when it drops by a
    fifth at once (at a milestone), and with each cycle of the schedule, with which the factor and the patience are the first
    ones again, too.

    `benchmarks/controllers.py` measures how often it acts while a loss falls, and how soon on a plateau: docs/reacting.md.

    Args:
        patience: Number of values without which nothing is decided: updates, or evaluations if a metric is watched. A
            patience below 10 is one of 10. It should cover an epoch, in which a loss may fall in one step, and 16 times
            the length over which the noise is correlated.
        factor: What the LR is multiplied with. 0.3 twice is an order of magnitude.
        monitor: "loss" for the loss of every update, or the name of a metric of evaluations.
        mode: "min" if lower values are better, "max" if higher ones are.
        cooldown: Values after a change that are left out, while the loss settles.
        min_lr: The LR is not lowered below this one.
        min_factor: The factor of this controller does not become less.

    Example:
        >>> from learnrate.control import Observation
        >>> controller = plateau(patience=100, factor=0.1)
        >>> state = controller.init()
        >>> for n in range(1000):
        ...     loss = max(0.5, 2 - n / 200)
        ...     state, action = controller.update(state, Observation(n, lr=0.1 * state.factor, loss=loss))
        ...     if action.factor < 1:
        ...         break
        >>> n, action.factor
        (503, 0.1)
    """

    patience: int = checked(checks.length)
    factor: float = checked(checks.fraction, default=0.3)
    monitor: str = checked(checks.text, default=LOSS)
    mode: Literal["min", "max"] = field(default="min")
    cooldown: int = checked(lambda name, value: checks.whole(name, value, at_least=0), default=0)
    min_lr: float = checked(checks.rate, default=0.0)
    min_factor: float = checked(checks.weight, default=0.0)

    torch: ClassVar = torch_plateau
    """torch's `ReduceLROnPlateau`, call by call; see `learnrate.control.peers`."""
    keras: ClassVar = keras_plateau
    """Keras' `ReduceLROnPlateau`, call by call."""
    timm: ClassVar = timm_plateau
    """timm's `PlateauLRScheduler`, call by call."""
    optax: ClassVar = optax_plateau
    """optax' `contrib.reduce_on_plateau`, call by call."""

    def init(self) -> Any:
        """See `Controller.init`."""
        return Plateau()

    def update(self, state: Any, observation: Observation) -> tuple[Any, Action]:
        """See `Controller.update`."""
        where, xp, restarts = observation.xp.where, observation.xp, observation.restarts
        trend = follow_lr(trend_of(state), observation.lr, restarts, xp)
        own = [where(restarts, new, old) for new, old in zip(_OWN, state[FIELDS:], strict=True)]
        factor, pause, patiences, mark, mark_error = own
        value = watched(self.monitor, self.mode, observation, trend.values)
        if value is None:
            return Plateau(*trend, *own), Action(factor)
        value = where(pause > 0, float("nan"), value)
        pause = xp.clip(pause - 1, 0, None)
        trend, complete = add(trend, value, block_length(self.patience), xp)
        if complete is False:
            return Plateau(*trend, factor, pause, patiences, mark, mark_error), Action(factor)
        share, (level, error) = self._share(factor, observation), recent_level(trend, xp)
        lowers = complete & has_ended(trend, patiences * shortest(self.patience), xp) & (share < WORTH)
        gains = mark - level > GAIN * xp.sqrt(error**2 + mark_error**2)
        own = [factor * share, self.cooldown, where(gains, patiences, 2 * patiences), level, error]
        before = (factor, pause, patiences, mark, mark_error)
        own = [where(lowers, new, old) for new, old in zip(own, before, strict=True)]
        return Plateau(*begun_if(lowers, trend, observation.lr, xp), *own), Action(own[0])

    def _share(self, factor: Any, observation: Observation) -> Any:
        """What the LR may be multiplied with."""
        lr = observation.lr
        lowest = self.min_lr / observation.xp.where(lr > 0, lr, 1.0)
        floor = observation.xp.clip(self.min_factor / factor, self.factor, None)
        return observation.xp.where(lowest > floor, lowest, floor)

    def reason(self, before: Any, after: Any, observation: Observation) -> str:
        """See `Controller.reason`."""
        if observation.restarts:
            return "a cycle begins, and the factor with it"
        value = watched(self.monitor, self.mode, observation, before.values)
        block, least = block_length(self.patience), before.patiences * shortest(self.patience)
        trend, _ = add(trend_of(before), value, block, observation.xp)
        share = after.factor / before.factor
        return f"{described(trend, block, least, self.monitor, unit(self.monitor))}; LR times {share:.3g}"


_OWN = Plateau()[FIELDS:]
