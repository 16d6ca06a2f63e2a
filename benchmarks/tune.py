"""The overhead of tuning: time per update of `torch.tune` as a multiple of that of a bare training loop.

    make bench-tune
    python benchmarks/tune.py [--rounds 7]

Writes benchmarks/results/tune.json; `python docs/make.py` writes its section of docs/benchmarks.md from it.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import torch
from measure import Work, in_rounds, keep, ratios, seconds, spread
from range_test import CLASSES, CRITERION, Size, perceptron

import learnrate as lr

UPDATES = 1000
"""Length of the training run that is tuned; the default budget is the same number of updates."""

BATCHES = 64

SIZES = (Size("0.35 ms", 64, 64, 88, 2, 1.25, 3), Size("5 ms", 128, 256, 400, 3, 1.03, 1))


@dataclass
class Contender:
    """Work on one model, which returns its number of updates, and the number of runs in a round."""

    work: Callable[[], int]
    runs: int

    def seconds_per_update(self) -> float:
        """Median over the runs of a round."""
        return statistics.median(self._once() for _ in range(self.runs))

    def _once(self) -> float:
        updates: list[int] = []
        timed: Work = lambda: updates.append(self.work())  # noqa: E731
        return seconds(timed) / updates[0]


def batches_for(size: Size) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches whose targets can be learned: the largest of some linear functions of the inputs."""
    torch.manual_seed(1)
    teacher = torch.randn(size.features, CLASSES)
    inputs = torch.randn(BATCHES, size.batch, size.features)
    return [(batch, (batch @ teacher).argmax(1)) for batch in inputs]


def bare_loop(size: Size) -> Callable[[], int]:
    """A training run at a usual LR, with a list of losses."""
    model, batches = perceptron(size), batches_for(size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def work() -> int:
        losses = []
        model.train()
        for inputs, target in islice(cycle(batches), UPDATES):
            optimizer.zero_grad()
            loss = CRITERION(model(inputs), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return len(losses)

    return work


def tuning(size: Size) -> Callable[[], int]:
    """The whole of `torch.tune`: range test, trials, estimate, restore."""
    model, batches = perceptron(size), batches_for(size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return lambda: lr.torch.tune(model, optimizer, batches, CRITERION, updates=UPDATES).spent


def measured(size: Size, rounds: int) -> dict[str, Any]:
    """Both contenders in the same rounds."""
    contenders = {"bare loop": Contender(bare_loop(size), size.runs), "tune": Contender(tuning(size), size.runs)}
    figures = in_rounds(rounds, **{name: contender.seconds_per_update for name, contender in contenders.items()})
    ratio = spread(ratios(figures, "tune", "bare loop"))
    return {
        "what": str(size),
        "update_ms": spread([1000 * value for value in figures["bare loop"]]),
        "ratio": ratio,
        "target": size.target,
        "reached": ratio["median"] <= size.target,
        "seconds": {name: [round(value, 9) for value in values] for name, values in figures.items()},
    }


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds, at least 5")
    rounds = parser.parse_args().rounds
    if rounds < 5:
        parser.error(f"--rounds must be at least 5, received {rounds}")
    torch.set_num_threads(1)
    models = []
    for size in SIZES:
        row = measured(size, rounds)
        models.append(row)
        ratio = row["ratio"]
        print(
            f"{row['what']}: {row['update_ms']['median']:.2f} ms an update; tune over bare loop "
            f"{ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f}), target {row['target']}"
        )
    print(f"written: {keep('tune', ('learnrate', 'torch'), rounds=rounds, updates=UPDATES, models=models)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
