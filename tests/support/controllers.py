"""Simple controllers, and a listener that keeps what it is told."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from learnrate.control import Action, Controller


class Stall(NamedTuple):
    best: float = math.inf
    waited: int = 0
    factor: float = 1.0


@dataclass(frozen=True)
class halve_when_stalled(Controller):
    """Halves the LR after `patience` losses, or scores of one name, without a new lowest one."""

    patience: int = 3
    score: str = ""

    @property
    def needs_loss(self):
        return not self.score

    def init(self):
        return Stall()

    def update(self, state, observation):
        value = observation.metrics.get(self.score) if self.score else observation.loss
        if value is None:
            return state, Action(state.factor)
        if value < state.best:
            state = Stall(value, 0, state.factor)
        elif state.waited + 1 == self.patience:
            state = Stall(state.best, 0, state.factor / 2)
        else:
            state = Stall(state.best, state.waited + 1, state.factor)
        return state, Action(state.factor)


class Skipped(NamedTuple):
    times: int = 0


@dataclass(frozen=True)
class skip_not_finite(Controller):
    """Leaves updates out whose loss or gradients are not finite."""

    needs_gradient_norm: ClassVar[bool] = True

    def init(self):
        return Skipped()

    def update(self, state, observation):
        if observation.finite:
            return state, Action()
        return Skipped(state.times + 1), Action(skip=True)


class Counted(NamedTuple):
    updates: int = 0


@dataclass(frozen=True)
class stop_after(Controller):
    """Ends the run after a number of updates."""

    updates: int = 5
    needs_loss: ClassVar[bool] = False

    def init(self):
        return Counted()

    def update(self, state, observation):
        if observation.metrics:
            return state, Action()
        state = Counted(state.updates + 1)
        return state, Action(stop=state.updates >= self.updates)


@dataclass(frozen=True)
class fail_at(Controller):
    """Raises an error at one update."""

    at: int = 2

    def init(self):
        return Counted()

    def update(self, state, observation):
        if observation.update == self.at and state.updates < self.at + 1:
            raise ZeroDivisionError("at fault")
        return Counted(state.updates + 1), Action()


class Heard:
    """A listener that keeps everything."""

    def __init__(self):
        self.updates, self.evaluations, self.events, self.resumed, self.closed = [], [], [], [], 0

    def on_update(self, observation):
        self.updates.append(observation)

    def on_evaluation(self, observation):
        self.evaluations.append(observation)

    def on_event(self, event):
        self.events.append(event)

    def on_resume(self, events):
        self.resumed.append(list(events))

    def close(self):
        self.closed += 1

    @property
    def losses(self):
        return [observation.loss for observation in self.updates]
