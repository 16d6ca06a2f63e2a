"""The time that `tune(..., executor=)` saves: trials side by side, against one after the other here.

    python benchmarks/tune_executor.py [--workers 2] [--rounds 3]

Both give the same plan. First without a clock: the time of a choice in updates, on workers that are as fast as this process
and have no overhead, of which the search uses what it can foresee. Then with processes of this machine, which should have
nothing else to do.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from range_test import CRITERION, Size, perceptron
from tune import SIZES, UPDATES, batches_for

import learnrate as lr
from learnrate.study.executors import Processes

SMALL, LARGE = SIZES
"""Networks whose update takes 0.35 ms and 5 ms."""


def recipe(size: Size) -> lr.torch.Recipe:
    """A network of this size."""
    optimizer = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return lr.torch.Recipe(
        partial(perceptron, size),
        lambda model: optimizer(model.parameters()),
        partial(batches_for, size),
        CRITERION,
        updates=UPDATES,
    )


@dataclass
class Virtual:
    """An executor whose clock counts updates. It makes a call when its result is asked for.

    Attributes:
        workers: Number of calls at the same time.
    """

    workers: int

    def __post_init__(self) -> None:
        self.now, self.free_at = 0, [0] * self.workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Later":
        """The call begins on the worker that is free first."""
        worker = self.free_at.index(min(self.free_at))
        self.free_at[worker] = max(self.now, self.free_at[worker]) + len(arguments[1])
        return Later(self, self.free_at[worker], partial(function, *arguments))


@dataclass
class Later:
    """The future of a call of `Virtual`, which ends at a time of its clock."""

    executor: Virtual
    ends_at: int
    call: Callable[[], Any]

    def done(self) -> bool:
        """Whether it has ended by now."""
        return self.ends_at <= self.executor.now

    def result(self) -> Any:
        """Wait for the end."""
        self.executor.now = max(self.executor.now, self.ends_at)
        return self.call()

    def cancel(self) -> None:
        """Nothing to do: the call is made only when its result is asked for."""


def in_updates(workers: int, seed: int) -> tuple[int, int]:
    """The time of a choice in updates, of its trials alone: one after the other, and with workers."""
    executor = Virtual(workers)
    plan = lr.tune(recipe(SMALL).trainable(seed), updates=UPDATES, executor=executor)
    return sum(trial.updates for trial in plan.trials), executor.now


def seconds(executor: Processes | None, seed: int) -> tuple[float, lr.Plan]:
    """The time of one choice, and its plan."""
    trainable = recipe(LARGE).trainable(seed)
    begin = time.perf_counter()
    plan = lr.tune(trainable, updates=UPDATES, executor=executor)
    return time.perf_counter() - begin, plan


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for workers in (1, 2, 3, 4, 8):
        times = [in_updates(workers, seed) for seed in range(arguments.rounds)]
        ratio = statistics.median(alone / together for alone, together in times)
        print(f"{workers} workers without overhead: trials in {1 / ratio:.0%} of the time", times)
    executor = Processes(arguments.workers)
    try:
        seconds(executor, 0)  # starts the workers, which import torch
        pairs = []
        for seed in range(arguments.rounds):
            alone, plan = seconds(None, seed)
            together, same = seconds(executor, seed)
            assert [trial.max_lr for trial in plan.trials] == [trial.max_lr for trial in same.trials]
            assert plan.max_lr == same.max_lr
            pairs.append((alone, together))
            print(f"seed {seed}: {len(plan.trials)} trials, {alone:.1f} s alone, {together:.1f} s with the executor")
    finally:
        executor.close()
    alone, together = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"median: {alone:.1f} s alone, {together:.1f} s with {arguments.workers} processes, "
        f"{alone / together:.2f} times faster"
    )


if __name__ == "__main__":
    main()
