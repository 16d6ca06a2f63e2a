"""Raise the LR when the loss falls steadily but slowly."""

from dataclasses import field
from typing import Any, Literal

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.levels import FREE
from learnrate.control.trend import (
    DROP,
    Trend,
    add,
    begun_if,
    block_length,
    falls,
    require_constant_lr,
    shortest,
    state_with_trend,
    trend_of,
)
from learnrate.control.watched import LOSS, Watching, unit, watched
from learnrate.schedules.numerics import NUMBERS, Namespace

Slow = state_with_trend("Slow", __name__, factor=1.0, ceiling=float("inf"), rate=0.0, mark=0.0, width=0.0, former=1.0)
"""The state: a trend; the factor; the factor that is not exceeded any more; the fall in a block before the last raise,
the level then, the distance of the values from it, and the factor then, until it is known what the raise did."""

CONSTANT = 0.05
"""Share by which the LR may change in a stretch. A loss that falls because the LR falls says nothing about a higher LR."""

CLEAR = 5.0
"""Standard errors by which a fall has to be above 0."""

STEADY = 0.25
"""Share of the earlier rate of fall that the present one has to reach, by `LIKELY` standard errors. It is 0.29 for a loss
that falls as 1 / n, 0.46 for 1 / sqrt(n), and falls below for an exponential fall after 7 time constants."""

LIKELY = 1.28
"""Standard errors that 1 of 10 estimates are above."""

HARM = 2.0
"""Standard errors by which a raise has to gain less than the LR before it, to be taken back."""

LEAP = 3.0
"""Mean distances from the level by which the level has to rise after a raise, for it to be taken back at once: 2.4 standard
deviations of a value, for an average over 10 to 50 values."""


