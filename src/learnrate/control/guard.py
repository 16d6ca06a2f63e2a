"""The guard: batches at fault are left out; after an explosion good weights come back, and the LR is lower for a while."""

import math
from typing import Any, ClassVar, Literal, NamedTuple

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Controller, Observation
from learnrate.schedules.numerics import NUMBERS

GRACE = 20
"""Updates in which level and noise are learned; until then only losses are refused that no healthy run has. The mean
absolute deviation of 20 losses is within 20 % of its value five times in six, enough for a limit of fifteen of them."""

RATE = 0.02
"""Share of a loss in the running level and noise: they remember 50 updates, in which a healthy loss changes little."""

FAST = 0.1
"""Share of a loss in the faster level, which tells that progress is lost: ten updates, more than a burst."""

CLIPPED = 5.0
"""Deviations count for at most this number of times the noise, so that what is abnormal moves level and noise little."""

SMALLEST = 0.01
"""The noise counts for at least this share of what the loss has fallen, or was at the start. Without it, losses without
noise (full batches) would have spikes at every small wave; with it, a spike is at least 15 % of the fall high."""

TAIL = 3.0
"""How far beyond the largest recent outlier a loss must be. The largest of 1,000 losses with exponential tails is almost
never exceeded threefold; with a Student distribution of 3 degrees of freedom, once in 25,000 losses."""

LARGEST = 100.0
"""A single spike of up to this number of times the noise, after which the loss is back, is an outlier too: it is left out
once, and then the data is known to have some. Rows that are extreme but true come again in each epoch, and a model that
never sees them is worse for it (California housing, without this: 16 of 1,000 batches left out, 4 points of R2 lost)."""

FORGOTTEN = 0.999
"""What is left of the memory of an outlier after an update: it lasts 1,000 updates."""

USUAL = 2.0
"""Outliers count as such once the loss is back within this many times the noise: the steps of an explosion are none."""

LOST = 1 / 3
"""Share of the progress that no healthy run loses. Restarts at the best LR cost at most 13 % of it in the mean of ten
updates, those at ten times that LR at least 40 % (measured in seven trainings of benchmarks/guard.py)."""

CLEAR = 7.0
"""A fall of the loss counts as progress if it is this number of times the noise deep, ..."""

LEAST = 0.25
"""... and this share of the loss at the start: in the first waves of a warm-up nothing can be lost yet."""

WAVES, HIGH = 2.0, 6.0
"""What a rise must be beyond that share, and at least, in units of the noise: correlated losses rise and fall together."""

BEYOND = 30.0
"""A loss is beyond all bounds if it is above the start by the fall, by the loss at the start, and by this number of times
the noise. This holds while level and noise are learned, too."""

FIRST = 5
"""Losses after a rollback by which it is judged: if they are not better, the data has changed, and not the weights."""

LONGEST = 100
"""Batches in a row that are left out with weights that are known to be good, before the data is given up."""

STEPS = 4
"""Geometric steps in which the LR recovers, so that the schedule changes in few places."""

DELAY = 30
"""Updates by which an explosion may begin before it is noticed: snapshots that are younger are not put back."""


_NOTHING = Action()


class GuardState(NamedTuple):
    """What a guard remembers.

    Attributes:
        seen: Losses since the start, a restart of the schedule or a rollback.
        total: Losses of the run, without those that were refused.
        level: Their running mean.
        noise: Their mean absolute deviation.
        tail: The largest recent outlier, in units of the noise.
        peak: The largest outlier while the loss is not back.
        fast: The faster mean.
        top: The loss at the start of the run.
        low: The lowest level.
        low_noise: The noise there.
        strikes: Losses in a row that were refused.
        tries: Rollbacks that did not last yet.
        calm: Updates since the last rollback, or since the start.
    """

    seen: Any = 0
    total: Any = 0
    level: Any = 0.0
    noise: Any = 0.0
    tail: Any = 0.0
    peak: Any = 0.0
    fast: Any = 0.0
    top: Any = 0.0
    low: Any = math.inf
    low_noise: Any = 0.0
    strikes: Any = 0
    tries: Any = 0
    calm: Any = 0


