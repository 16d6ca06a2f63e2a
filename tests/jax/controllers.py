"""Small controllers whose numbers are exact in 32 bits, so that they decide the same inside of `jax.jit` and outside."""

from dataclasses import dataclass
from typing import NamedTuple

from learnrate.control import Action, Controller


class Seen(NamedTuple):
    updates: int = 0
    factor: float = 1.0


@dataclass(frozen=True)
class ScaleEvery(Controller):
    """Multiply the LR after every `updates` updates that it sees."""

    updates: int = 3
    by: float = 0.5

    def init(self):
        return Seen()

    def update(self, state, observation):
        count = state.updates + 1
        factor = observation.xp.where(count % self.updates == 0, self.by * state.factor, state.factor)
        return Seen(count, factor), Action(factor)


@dataclass(frozen=True)
class LeaveOut(Controller):
    """Leave updates out whose loss or gradients are not finite; roll back above a loss; stop above another."""

    above: float = 100.0
    stop: float = 1000.0
    every: int = 500

    needs_snapshots = True

    def wants_snapshot(self, state, update):
        return update % self.every == 0

    def init(self):
        return Seen()

    def update(self, state, observation):
        if observation.loss is None:
            return state, Action(state.factor)
        where, loss = observation.xp.where, observation.loss
        bad = where(loss > self.above, True, False)
        factor = where(bad, 0.75 * state.factor, state.factor)
        skip = where(observation.finite, False, True)
        stop = where(loss > self.stop, True, False)
        return Seen(state.updates + 1, factor), Action(factor, skip, bad, 0, stop)


@dataclass(frozen=True)
class AfterRestarts(Controller):
    """Count the cycles, and halve the LR with each."""

    needs_loss = False

    def init(self):
        return Seen()

    def update(self, state, observation):
        factor = observation.xp.where(observation.restarts, 0.5 * state.factor, state.factor)
        return Seen(state.updates, factor), Action(factor)


@dataclass(frozen=True)
class ByGradient(Controller):
    """Halve the LR while gradients are large."""

    above: float = 2.0

    needs_gradient_norm = True
    needs_loss = False

    def init(self):
        return Seen()

    def update(self, state, observation):
        if observation.loss is None:
            return state, Action(state.factor)
        factor = observation.xp.where(observation.gradient_norm > self.above, 0.5, 1.0)
        return Seen(state.updates, factor), Action(factor)


@dataclass(frozen=True)
class CoolAt(Controller):
    """Begin the cooldown after the update with this number."""

    update_number: int = 5
    length: int = 7

    needs_loss = False

    def init(self):
        return Seen()

    def update(self, state, observation):
        return state, Action(cooldown=observation.xp.where(observation.update == self.update_number, self.length, 0))


@dataclass(frozen=True)
class ByAccuracy(Controller):
    """Multiply the LR by 0.3 if an evaluation is worse than the best one."""

    needs_loss = False

    def init(self):
        return Seen()

    def update(self, state, observation):
        if "accuracy" not in observation.metrics:
            return state, Action(state.factor)
        where, percent = observation.xp.where, observation.metrics["accuracy"]
        factor = where(percent < state.updates, 0.3 * state.factor, state.factor)
        return Seen(where(percent > state.updates, 1, 0) + state.updates, factor), Action(factor)
