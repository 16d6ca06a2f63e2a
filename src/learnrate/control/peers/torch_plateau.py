"""torch.optim.lr_scheduler.ReduceLROnPlateau as a controller."""

import math
from typing import Any, Literal, NamedTuple

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.peers.observed import called, factor_of, in_force, monitor, monitored
from learnrate.control.watched import Watching
from learnrate.schedules.numerics import Namespace

Mode = Literal["min", "max"]
ThresholdMode = Literal["rel", "abs"]


def at_least_0(name: str, value: object) -> int:
    """The check of a number of calls."""
    return checks.whole(name, value, at_least=0, at_most=2**31 - 1)


def floor(name: str, value: object) -> float:
    """The check of a lowest LR."""
    if isinstance(value, (list, tuple)):
        checks.refuse_type(
            name, "one number", value, "it is a rule for the largest LR, the other groups keep their ratios to it"
        )
    return checks.rate(name, value)


def is_better(value: Any, best: Any, mode: str, threshold_mode: str, threshold: float) -> Any:
    """Whether a value is better than the best one, as torch's and Transformers' rules say."""
    if mode == "min":
        return value < (best * (1.0 - threshold) if threshold_mode == "rel" else best - threshold)
    return value > (best * (threshold + 1.0) if threshold_mode == "rel" else best + threshold)


def worst(mode: str) -> float:
    """The best value before the first one."""
    return math.inf if mode == "min" else -math.inf


class Count(NamedTuple):
    """What torch's rule remembers of the values.

    Attributes:
        best: The best value.
        bad: Calls without a better one.
        cooldown: Calls for which it still waits.
    """

    best: Any
    bad: Any
    cooldown: Any


def counted(rule: "torch_plateau", before: Count, value: Any, xp: Namespace) -> tuple[Count, Any]:
    """One call of torch's rule: what it remembers then, and whether it asks for a cut."""
    where = xp.where
    better = is_better(value, before.best, rule.mode, rule.threshold_mode, rule.threshold)
    bad = where(before.cooldown > 0, 0, where(better, 0, before.bad + 1))
    cooldown = where(before.cooldown > 0, before.cooldown - 1, before.cooldown)
    asked = bad > rule.patience
    best = where(better, value, before.best)
    return Count(best, where(asked, 0, bad), where(asked, rule.cooldown, cooldown)), asked


def cut(rule: "torch_plateau", lr: Any, asked: Any, xp: Namespace) -> tuple[Any, Any]:
    """The LR after a cut that is asked for, and whether there is one: it is passed over if it is not larger than `eps`."""
    lowered = xp.clip(lr * rule.factor, rule.min_lr, None)
    cuts = asked & (lr - lowered > rule.eps)
    return xp.where(cuts, lowered, lr), cuts


class TorchState(NamedTuple):
    """See `Count` and `Driven`."""

    best: Any
    bad: Any = 0
    cooldown: Any = 0
    lr: Any = math.nan
    base: Any = math.nan
    factor: Any = 1.0
    acted: Any = -1


@frozen
class torch_plateau(Watching[TorchState]):
    """Torch's ReduceLROnPlateau: lower the LR when the best value has not become better for more than `patience` calls.

    It is equal to torch 2.13's rule call by call, with its faults, on any schedule. A call is an evaluation, or an update if
    it monitors the loss.

    The floor is a rule about the moment of a cut: no cut leads below `min_lr`, where the LR is the one of the update, the
    largest of several groups, with all factors. A schedule that falls later, or another factor, may lead below it; nothing
    lifts the LR to the floor. Groups keep their ratios, so a list of floors is refused. A cut by at most `eps` does not
    happen, yet its cooldown begins.

    Args:
        mode: "min" or "max": whether lower or higher values are better.
        factor: What the LR is multiplied with, above 0 and below 1.
        patience: Number of calls without a better value that are tolerated.
        threshold: How much better a value has to be.
        threshold_mode: "rel": as a share of the best value, which is wrong for values below 0; "abs": as a difference.
        cooldown: Number of calls after a cut that do not count.
        min_lr: The lowest LR to which a cut leads.
        eps: Cuts by at most this are passed over.
        monitor: "loss": the loss of each update. Another name: this metric of each evaluation. None: the first metric.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument has the wrong type.

    Example:
        >>> from learnrate import constant
        >>> from learnrate.control import Control
        >>> control = Control([constant(0.1)], torch_plateau(patience=1, factor=0.5, monitor="loss"))
        >>> for n, loss in enumerate([3.0, 2.0, 2.0, 2.0]):
        ...     decision = control.observe(Observation(n, lr=control.schedules[0](n), loss=loss))
        ...     changed = control.settle(n + 1)
        >>> control.schedules[0](3), control.schedules[0](4)
        (0.1, 0.05)
    """

    mode: Mode = "min"
    factor: float = checked(checks.fraction, default=0.1)
    patience: int = checked(at_least_0, default=10)
    threshold: float = checked(checks.finite, default=1e-4)
    threshold_mode: ThresholdMode = "rel"
    cooldown: int = checked(at_least_0, default=0)
    min_lr: float = checked(floor, default=0.0)
    eps: float = checked(checks.rate, default=1e-8)
    monitor: str | None = checked(monitor, default=None)

    def init(self) -> TorchState:
        """See `Controller.init`."""
        return TorchState(worst(self.mode))

    def update(self, state: TorchState, observation: Observation) -> tuple[TorchState, Action]:
        """See `Controller.update`."""
        value = monitored(self.monitor, observation)
        if value is None:
            return state, Action(state.factor)
        xp = observation.xp
        lr, base = in_force(state, observation)
        count, asked = counted(self, Count(state.best, state.bad, state.cooldown), value, xp)
        lr, cuts = cut(self, lr, asked, xp)
        factor = xp.where(cuts, factor_of(lr, base, state.factor, observation), state.factor)
        acted = xp.where(cuts, observation.update, state.acted)
        return TorchState(*count, lr, base, factor, acted), Action(factor)

    def reason(self, before: TorchState, after: TorchState, observation: Observation) -> str:
        """See `Controller.reason`."""
        return no_better(self.monitor, after.best, self.patience + 1, observation)


def no_better(name: str | None, best: Any, calls: int, observation: Observation) -> str:
    """Why a rule has cut the LR."""
    kind = "updates" if observation.loss is not None else "evaluations"
    value = monitored(name, observation)
    return f"{called(name)} is {value:.6g}, in {calls} {kind} no better than its best, {best:.6g}"
