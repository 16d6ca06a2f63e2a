"""The time that `tune(..., executor=)` saves: trials side by side in processes, against one after the other here.

    python benchmarks/tune_executor.py [--workers 2] [--rounds 3]

Both give the same plan. Prints the median time of both.
"""

import argparse
import statistics
import time
from functools import partial

import torch
from range_test import CRITERION, perceptron
from tune import SIZES, UPDATES, batches_for

import learnrate as lr
from learnrate.study.executors import Processes

SIZE = SIZES[1]


def recipe() -> lr.torch.Recipe:
    """A network whose update takes 5 ms on one core."""
    optimizer = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return lr.torch.Recipe(
        partial(perceptron, SIZE),
        lambda model: optimizer(model.parameters()),
        partial(batches_for, SIZE),
        CRITERION,
        updates=UPDATES,
    )


def seconds(executor: Processes | None, seed: int) -> tuple[float, lr.Plan]:
    """The time of one choice, and its plan."""
    trainable = recipe().trainable(seed)
    begin = time.perf_counter()
    plan = lr.tune(trainable, updates=UPDATES, executor=executor)
    return time.perf_counter() - begin, plan


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
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
        f"median: {alone:.1f} s alone, {together:.1f} s with {arguments.workers} workers, "
        f"{alone / together:.2f} times faster"
    )


if __name__ == "__main__":
    main()
