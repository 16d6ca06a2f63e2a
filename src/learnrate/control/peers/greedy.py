"""GreedyLR as a controller."""

import math
from typing import Any, NamedTuple

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.peers.observed import called, factor_of, in_force, monitor, monitored
from learnrate.control.peers.torch_plateau import Mode, ThresholdMode, at_least_0, floor, is_better, worst
from learnrate.control.watched import Watching

MOST = 10_000
"""The longest window. Each of its values is part of the state."""


class GreedyState(NamedTuple):
    """What the rule remembers; see `Driven` for the last four.

    Attributes:
        best: The best value.
        good: Calls in a row, each of them with a better value than all before.
        bad: Calls in a row without.
        cooldown: Calls for which it still waits after a cut.
        warmup: Calls for which it still waits after a rise.
        reset_left: Cuts at the floor until the LR is set back.
        values: The last values, the newest last, if they are smoothed; 0 where there is none yet.
        total: Their sum.
        count: Their number.
    """

    best: Any
    reset_left: Any
    good: Any = 0
    bad: Any = 0
    cooldown: Any = 0
    warmup: Any = 0
    values: tuple[Any, ...] = ()
    total: Any = 0.0
    count: Any = 0
    lr: Any = math.nan
    base: Any = math.nan
    factor: Any = 1.0
    acted: Any = -1


def _window(name: str, value: object) -> int:
    return checks.whole(name, value, at_least=1, at_most=MOST)


