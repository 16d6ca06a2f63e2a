"""keras.callbacks.ReduceLROnPlateau as a controller."""

import math
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.peers.observed import factor_of, in_force, monitor, monitored
from learnrate.control.peers.torch_plateau import at_least_0, floor, no_better
from learnrate.control.watched import Watching
from learnrate.errors import ArgumentError


class KerasState(NamedTuple):
    """What the rule remembers; see `Driven` for the last four.

    Attributes:
        best: The best value.
        calls: Calls so far.
        wait: Calls without a better value.
        cooldown: Calls for which it still waits.
    """

    best: Any = math.nan
    calls: Any = 0
    wait: Any = 0
    cooldown: Any = 0
    lr: Any = math.nan
    base: Any = math.nan
    factor: Any = 1.0
    acted: Any = -1


@frozen
class keras_plateau(Watching[KerasState]):
    """Keras' ReduceLROnPlateau: lower the LR when the best value has not become better for `patience` calls.

    It is equal to the callback of Keras 3.15 call by call, with its faults, on any schedule. It computes in double
    precision, as Keras does after `keras.config.set_floatx("float64")`; Keras' default, single precision, does not see a
    difference of less than a ten-millionth of the value. A call is an evaluation, or an update if it monitors "loss", which
    in Keras is the mean over an epoch.

    The floor is a rule about the moment of a cut: no cut leads below `min_lr`, where the LR is the one of the update, the
    largest of several groups, with all factors. A schedule that falls later, or another factor, may lead below it; nothing
    lifts the LR to the floor. An LR that is equal to the floor in single precision counts as at the floor, as in Keras;
    there the rule waits, without a cooldown, and cuts at once if a schedule lifts the LR.

    Args:
        monitor: Name of a metric of each evaluation; "loss": the loss of each update; None: the first metric.
        factor: What the LR is multiplied with, above 0 and below 1.
        patience: Number of calls without a better value after which the LR is lowered.
        mode: "min" or "max": whether lower or higher values are better. "auto": lower for "loss" and "val_loss"; for other
            names, whose direction only Keras' own metrics know, it must be given.
        min_delta: How much better a value has to be, as a difference.
        cooldown: Number of calls after a cut that do not count, the first that counts again included.
        min_lr: The lowest LR to which a cut leads.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument has the wrong type.

    Example:
        >>> rule = keras_plateau(patience=2, factor=0.5)
        >>> state = rule.init()
        >>> for n, loss in enumerate([3.0, 2.0, 2.0, 2.0]):
        ...     state, action = rule.update(state, Observation(n, lr=0.1, metrics={"val_loss": loss}))
        >>> action.factor
        0.5
    """

    monitor: str | None = checked(monitor, default="val_loss")
    factor: float = checked(checks.fraction, default=0.1)
    patience: int = checked(at_least_0, default=10)
    mode: Literal["auto", "min", "max"] = "auto"
    min_delta: float = checked(checks.finite, default=1e-4)
    cooldown: int = checked(at_least_0, default=0)
    min_lr: float = checked(floor, default=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == "auto" and (self.monitor or "").removeprefix("val_") != "loss":
            raise ArgumentError(
                f"mode must be 'min' or 'max' unless monitor is 'loss' or 'val_loss', received mode 'auto' and monitor "
                f"{self.monitor!r}: the name does not say whether lower is better"
            )

    @cached_property
    def _floor(self) -> float:
        """What an LR must be above, to be above the floor in single precision."""
        return above_in_single(self.min_lr)

    def init(self) -> KerasState:
        """See `Controller.init`."""
        return KerasState()

    def update(self, state: KerasState, observation: Observation) -> tuple[KerasState, Action]:
        """See `Controller.update`."""
        value = monitored(self.monitor, observation)
        if value is None:
            return state, Action(state.factor)
        xp, where = observation.xp, observation.xp.where
        lr, base = in_force(state, observation)
        cooldown = where(state.cooldown > 0, state.cooldown - 1, state.cooldown)
        delta = abs(self.min_delta)
        better = (value - delta > state.best) if self.mode == "max" else (value + delta < state.best)
        better = better | (state.calls == 0)
        counts = cooldown <= 0
        wait = where(state.cooldown > 0, 0, state.wait)
        wait = where(better, 0, where(counts, wait + 1, wait))
        cuts = where(better, False, counts & (wait >= self.patience) & (lr > self._floor))
        lr = where(cuts, xp.clip(lr * self.factor, self.min_lr, None), lr)
        factor = where(cuts, factor_of(lr, base, state.factor, observation), state.factor)
        state = KerasState(
            best=where(better, value, state.best),
            calls=state.calls + 1,
            wait=where(cuts, 0, wait),
            cooldown=where(cuts, self.cooldown, cooldown),
            lr=lr,
            base=base,
            factor=factor,
            acted=where(cuts, observation.update, state.acted),
        )
        return state, Action(factor)

    def reason(self, before: KerasState, after: KerasState, observation: Observation) -> str:
        """See `Controller.reason`."""
        return no_better(self.monitor, after.best, max(self.patience, 1), observation)


def above_in_single(bound: float) -> float:
    """The number such that x is above it exactly where x is above the bound, both rounded to single precision.

    Half the way to the next number of single precision; what lies half-way itself is rounded to the even neighbour.
    """
    low = np.float32(bound)
    middle = (float(low) + float(np.nextafter(low, np.float32(np.inf)))) / 2
    return middle if np.float32(middle) == low else math.nextafter(middle, 0.0)
