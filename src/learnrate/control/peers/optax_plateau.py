"""optax.contrib.reduce_on_plateau as a controller."""

import math
from typing import Any, NamedTuple

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.peers.observed import called, monitor, monitored, scaled_by
from learnrate.control.peers.torch_plateau import at_least_0
from learnrate.control.watched import Watching
from learnrate.errors import ArgumentError


class OptaxState(NamedTuple):
    """What the rule remembers.

    Attributes:
        scale: Its factor.
        best: The best mean.
        plateau: Means without a better one.
        cooldown: Means for which it still waits.
        count: Values in the present mean.
        mean: Their mean.
    """

    scale: Any = 1.0
    best: Any = math.inf
    plateau: Any = 0
    cooldown: Any = 0
    count: Any = 0
    mean: Any = 0.0


def _share(name: str, value: object) -> float:
    checked_value = checks.rate(name, value)
    if checked_value > 1:
        checks.refuse(name, "at most 1", value)
    return checked_value


@frozen
class optax_plateau(Watching[OptaxState]):
    """optax' reduce_on_plateau: lower the LR when the best mean of the loss has not become better for `patience` means.

    It is equal to optax 0.2.8's rule call by call, with its faults, on any schedule, for parameters of double precision.
    optax keeps its factor in the lowest precision of the parameters; this controller keeps it in that of the loss.

    The floor is a rule about the factor, not about the LR: `min_scale` bounds the factor of this controller, whatever the
    schedule and other factors do. A `min_scale` above 1 raises the LR, as in optax.

    Args:
        factor: What the LR is multiplied with, above 0 and below 1.
        patience: Number of means without a better one after which the LR is lowered. With 0 it is lowered whenever the mean
            has become better, as in optax.
        rtol: How much better a mean has to be, as a share of the best one.
        atol: How much better it has to be, as a difference. One of both must be above 0.
        cooldown: Number of means after a cut that do not count.
        accumulation_size: Number of values of which the mean is taken.
        min_scale: The lowest factor.
        monitor: "loss": the loss of each update. Another name: this metric of each evaluation. None: the first metric. Lower
            is better.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument has the wrong type.

    Example:
        >>> rule = optax_plateau(patience=2, factor=0.5)
        >>> state = rule.init()
        >>> for n, loss in enumerate([3.0, 2.0, 2.0, 2.0]):
        ...     state, action = rule.update(state, Observation(n, lr=0.1, loss=loss))
        >>> action.factor
        0.5
    """

    factor: float = checked(checks.fraction, default=0.1)
    patience: int = checked(at_least_0, default=10)
    rtol: float = checked(_share, default=1e-4)
    atol: float = checked(checks.rate, default=0.0)
    cooldown: int = checked(at_least_0, default=0)
    accumulation_size: int = checked(checks.length, default=1)
    min_scale: float = checked(checks.rate, default=0.0)
    monitor: str | None = checked(monitor, default="loss")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rtol == 0 and self.atol == 0:
            raise ArgumentError(
                "rtol or atol must be above 0, received 0 for both: a better mean must differ from the best one"
            )

    def init(self) -> OptaxState:
        """See `Controller.init`."""
        return OptaxState()

    def update(self, state: OptaxState, observation: Observation) -> tuple[OptaxState, Action]:
        """See `Controller.update`."""
        value = monitored(self.monitor, observation)
        if value is None:
            return state, scaled_by(state.scale, observation)
        xp, where = observation.xp, observation.xp.where
        count = state.count + 1
        mean = (state.count * state.mean + value) / count
        complete = count == self.accumulation_size
        better = mean < (1 - self.rtol) * state.best - self.atol
        plateau = where(better, 0, state.plateau + 1)
        waits = state.cooldown > 0
        cuts = where(waits, False, plateau == self.patience)
        scale = where(waits, state.scale, xp.clip(where(cuts, state.scale * self.factor, state.scale), self.min_scale, None))
        state = OptaxState(
            scale=where(complete, scale, state.scale),
            best=where(complete & better, mean, state.best),
            plateau=where(complete, where(waits | cuts, 0, plateau), state.plateau),
            cooldown=where(complete, where(waits, state.cooldown - 1, where(cuts, self.cooldown, 0)), state.cooldown),
            count=where(complete, 0, count),
            mean=where(complete, 0.0, mean),
        )
        return state, scaled_by(state.scale, observation)

    def reason(self, before: OptaxState, after: OptaxState, observation: Observation) -> str:
        """See `Controller.reason`."""
        of = f"the mean of {called(self.monitor)} over {self.accumulation_size}" if self.accumulation_size > 1 else None
        of = of or called(self.monitor)
        return f"{of} was not below its best, {after.best:.6g}, {self.patience} times in a row"