@frozen
class greedy(Watching[GreedyState]):
    """GreedyLR: raise the LR while the loss reaches new best values, lower it when it does not.

    It is equal to `GreedyLR` of Transformers 5.23 call by call, with its faults, on any schedule. The paper compares a loss
    with the one before it; the published code, and this controller, with the best one so far. A call is an update if it
    monitors the loss, otherwise an evaluation.

    The floor and the ceiling are rules about the moment of a change: no cut leads below `min_lr`, no rise above `max_lr`,
    where the LR is the one of the update, the largest of several groups, with all factors. A schedule or another factor may
    lead beyond both. Below the floor nothing is cut, and above the ceiling nothing raised. The LR is set back by setting the
    factor to 1: to what the schedule says then.

    Args:
        mode: "min" or "max": whether lower or higher values are better.
        factor: What the LR is multiplied with in a cut and divided by in a rise, above 0 and below 1.
        patience: A change needs more than this number of calls in a row.
        threshold: How much better a value has to be.
        threshold_mode: "rel": as a share of the best value, which is wrong for values below 0; "abs": as a difference.
        cooldown: Number of calls after a cut that do not count.
        warmup: Number of calls after a rise that do not count.
        min_lr: The lowest LR to which a cut leads. The default, that of GreedyLR, is above the usual LRs of Adam.
        max_lr: The highest LR to which a rise leads.
        eps: Changes by at most this are passed over.
        smooth: Whether the mean of the last values is looked at. A value that is not finite makes all later means NaN.
        window_size: Number of these values.
        reset_start: Number of cuts at the floor after which the LR is set back, and everything begins again.
        monitor: "loss": the loss of each update. Another name: this metric of each evaluation. None: the first metric.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument has the wrong type.

    References:
        - Subramanian, Krishnamoorthy and Murthy, "Dynamic Learning Rate Scheduling based on Loss Changes Leads to Faster
          Convergence", 2025, arXiv 2512.14527

    Example:
        >>> rule = greedy(patience=1, factor=0.5)
        >>> state = rule.init()
        >>> for n, loss in enumerate([3.0, 2.0]):
        ...     state, action = rule.update(state, Observation(n, lr=0.1, loss=loss))
        >>> action.factor
        2.0
    """

    mode: Mode = "min"
    factor: float = checked(checks.fraction, default=0.95)
    patience: int = checked(at_least_0, default=10)
    threshold: float = checked(checks.finite, default=1e-6)
    threshold_mode: ThresholdMode = "abs"
    cooldown: int = checked(at_least_0, default=0)
    warmup: int = checked(at_least_0, default=0)
    min_lr: float = checked(floor, default=1e-3)
    max_lr: float = checked(checks.positive, default=1.0)
    eps: float = checked(checks.rate, default=1e-8)
    smooth: bool = False
    window_size: int = checked(_window, default=50)
    reset_start: int = checked(at_least_0, default=500)
    monitor: str | None = checked(monitor, default="loss")

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.flag("smooth", self.smooth)
        checks.ordered("min_lr", self.min_lr, "max_lr", self.max_lr)

    def init(self) -> GreedyState:
        """See `Controller.init`."""
        return GreedyState(worst(self.mode), self.reset_start, values=(0.0,) * self.window_size if self.smooth else ())

    def update(self, state: GreedyState, observation: Observation) -> tuple[GreedyState, Action]:
        """See `Controller.update`."""
        value = monitored(self.monitor, observation)
        if value is None:
            return state, Action(state.factor)
        where = observation.xp.where
        window, value = self._smoothed(state, value, where)
        lr, base = in_force(state, observation)
        after, rises, cuts = self._counted(state, value, where)
        lr, changes = self._changed(lr, rises, cuts, observation)
        at_floor = cuts & (lr <= self.min_lr)
        left = where(rises, self.reset_start, where(at_floor, state.reset_left - 1, state.reset_left))
        resets = at_floor & (left <= 0)
        factor = where(changes, factor_of(lr, base, state.factor, observation), state.factor)
        factor = where(resets, 1.0, factor)
        values, total, count = window
        return after._replace(
            best=where(resets, worst(self.mode), after.best),
            reset_left=where(resets, self.reset_start, left),
            warmup=where(resets, 0, after.warmup),
            values=tuple(where(resets, 0.0, number) for number in values),
            total=where(resets, 0.0, total),
            count=where(resets, 0, count),
            lr=where(resets, base, lr),
            base=base,
            factor=factor,
            acted=where(changes | resets, observation.update, state.acted),
        ), Action(factor)

    def _smoothed(self, state: GreedyState, value: Any, where: Any) -> tuple[tuple[Any, Any, Any], Any]:
        """The window with a value, and the mean of the window."""
        if not self.smooth:
            return (state.values, state.total, state.count), value
        # What leaves a window that is not full yet is a 0, so that the sum is the one of the values.
        total = state.total + value - state.values[0]
        count = where(state.count < self.window_size, state.count + 1, state.count)
        return ((*state.values[1:], value), total, count), total / count

    def _counted(self, state: GreedyState, value: Any, where: Any) -> tuple[GreedyState, Any, Any]:
        """What is remembered of a value, and whether the rule asks for a rise or a cut."""
        cools = state.cooldown > 0
        warms = (state.cooldown <= 0) & (state.warmup > 0)
        counts = (state.cooldown <= 0) & (state.warmup <= 0)
        better = counts & is_better(value, state.best, self.mode, self.threshold_mode, self.threshold)
        good = where(better, state.good + 1, 0)
        bad = where(counts, where(better, 0, state.bad + 1), 0)
        rises, cuts = good > self.patience, bad > self.patience
        return (
            state._replace(
                best=where(better, value, state.best),
                good=where(rises, 0, good),
                bad=where(cuts, 0, bad),
                cooldown=where(cuts, self.cooldown, where(cools, state.cooldown - 1, state.cooldown)),
                warmup=where(rises, self.warmup, where(warms, state.warmup - 1, state.warmup)),
            ),
            rises,
            cuts,
        )

    def _changed(self, lr: Any, rises: Any, cuts: Any, observation: Observation) -> tuple[Any, Any]:
        """The LR after a rise or a cut, and whether it has changed."""
        xp = observation.xp
        raised = xp.clip(lr / self.factor, None, self.max_lr)
        lowered = xp.clip(lr * self.factor, self.min_lr, None)
        rises = rises & (raised - lr > self.eps)
        cuts = cuts & (lr - lowered > self.eps)
        return xp.where(rises, raised, xp.where(cuts, lowered, lr)), rises | cuts

    def reason(self, before: GreedyState, after: GreedyState, observation: Observation) -> str:
        """See `Controller.reason`."""
        name, calls = called(self.monitor), self.patience + 1
        if math.isinf(after.best) and not math.isinf(before.best):
            return f"back to the schedule after {self.reset_start} cuts at the floor of {self.min_lr:.6g}"
        if after.factor > before.factor:
            return f"{name} reached new best values {calls} times in a row, the last {after.best:.6g}"
        return f"{name} was {calls} times in a row no better than its best, {after.best:.6g}"
