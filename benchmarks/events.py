"""What an action of a controller costs after 10, 1,000 and 10,000 earlier ones: to decide, to compose, to follow.

The time of the processor is measured, because the differences are small against those that other processes make.

Run with `python -m benchmarks.events [ROUNDS]`.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

import learnrate as lr
from benchmarks.measure import keep, spread
from learnrate.control import Action, Controller, Follow, Observation

EARLIER = (10, 1_000, 10_000)
ACTIONS = 100
"""Actions of which the median is taken. A few of them complete a part of the schedule, which costs more."""


class Calls(NamedTuple):
    """Number of calls so far."""

    count: int = 0


@dataclass(frozen=True)
class restless(Controller[Calls]):  # noqa: N801
    """Another factor at each update."""

    def init(self) -> Calls:
        """See `Controller.init`."""
        return Calls()

    def update(self, state: Calls, observation: Observation) -> tuple[Calls, Action]:
        """See `Controller.update`."""
        return Calls(state.count + 1), Action(0.5 + (state.count + 1) % 7 / 10)


def loop(replaced: bool) -> Callable[[], None]:
    """An update of a loop without a framework, in which a controller acts, or the schedule is replaced too."""
    follow = Follow(lr.cosine(0.1, 0.0, 10**6), restless())

    def action() -> None:
        if replaced:
            follow.control.replaced([lr.linear(0.1, 0.0, 10**6 + follow.updates)], follow.updates)
        follow.observe(0.5)

    return action


def torch_loop(replaced: bool) -> Callable[[], None]:
    """The same under `learnrate.torch.attach`."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    attachment = lr.torch.attach(optimizer, lr.cosine(0.1, 0.0, 10**6), control=restless())

    def action() -> None:
        if replaced:
            attachment.replace(lr=lr.linear(0.1, 0.0, 10**6 + attachment.updates))
        attachment.observe(0.5)
        optimizer.step()

    return action


def measured(action: Callable[[], None]) -> dict[int, float]:
    """Microseconds of an action by the number of earlier ones."""
    microseconds = {}
    done = 0
    for earlier in EARLIER:
        for _ in range(earlier - done):
            action()
        times = []
        for _ in range(ACTIONS):
            start = time.process_time_ns()
            action()
            times.append((time.process_time_ns() - start) / 1e3)
        microseconds[earlier] = statistics.median(times)
        done = earlier + ACTIONS
    return microseconds


def main() -> Path:
    """Measure, print, write the record."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    rows = []
    for way, contender in (("a loop", loop), ("torch", torch_loop)):
        for replaced in (False, True):
            runs = [measured(contender(replaced)) for _ in range(rounds)]
            figures = {str(earlier): spread([run[earlier] for run in runs]) for earlier in EARLIER}
            rows.append({"way": way, "replaced": replaced, "us": figures})
            print(rows[-1])
    return keep("events", ("learnrate", "torch"), rounds=rounds, actions=ACTIONS, rows=rows)


if __name__ == "__main__":
    print(main())
