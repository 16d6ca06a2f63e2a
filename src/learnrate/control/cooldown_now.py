"""Begin the cooldown of a run when a constant LR gains nothing more."""

from dataclasses import field
from typing import Any, Literal

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.trend import (
    add,
    block_length,
    described,
    has_ended,
    require_constant_lr,
    shortest,
    state_with_trend,
    trend_of,
)
from learnrate.control.watched import LOSS, Watching, unit, watched

CONSTANT = 1e-3
"""Share by which LRs may differ that count as the same."""

Constant = state_with_trend("Constant", __name__, begun=0)
"""The state: a trend; 1 once the cooldown has begun."""


@frozen
class cooldown_now(Watching[Any]):
    """Begin the cooldown, once, when the loss at a constant LR has no improvement any more that is worth waiting for.

    The test is that of `plateau`, over the time for which the LR has been constant, within a thousandth; it begins again
    with every change. To begin the cooldown by hand, see `learnrate.control.Cooldown`.

    Args:
        length: Updates of the cooldown, at the end of which the LR is 0.
        patience: See `plateau`.
        monitor: See `plateau`.
        mode: See `plateau`.

    Example:
        >>> from learnrate.control import Observation
        >>> controller = cooldown_now(length=200, patience=100)
        >>> state = controller.init()
        >>> for n in range(1000):
        ...     state, action = controller.update(state, Observation(n, lr=0.1, loss=max(0.5, 2 - n / 200)))
        ...     if action.cooldown:
        ...         print(n, action.cooldown)
        503 200
    """

    length: int = checked(checks.length)
    patience: int = checked(checks.length)
    monitor: str = checked(checks.text, default=LOSS)
    mode: Literal["min", "max"] = field(default="min")

    def init(self) -> Any:
        """See `Controller.init`."""
        return Constant()

    def update(self, state: Any, observation: Observation) -> tuple[Any, Action]:
        """See `Controller.update`."""
        where, xp = observation.xp.where, observation.xp
        trend = require_constant_lr(trend_of(state), observation.lr, observation.restarts, CONSTANT, xp)
        value = watched(self.monitor, self.mode, observation, trend.values)
        if value is None:
            return Constant(*trend, state.begun), Action()
        trend, complete = add(trend, value, block_length(self.patience), xp)
        if complete is False:
            return Constant(*trend, state.begun), Action()
        begins = complete & has_ended(trend, shortest(self.patience), xp) & (state.begun < 1)
        return Constant(*trend, where(begins, 1, state.begun)), Action(cooldown=where(begins, self.length, 0))

    def reason(self, before: Any, after: Any, observation: Observation) -> str:
        """See `Controller.reason`."""
        text = described(
            trend_of(after), block_length(self.patience), shortest(self.patience), self.monitor, unit(self.monitor)
        )
        return f"{text}; the cooldown takes {self.length} updates"
