"""A run that is driven as adapters drive it, with controllers that follow a script."""

import json
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from hypothesis import strategies as st

import learnrate as lr
from learnrate.control import Action, Control, Controller, Cooldown, Observation, Replace, Scale, Stop, Undo
from learnrate.errors import LearnrateError


class Calls(NamedTuple):
    number: int = 0
    factor: float = 1.0


@dataclass(frozen=True)
class scripted(Controller):
    """Returns the actions of a script, one a call, and goes on with the last factor."""

    script: tuple[Action, ...] = ()
    needs_snapshots: ClassVar[bool] = True

    def init(self):
        return Calls()

    def update(self, state, observation):
        if state.number < len(self.script):
            action = self.script[state.number]
            return Calls(state.number + 1, action.factor), action
        return state, Action(state.factor)


class Run:
    """An adapter: what the optimizer follows, and the LRs that it really used, by the number of the update."""

    def __init__(self, control, used=None, number=0):
        self.control, self.number = control, number
        self.follows = control.schedules
        self.used = dict(used or {})

    def update(self):
        """One update, or one that is left out and has to be made again."""
        lrs = tuple(schedule(self.number) for schedule in self.follows)
        decision = self.control.observe(Observation(self.number, max(lrs), loss=1.0))
        if not (decision.skip or decision.rollback):
            self.used[self.number] = lrs
            self.number += 1
        if self.control.settle(self.number):
            self.follows = self.control.schedules
        return decision

    def resumed(self, controllers):
        """The run in another process, from its checkpoint."""
        saved = json.loads(json.dumps(self.control.state_dict(), allow_nan=False))
        control = Control(self.control.original, controllers)
        control.load_state_dict(saved)
        return Run(control, self.used, self.number)


def answer(future):
    """The event, or the error."""
    try:
        return future.result(timeout=0)
    except LearnrateError as error:
        return error


factors = st.sampled_from([1.0, 0.5, 0.1, 2.0, 0.7, 1 / 3])
actions = st.builds(
    Action,
    factor=factors,
    skip=st.sampled_from([False, False, False, True]),
    rollback=st.sampled_from([False, False, False, True]),
    cooldown=st.sampled_from([0, 0, 0, 0, 1, 7]),
    stop=st.sampled_from([False, False, False, True]),
)
scripts = st.lists(actions, max_size=25).map(lambda script: scripted(tuple(script)))
TEXTS = [
    "cosine(0.05, 0, 20)",
    "constant(0.02)",
    "linear(0.3, 0.1)",
    "warmup(0.1, 5) >> cosine(0.1, 0, '50%')",
    "triangular(0.01, 0.1, 3)",
]
requests = st.one_of(
    st.builds(Scale, factors),
    st.builds(Replace, st.sampled_from(TEXTS), begins=st.sampled_from(["now", "start"])),
    st.builds(Cooldown, st.integers(1, 9), end=st.sampled_from([0.0, 0.01]), shape=st.sampled_from(["linear", "cosine"])),
    st.just(Undo()),
    st.just(Undo()),
    st.just(Stop()),
)
boundaries = st.lists(st.lists(requests, max_size=2), min_size=1, max_size=25)
"""The requests before each settling."""
originals = st.sampled_from(
    [
        (lr.cosine(0.1, 0.0, 30),),
        (lr.constant(0.1),),
        (lr.warmup(0.1, 4) >> lr.linear(0.1, 0.01, 20), lr.constant(0.02, 24)),
        (lr.warm_restarts(0.1, 5),),
        (lr.linear(0.0, 0.1, 10), lr.linear(0.2, 0.0, 10), lr.constant(0.3)),
    ]
)
