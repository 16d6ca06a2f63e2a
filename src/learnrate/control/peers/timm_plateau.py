"""timm.scheduler.PlateauLRScheduler as a controller."""

import math
from functools import cached_property
from typing import Any, Literal, NamedTuple

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Observation
from learnrate.control.peers.observed import factor_of, in_force, monitor, monitored
from learnrate.control.peers.timm_noise import noise
from learnrate.control.peers.torch_plateau import (
    Count,
    Mode,
    at_least_0,
    counted,
    cut,
    floor,
    no_better,
    torch_plateau,
    worst,
)
from learnrate.control.watched import Watching
from learnrate.errors import ArgumentError
from learnrate.schedules.numerics import NUMBERS


class TimmState(NamedTuple):
    """What the rule remembers; see `Count` for the first three, and `Driven`, whose LR is the one without the noise.

    Attributes:
        calls: Calls so far.
        noise: The noise in force, as a factor.
    """

    best: Any
    bad: Any = 0
    cooldown: Any = 0
    calls: Any = 0
    lr: Any = math.nan
    base: Any = math.nan
    factor: Any = 1.0
    acted: Any = -1
    noise: Any = 1.0


def _noise_range(name: str, value: object) -> int | tuple[int, int] | None:
    if value is None or not isinstance(value, (list, tuple)):
        return None if value is None else at_least_0(name, value)
    if len(value) != 2:
        checks.refuse(name, "one number of calls, or the first one and the one behind the last", value)
    return at_least_0(f"{name}[0]", value[0]), at_least_0(f"{name}[1]", value[1])


@frozen
class timm_plateau(Watching[TimmState]):
    """timm's PlateauLRScheduler: torch's ReduceLROnPlateau after a warm-up by calls, with noise on the LR if asked for.

    It is equal to timm 1.0.31's scheduler, whose `step(1, metric)`, `step(2, metric)`, ... are the calls of this controller,
    with its faults, on any schedule. A call is an evaluation, or an update if it monitors the loss.

    `warmup_lr_init`, `lr_min` and torch's smallest cut of 1e-8 are rules about the LR of the update, the largest of several
    groups, with all factors, at the moment of a change. A schedule that falls later may lead below the floor. The warm-up
    leads to the LR that the schedule has then. A controller acts after an update, so the updates before the first call have
    the LR of the schedule, where timm has `warmup_lr_init`: a warm-up in the schedule, `warmup(0.1, 500) >> ...`, does
    better.

    Args:
        decay_rate: What the LR is multiplied with, above 0 and below 1.
        patience_t: Number of calls without a better value that are tolerated.
        threshold: How much better a value has to be, as a share of the best one, which is wrong for values below 0.
        cooldown_t: Number of calls after a cut that do not count.
        warmup_t: Number of calls during which the LR rises, and the values do not count.
        warmup_lr_init: The LR from which it rises.
        lr_min: The lowest LR to which a cut leads.
        mode: "max" or "min": whether higher or lower values are better.
        noise_range_t: The number of the call from which on the LR has noise, or a pair: that, and the call from which on it
            has none. None for no noise. Not inside of `jax.jit`.
        noise_type: "normal"; anything else is uniform in timm, here "uniform".
        noise_pct: The noise is below this share of the LR, above 0 and below 1.
        noise_std: Standard deviation of normal noise, before what is above `noise_pct` is drawn again.
        noise_seed: Seed of the noise; None for 42, as in timm.
        monitor: "loss": the loss of each update. Another name: this metric of each evaluation. None: the first metric.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument has the wrong type.

    Example:
        >>> rule = timm_plateau(patience_t=1, decay_rate=0.5, mode="min")
        >>> state = rule.init()
        >>> for n, loss in enumerate([3.0, 2.0, 2.0, 2.0]):
        ...     state, action = rule.update(state, Observation(n, lr=0.1, metrics={"loss": loss}))
        >>> action.factor
        0.5
    """

    decay_rate: float = checked(checks.fraction, default=0.1)
    patience_t: int = checked(at_least_0, default=10)
    threshold: float = checked(checks.finite, default=1e-4)
    cooldown_t: int = checked(at_least_0, default=0)
    warmup_t: int = checked(at_least_0, default=0)
    warmup_lr_init: float = checked(checks.rate, default=0.0)
    lr_min: float = checked(floor, default=0.0)
    mode: Mode = "max"
    noise_range_t: int | tuple[int, int] | None = checked(_noise_range, default=None)
    noise_type: Literal["normal", "uniform"] = "normal"
    noise_pct: float = checked(checks.fraction, default=0.67)
    noise_std: float = checked(checks.positive, default=1.0)
    noise_seed: int | None = checked(checks.optional(at_least_0), default=None)
    monitor: str | None = checked(monitor, default=None)

    @cached_property
    def _rule(self) -> torch_plateau:
        """The rule that follows the warm-up."""
        return torch_plateau(
            self.mode, self.decay_rate, self.patience_t, self.threshold, cooldown=self.cooldown_t, min_lr=self.lr_min
        )

    def init(self) -> TimmState:
        """See `Controller.init`."""
        return TimmState(worst(self.mode))

    def update(self, state: TimmState, observation: Observation) -> tuple[TimmState, Action]:
        """See `Controller.update`."""
        value = monitored(self.monitor, observation)
        if value is None:
            return state, Action(state.factor)
        xp, where, rule = observation.xp, observation.xp.where, self._rule
        present, base = in_force(
            state._replace(factor=state.factor / state.noise), observation, observation.lr / state.noise
        )
        calls = state.calls + 1
        warms = calls <= self.warmup_t
        before = Count(state.best, state.bad, state.cooldown)
        count, asked = counted(rule, before, value, xp)
        lr, cuts = cut(rule, present, asked, xp)
        step = (base - self.warmup_lr_init) / max(self.warmup_t, 1)
        lr = where(warms, self.warmup_lr_init + calls * step, lr)
        factor_of_noise = self._noise(calls, observation)
        changes = warms | cuts | (factor_of_noise != state.noise)
        factor = where(changes, factor_of(lr * factor_of_noise, base, state.factor, observation), state.factor)
        best, bad, cooldown = (where(warms, old, new) for old, new in zip(before, count, strict=True))
        return TimmState(
            best,
            bad,
            cooldown,
            calls=calls,
            lr=lr,
            base=base,
            factor=factor,
            acted=where(changes, observation.update, state.acted),
            noise=factor_of_noise,
        ), Action(factor)

    def _noise(self, calls: Any, observation: Observation) -> Any:
        """The factor that the LR has by noise."""
        if self.noise_range_t is None:
            return 1.0
        if observation.xp is not NUMBERS:
            raise ArgumentError("noise_range_t must be None inside of jax.jit, which has no numbers of torch's generator")
        first, behind = self.noise_range_t if isinstance(self.noise_range_t, tuple) else (self.noise_range_t, math.inf)
        if calls <= self.warmup_t or not first <= calls < behind:
            return 1.0
        seed = (42 if self.noise_seed is None else self.noise_seed) + calls
        return 1.0 + noise(self.noise_type, self.noise_pct, self.noise_std, seed)

    def reason(self, before: TimmState, after: TimmState, observation: Observation) -> str:
        """See `Controller.reason`."""
        if after.calls <= self.warmup_t:
            return f"call {after.calls} of the {self.warmup_t} of the warm-up"
        if after.lr == before.lr:
            return (
                f"noise of {100 * (after.noise - 1):.3g} % on the LR"
                if after.noise != 1
                else "the noise on the LR has ended"
            )
        return no_better(self.monitor, after.best, self.patience_t + 1, observation)
