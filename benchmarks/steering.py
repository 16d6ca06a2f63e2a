"""What control adds to an update of torch: nothing but a listener, and a controller that reads each loss.

The time of the processor is measured, because the differences are small against those that other processes make.

Run with `python benchmarks/steering.py [ROUNDS]`.
"""

import statistics
import sys
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measure import in_rounds, keep

import learnrate as lr
from learnrate.control import Action, Controller, Observation

UPDATES = 2000


class Lowest(NamedTuple):
    """The lowest loss, and the factor."""

    loss: float = float("inf")
    factor: float = 1.0


@dataclass(frozen=True)
class halve_when_above(Controller[Lowest]):  # noqa: N801
    """Halve the LR when the loss is ten times its lowest value."""

    def init(self) -> Lowest:
        """See `Controller.init`."""
        return Lowest()

    def update(self, state: Lowest, observation: Observation) -> tuple[Lowest, Action]:
        """See `Controller.update`."""
        factor = state.factor / 2 if observation.loss > 10 * state.loss else state.factor
        return Lowest(min(state.loss, observation.loss), factor), Action(factor)


class Nothing:
    """A listener that does nothing, in the place of a record."""

    def on_update(self, observation: Observation) -> None:
        """See `Listener`."""

    on_evaluation = on_event = on_resume = on_update

    def close(self) -> None:
        """See `Listener`."""


def contender(way: str, listens: bool, observed: bool, **options: Any) -> Callable[[], float]:
    """Seconds of an update: of the step of an optimizer without gradients, so that little else is measured."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = lr.triangular2(1e-3, 6e-3, 2000)
    driver = (lr.torch.attach if way == "attach" else lr.torch.Scheduler)(optimizer, schedule, **options)
    if listens:
        driver.control.listeners.append(Nothing())
    loss = torch.tensor(1.0)

    def update() -> None:
        if observed:
            driver.observe(loss)
        optimizer.step()
        if way == "Scheduler":
            driver.step()

    return lambda: timeit.timeit(update, timer=time.process_time, number=UPDATES) / UPDATES


def main() -> None:
    """Measure, print, write."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    rows = []
    for way in ("attach", "Scheduler"):
        figures = in_rounds(
            rounds,
            alone=contender(way, False, False),
            listener=contender(way, True, True),
            controller=contender(way, False, True, control=halve_when_above()),
        )
        for name in ("listener", "controller"):
            added = [1e6 * (ours - alone) for ours, alone in zip(figures[name], figures["alone"], strict=True)]
            rows.append({"way": way, "with": name, "added us": round(statistics.median(added), 2)})
            print(f"{way:10} {name:11} adds {rows[-1]['added us']:6.2f} us to an update")
    path = keep("steering", ("learnrate", "torch"), rounds=rounds, updates=UPDATES, rows=rows)
    print(f"written: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
