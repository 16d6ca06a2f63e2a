"""Trials of several LRs as one batch (`torch.func.vmap`): their time over that of the same trials one after the other.

    python benchmarks/trials.py [--rounds 7]

Writes benchmarks/results/trials.json; `python docs/make.py` writes its section of docs/benchmarks.md.
benchmarks/gpu.sh measures the same on a GPU.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from measure import Work, in_rounds, keep, ratios, seconds, spread
from torch import nn

from learnrate.torch.ensemble import ensemble_of, worthwhile
from learnrate.torch.training import TorchTrainable

UPDATES = 50
COUNTS = (4, 8, 16)
CLASSES = 10


def sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """With momentum."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


@dataclass(frozen=True)
class Workload:
    """A model and what it trains on.

    Attributes:
        what: Its name in the table.
        model: Builds the model.
        shape: Shape of a batch of inputs.
        optimizer: Builds the optimizer from the parameters.
    """

    what: str
    model: Callable[[], nn.Module]
    shape: tuple[int, ...]
    optimizer: Callable[..., torch.optim.Optimizer] = sgd


def mlp(inputs: int, *widths: int) -> nn.Module:
    """ReLUs between linear layers."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, CLASSES))


def cnn() -> nn.Module:
    """Three convolutions with batch norm."""
    layers: list[nn.Module] = []
    for inputs, width in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, CLASSES))


WORKLOADS = (
    Workload("MLP 64-32-10, batches of 32", lambda: mlp(64, 32), (32, 64)),
    Workload("MLP of 4 hidden layers of 64, batches of 64 times 128", lambda: mlp(128, *[64] * 4), (64, 128)),
    Workload("MLP 784-512-512-10, batches of 128", lambda: mlp(784, 512, 512), (128, 784)),
    Workload("CNN of 3 convolutions, batches of 64 images of 32 x 32", cnn, (64, 3, 32, 32)),
)


def trials(workload: Workload, count: int, as_one_batch: bool, device: torch.device, updates: int) -> Work:
    """Work that runs `count` trials of `updates` updates, at LRs at which none diverges."""
    torch.manual_seed(0)
    model = workload.model().to(device)
    batches = [
        (torch.randn(workload.shape, device=device), torch.randint(CLASSES, workload.shape[:1], device=device))
        for _ in range(updates)
    ]
    trainable = TorchTrainable(model, workload.optimizer(model.parameters()), batches, nn.functional.cross_entropy)
    start = trainable.save()
    lrs = [1e-4 * 1.1**number for number in range(count)]

    def together() -> Sequence[float]:
        trainable.restore(start)
        ensemble = ensemble_of(trainable, count, together=True)
        for _ in range(updates):
            metrics = ensemble.update(lrs)
        return [member["loss"] for member in metrics]

    def one_by_one() -> Sequence[float]:
        losses = []
        for lr in lrs:
            trainable.restore(start)
            for _ in range(updates):
                [metrics] = trainable.read([trainable.update(lr)])
            losses.append(metrics["loss"])
        return losses

    def work() -> None:
        losses = together() if as_one_batch else one_by_one()
        trainable.restore(start)
        if len(losses) != count or not all(map(math.isfinite, losses)):
            raise RuntimeError(f"{count} trials of {workload.what} ended with the losses {losses}")

    return work


def measured(workload: Workload, count: int, rounds: int, device: torch.device, updates: int = UPDATES) -> dict[str, Any]:
    """Both ways and a single trial, in the same rounds."""
    works = {
        "as_one_batch": trials(workload, count, True, device, updates),
        "one_by_one": trials(workload, count, False, device, updates),
        "one_trial": trials(workload, 1, False, device, updates),
    }
    figures = in_rounds(rounds, **{name: partial(seconds, work) for name, work in works.items()})
    return {
        "trials": count,
        "chosen": worthwhile(workload.model().to(device), device, count),
        "over_one_by_one": spread(ratios(figures, "as_one_batch", "one_by_one")),
        "over_one_trial": spread(ratios(figures, "as_one_batch", "one_trial")),
        "seconds": {name: [round(value, 6) for value in values] for name, values in figures.items()},
    }


def table(what: str, rows: Sequence[dict[str, Any]]) -> str:
    """The rows of one workload, for the terminal."""
    lines = [what, f"  {'trials':>6}  {'over one by one':>15}  {'over one trial':>14}"]
    for row in rows:
        medians = row["over_one_by_one"]["median"], row["over_one_trial"]["median"]
        lines.append(f"  {row['trials']:>6}  {medians[0]:>15.2f}  {medians[1]:>14.2f}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds, at least 5")
    rounds = parser.parse_args().rounds
    if rounds < 5:
        parser.error(f"--rounds must be at least 5, received {rounds}")
    torch.set_num_threads(1)
    models = []
    for workload in WORKLOADS:
        rows = [measured(workload, count, rounds, torch.device("cpu")) for count in COUNTS]
        models.append({"what": workload.what, "rows": rows})
        print(f"\n{table(workload.what, rows)}")
    content: dict[str, Any] = {"rounds": rounds, "updates": UPDATES, "models": models}
    print(f"\nwritten: {keep('trials', ('learnrate', 'torch'), **content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