@frozen
class guard(Controller[GuardState]):
    """Protect a run from batches at fault and from explosions.

    - A loss that is not finite, or a spike of the loss against its own recent noise: the batch is left out, and the weights
      stay as they are. (With `gradients`, also a gradient that is not finite.)
    - `patience` such batches in a row: the weights are at fault. So they are if the loss gives back a third of its fall.
      Then the last good snapshot of weights, buffers and optimizer is put back, and the LR is `factor` times that of the
      schedule, for half of `recovery` updates; then it rises in four equal geometric steps to exactly the schedule.
    - If that does not last, the LR is lowered by `factor` once more, for twice as long. After `tries` times the run ends,
      with the last good weights and a report.
    - Batches that fail with weights that were just put back are at fault themselves: they are left out, and the LR is as it
      was before. After a hundred in a row the run ends.

    The limit of a spike is `spike` times the mean absolute deviation of the last 50 losses, or three times the largest
    outlier of the last 1,000, whichever is more, and at least 15 % of what the loss has fallen. A single spike of up to a
    hundred times the noise counts as an outlier from then on, because extreme but true rows come again in each epoch. Level
    and noise are learned again after a restart of the schedule.

    Args:
        every: Updates between two snapshots, of which two are kept: a rollback loses 30 to 30 + `every` updates.
        where: Where snapshots live: "memory" is beside the tensors, "cpu" is main memory, "disk" is a temporary file
            (TMPDIR sets its folder).
        spike: Least height of a spike, in mean absolute deviations.
        patience: Refused losses in a row after which the weights are at fault.
        factor: What the LR is multiplied with at a rollback; between 0 and 1.
        recovery: Updates until the LR is that of the schedule again, after the first rollback.
        tries: Rollbacks before the run ends.
        gradients: Whether gradients are looked at too, which costs a pass over them: gradients of a finite loss that are
            not finite are then noticed before they are applied, and not three updates later.
        late: Whether losses are read one update later, so that a device is not waited for. A batch at fault is then applied
            before it is noticed: if its loss is not finite, that costs a rollback. None: where losses are on a device. Only
            in PyTorch.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument has the wrong type.

    Example:
        >>> from learnrate.control import guard
        >>> controller, state = guard(), guard().init()
        >>> for n in range(100):
        ...     state, action = controller.update(state, Observation(n, lr=0.1, loss=2.0 - 0.01 * n))
        >>> action
        Action(factor=1.0, skip=False, rollback=False, cooldown=0, stop=False)
        >>> state, action = controller.update(state, Observation(100, lr=0.1, loss=float("nan"), finite=False))
        >>> action.skip
        True
    """

    every: int = checked(checks.length, default=100)
    where: Literal["memory", "cpu", "disk"] = "memory"
    spike: float = checked(checks.positive, default=15.0)
    patience: int = checked(checks.length, default=3)
    factor: float = checked(checks.fraction, default=0.1)
    recovery: int = checked(checks.length, default=1000)
    tries: int = checked(checks.length, default=4)
    gradients: bool = False
    late: bool | None = None

    needs_snapshots: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.check_fields(self)
        checks.flag("gradients", self.gradients)
        checks.flag("late", self.late, or_none=True)

    @property
    def needs_gradient_norm(self) -> bool:  # type: ignore[override]
        """Whether it reads the norm of the gradient."""
        return self.gradients

    def init(self) -> GuardState:
        """The state before the first update."""
        return GuardState()

    def update(self, state: GuardState, observation: Observation) -> tuple[GuardState, Action]:
        """See `Controller.update`. Evaluations are left alone."""
        if observation.loss is None and observation.metrics:
            return state, Action(self._lowered(state, observation))
        if observation.xp is NUMBERS and (quiet := self._quiet(state, observation)) is not None:
            return quiet, _NOTHING
        where = observation.xp.where
        state = state._replace(seen=where(observation.restarts, 0, state.seen))
        finite = self._is_finite(observation)
        strike = where(finite, self._is_spike(state, observation), True)
        state = state._replace(peak=where(state.strikes > 1, 0.0, state.peak))  # several in a row are no outlier
        learned = state if observation.loss is None else _learned(state, observation)
        judges = (state.tries > 0) & (state.calm == FIRST)
        judged = where(strike, False, judges & _is_behind(learned, learned.level, observation))
        lost = where(strike, False, _is_behind(learned, learned.fast, observation))
        lost = lost & ((state.tries == 0) | (state.calm > FIRST))
        learned = learned._replace(low=where(judged, math.inf, learned.low))
        strikes = where(strike, state.strikes + 1, 0)
        # Weights that were just put back, or those of the start, are good: what fails with them is at fault itself.
        tried = state.calm > 0
        failed = tried & (lost | (strikes >= self.patience) | (observation.applied & where(finite, False, True)))
        poisoned = observation.applied & where(finite, False, True)
        # A batch that fails with the weights put back: it was the batches, and the LR is as before.
        undone = judged | (strike & (state.calm == 0) & (state.tries > 0) & (state.strikes == self.patience))
        kept = where(self._lasted(state), 0, where(undone, state.tries - 1, state.tries))
        stop = (failed & (state.tries >= self.tries)) | (strikes >= LONGEST)
        rollback = failed | poisoned | stop
        after = _chosen(strike | rollback, state, learned, where)
        after = after._replace(
            strikes=strikes,
            calm=where(rollback, 0, where(strike, state.calm, state.calm + 1)),
            tries=where(failed, state.tries + 1, kept),
            seen=where(rollback, 0, after.seen),
            peak=where(rollback, 0.0, where(strike & finite, _outlier(state, observation), after.peak)),
            fast=where(rollback, after.low, after.fast),
        )
        skip = strike & where(observation.applied | rollback, False, True)
        return after, Action(self._lowered(after, observation), skip, rollback, 0, stop)

    def _quiet(self, state: GuardState, observation: Observation) -> GuardState | None:
        """What `update` returns while nothing happens, which is nearly always: six times as fast, because it may branch.

        None if something might happen, which `update` has to look at. The states are the same, bit for bit.
        """
        seen, total, level, noise, tail, peak, fast, top, low, low_noise, strikes, tries, calm = state
        loss = observation.loss
        if (
            loss is None
            or seen < GRACE
            or total < GRACE
            or strikes
            or tries
            or observation.restarts
            or not observation.finite
        ):
            return None
        fall = top - low
        scale = max(noise, SMALLEST * max(abs(top), fall))
        height = loss - level
        if not (height <= scale * max(self.spike, TAIL * tail) and scale > 0 and loss - loss == 0):
            return None
        ratio = height / scale
        counted = min(max(ratio, -CLIPPED), CLIPPED) * scale
        level += max(1 / (seen + 1), RATE) * counted
        noise += max(1 / seen, RATE) * (abs(counted) - noise)
        fast += FAST * (loss - fast)
        tail *= FORGOTTEN
        if ratio > USUAL:
            peak = max(peak, ratio)
        else:
            tail, peak = max(tail, peak), 0.0
        if level < low:
            low, low_noise = level, noise
        # The limits of lost progress and of a loss beyond all bounds are both higher than this.
        if max(fast, loss) - low > LOST * (top - low):
            return None
        return GuardState(seen + 1, total + 1, level, noise, tail, peak, fast, top, low, low_noise, strikes, tries, calm + 1)

    def wants_snapshot(self, state: GuardState, update: Any) -> Any:
        """Whether the weights of an update that was just let through are to be kept.

        Args:
            state: From `update`.
            update: Its number.
        """
        calm = (state.strikes == 0) & (state.peak == 0) & (state.calm > 0)
        return calm & (update % self.every == 0)

    def reason(self, before: GuardState, after: GuardState, observation: Observation) -> str:
        """See `Controller.reason`."""
        if after.calm > 0 and after.strikes == 0:
            lowered = self._lowered(after, observation)
            return f"{after.calm} updates since the last rollback: the LR is {lowered:.4g} times the schedule"
        what = self._what(before, observation)
        if after.strikes >= LONGEST:
            return f"{what}, as for {after.strikes} batches in a row with good weights: the data is at fault"
        if after.tries > self.tries:
            return f"{what}, after {self.tries} rollbacks that did not last"
        if after.strikes >= self.patience and after.tries > before.tries:
            return f"{what}, {after.strikes} batches in a row: the weights are at fault"
        return what

    def _what(self, before: GuardState, observation: Observation) -> str:
        if not self._is_finite(observation):
            what = "loss" if observation.loss is not None and not math.isfinite(observation.loss) else "gradient"
            return f"the {what} of update {observation.update} is not finite (LR {observation.lr:.4g})"
        text = f"the loss of update {observation.update} is {observation.loss:.4g} (LR {observation.lr:.4g})"
        if not self._is_spike(before, observation):
            return f"{text}: a third of the fall from {before.top:.4g} to {before.low:.4g} is lost"
        return (
            f"{text}, {(observation.loss - before.level) / _scale(before, observation):.3g} times the noise above its level"
        )

    def _is_finite(self, observation: Observation) -> Any:
        loss = observation.loss
        # The difference of an infinite number or of NaN with itself is NaN.
        return observation.finite if loss is None else observation.finite & (loss - loss == 0)

    def _is_spike(self, state: GuardState, observation: Observation) -> Any:
        if observation.loss is None:
            return False
        scale, where = _scale(state, observation), observation.xp.where
        height = observation.loss - state.level
        spike = (state.seen >= GRACE) & (height > scale * _larger(self.spike, TAIL * state.tail, where))
        bound = _larger(
            _larger(state.top - state.low, BEYOND * state.low_noise, where), observation.xp.abs(state.top), where
        )
        bound = _larger(bound, TAIL * state.tail * scale, where)
        return spike | ((state.total >= GRACE) & (observation.loss > state.top + bound))

    def _span(self, state: GuardState) -> Any:
        return self.recovery * 2.0 ** (state.tries - 1)

    def _lasted(self, state: GuardState) -> Any:
        """Whether a rollback was long enough ago to be forgotten: as long again as the LR took to recover."""
        return state.calm >= 2 * self._span(state)

    def _lowered(self, state: GuardState, observation: Observation) -> Any:
        """The factor on the schedule."""
        half = self._span(state) / 2
        step = observation.xp.clip((state.calm - half) // (half / STEPS) + 1, 0, STEPS)
        recovered = (step >= STEPS) | (state.tries == 0)
        return observation.xp.where(recovered, 1.0, self.factor ** (state.tries * (1 - step / STEPS)))


def _larger(a: Any, b: Any, where: Any) -> Any:
    return where(a > b, a, b)


def _scale(state: GuardState, observation: Observation) -> Any:
    """The unit of spikes: the noise, or what counts as noise at least."""
    where = observation.xp.where
    size = _larger(observation.xp.abs(state.top), state.top - state.low, where)
    return _larger(_larger(state.noise, SMALLEST * size, where), 1e-30, where)


def _learned(state: GuardState, observation: Observation) -> GuardState:
    """The state after a loss that was let through."""
    where, clip, loss = observation.xp.where, observation.xp.clip, observation.loss
    scale, past_grace = _scale(state, observation), state.seen >= GRACE
    ratio = (loss - state.level) / scale
    counted = where(past_grace, clip(ratio, -CLIPPED, CLIPPED), ratio) * scale
    level = where(state.seen == 0, loss, state.level + _larger(1 / (state.seen + 1), RATE, where) * counted)
    share = _larger(1 / where(state.seen == 0, 1, state.seen), RATE, where)
    noise = where(state.seen == 0, state.noise, state.noise + share * (observation.xp.abs(counted) - state.noise))
    outlier = past_grace & (ratio > USUAL)
    tail = FORGOTTEN * state.tail
    fast = where(state.total == 0, loss, state.fast + FAST * (loss - state.fast))
    lowest = past_grace & (level < state.low)
    return state._replace(
        seen=state.seen + 1,
        total=state.total + 1,
        level=level,
        noise=noise,
        tail=where(outlier, tail, _larger(tail, state.peak, where)),
        peak=where(outlier, _larger(state.peak, ratio, where), 0.0),
        fast=fast,
        top=where(state.total == 0, loss, where(state.total < GRACE, _larger(state.top, level, where), state.top)),
        low=where(lowest, level, state.low),
        low_noise=where(lowest, noise, state.low_noise),
    )


def _outlier(state: GuardState, observation: Observation) -> Any:
    """The largest outlier with a spike that was just left out. Just after a restart it may be the LR and not a row."""
    if observation.loss is None:
        return state.peak
    height = (observation.loss - state.level) / _scale(state, observation)
    largest = _larger(state.peak, observation.xp.clip(height, 0, LARGEST), observation.xp.where)
    return observation.xp.where(state.seen >= GRACE, largest, state.peak)


def _is_behind(state: GuardState, level: Any, observation: Observation) -> Any:
    """Whether a good part of what was learned is lost at a level of the loss."""
    fall = state.top - state.low
    is_clear = (fall > CLEAR * state.low_noise) & (fall > LEAST * observation.xp.abs(state.top))
    limit = _larger(LOST * fall + WAVES * state.low_noise, HIGH * state.low_noise, observation.xp.where)
    return is_clear & (level - state.low > limit)


def _chosen(condition: Any, yes: GuardState, no: GuardState, where: Any) -> GuardState:
    return GuardState(*(where(condition, a, b) for a, b in zip(yes, no, strict=True)))