@frozen
class slow(Watching[Any]):
    """Raise the LR when the loss, or a metric, falls steadily but slowly; take it back if that does harm.

    As long as the LR is far too low, an update gains in proportion to the LR. But the loss alone does not show whether it is
    too low, so a higher one is tried. The LR is raised when, at a constant LR and after two patiences at least,

    - the fall is certain (five standard errors),
    - it is steady: its present rate is at least a quarter of the rate before, and
    - it is slow: in a patience, by less than the mean distance of a value from the average of the last ones.

    One patience after a raise, the gain since then is compared with what the rate before would have given. If it is less by
    two standard errors, the raise is taken back; and at once if the average of the last losses rises far above where it was,
    or a loss is not finite. Then the LR is not raised again until a cycle of the schedule begins. The same holds once
    anything else lowers the LR: so it cannot go up and down with `plateau` for ever. Where the loss may explode within a few
    updates, use a guard as well, because an LR that is taken back does not take the weights back.

    Args:
        patience: Number of values, see `plateau`.
        factor: What the LR is multiplied with, above 1.
        max_factor: The factor of this controller does not become more.
        monitor: "loss" for the loss of every update, or the name of a metric of evaluations.
        mode: "min" if lower values are better, "max" if higher ones are.

    Example:
        >>> from random import Random
        >>> from learnrate.control import Observation
        >>> controller, noise = slow(patience=100), Random(0)
        >>> state, loss = controller.init(), 2.0
        >>> for n in range(1000):
        ...     loss -= 0.001 * state.factor  # gains in proportion to the LR
        ...     observation = Observation(n, lr=1e-4 * state.factor, loss=loss + noise.gauss(0, 0.2))
        ...     state, action = controller.update(state, observation)
        >>> action.factor > 1
        True
    """

    patience: int = checked(checks.length)
    factor: float = checked(checks.factor, default=1.5)
    max_factor: float = checked(checks.factor, default=10.0)
    monitor: str = checked(checks.text, default=LOSS)
    mode: Literal["min", "max"] = field(default="min")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor == 1:
            checks.refuse("factor", "above 1", self.factor)

    def init(self) -> Any:
        """See `Controller.init`."""
        return Slow()

    def update(self, state: Any, observation: Observation) -> tuple[Any, Action]:
        """See `Controller.update`."""
        where, xp, lr, restarts = observation.xp.where, observation.xp, observation.lr, observation.restarts
        before = trend_of(state)
        trend = require_constant_lr(before, lr, restarts, CONSTANT, xp)
        ceiling = where(lr < DROP * before.last_lr, state.factor, state.ceiling)
        factor, ceiling = where(restarts, 1.0, state.factor), where(restarts, float("inf"), ceiling)
        tried = [where(restarts, 0.0, number) for number in (state.rate, state.mark, state.width, state.former)]
        value = watched(self.monitor, self.mode, observation, trend.values)
        if value is None:
            return Slow(*trend, factor, ceiling, *tried), Action(factor)
        trend, complete = add(trend, value, block_length(self.patience), xp)
        rate, mark, width, former = tried
        leaps = (trend.values >= FREE) & (trend.level - mark > LEAP * width)
        breaks = (rate > 0) & ((value - value != 0) | leaps)
        if complete is False and not breaks:
            return Slow(*trend, factor, ceiling, *tried), Action(factor)
        decides = complete & (trend.blocks >= shortest(self.patience))
        harms = breaks | (decides & (rate > 0) & self._gains_less(trend, rate, mark, xp))
        limit = where(ceiling < self.max_factor, ceiling, self.max_factor)
        raised = where(factor * self.factor < limit, factor * self.factor, limit)
        raises = where(harms, False, decides & (raised > factor * WORTH) & self._is_slow(trend, xp))
        fall = falls(trend, xp)[2][0] / xp.clip(trend.blocks, 1, None)
        now = (fall, trend.mean_16 - fall * (trend.blocks - 1) / 17, trend.spread, factor)
        tried = [where(decides | harms, 0.0, number) for number in tried]
        tried = [where(raises, new, old) for new, old in zip(now, tried, strict=True)]
        ceiling = where(harms, former, ceiling)
        factor = where(raises, raised, where(harms, former, factor))
        trend = begun_if(raises | harms, trend, lr, xp)
        return Slow(*trend, factor, ceiling, *tried), Action(factor)

    def _gains_less(self, trend: Trend, rate: Any, mark: Any, xp: Namespace) -> Any:
        """Whether the mean since the raise is above what the rate before it would have given."""
        blocks = xp.clip(trend.blocks, 1, None)
        expected = mark - rate * (blocks + 1) / 2
        return trend.mean_1 - expected > HARM * trend.noise / xp.sqrt(blocks)

    def _is_slow(self, trend: Trend, xp: Namespace) -> Any:
        estimates, least = falls(trend, xp), shortest(self.patience)
        (past, past_error), (present, error) = estimates[1], estimates[3]
        steady = (past > CLEAR * past_error) & (present - LIKELY * error > STEADY * past)
        gentle = past * least < trend.spread * trend.blocks
        return (trend.blocks >= 2 * least) & steady & gentle

    def reason(self, before: Any, after: Any, observation: Observation) -> str:
        """See `Controller.reason`."""
        if observation.restarts:
            return "a cycle begins, and the factor with it"
        value = watched(self.monitor, self.mode, observation, before.values)
        trend, _ = add(trend_of(before), value, block_length(self.patience), observation.xp)
        if after.factor < before.factor:
            sign = 1 if self.mode == "min" else -1
            level = trend.level if value - value == 0 else value
            return (
                f"from {sign * before.mark:.3g} when the LR was raised, the {self.monitor} has come to {sign * level:.3g}, "
                f"which is a smaller gain than before: factor {after.factor:.3g} again"
            )
        fall, error = falls(trend, NUMBERS)[1]
        count, share = trend.blocks * block_length(self.patience), after.factor / before.factor
        return (
            f"the {self.monitor} falls steadily but slowly: by {fall:.3g} in {count} {unit(self.monitor)}, standard error "
            f"{error:.3g}; LR times {share:.3g}"
        )


WORTH = 1.01
"""A raise that is smaller is none."""
