"""What races cost as one batch (`torch.func.vmap`): their time over that of the same races one after the other.

    python benchmarks/races.py [--rounds 7] [--device cuda]

Writes benchmarks/results/races.json, on a GPU races_cuda.json; `python docs/make.py` makes their part of docs/benchmarks.md.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from learnrate.torch.training.loop import Loop
from measure import Work, in_rounds, keep, ratios, seconds, spread
from torch import nn

import learnrate as lr
from learnrate.torch.ensemble.batched import abreast
from learnrate.torch.ensemble.conditions import worthwhile
from learnrate.tuner.budget import Budget, Purse
from learnrate.tuner.trials import Track

UPDATES = 50
COUNTS = (4, 8, 16)
CLASSES = 10


@dataclass(frozen=True)
class Contest:
    """A model and what it trains on.

    Attributes:
        what: For the table.
        model: Makes the model.
        shape: Of a batch of inputs.
    """

    what: str
    model: Callable[[], nn.Module]
    shape: tuple[int, ...]


def perceptron(inside: int, *widths: int) -> nn.Module:
    """ReLUs between linear layers."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inside, width), nn.ReLU()]
        inside = width
    return nn.Sequential(*layers, nn.Linear(inside, CLASSES))


def convnet() -> nn.Module:
    """Three convolutions with batch norm."""
    layers: list[nn.Module] = []
    for inside, width in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inside, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, CLASSES))


CONTESTS = (
    Contest("MLP 64-32-10, batches of 32", lambda: perceptron(64, 32), (32, 64)),
    Contest("MLP of 4 hidden layers of 64, batches of 64 times 128", lambda: perceptron(128, *[64] * 4), (64, 128)),
    Contest("MLP 784-512-512-10, batches of 128", lambda: perceptron(784, 512, 512), (128, 784)),
    Contest("CNN of 3 convolutions, batches of 64 images of 32 x 32", convnet, (64, 3, 32, 32)),
)


def races(contest: Contest, count: int, together: bool, device: torch.device) -> Work:
    """So many races of `UPDATES` updates, at LRs at which none diverges."""
    torch.manual_seed(0)
    model = contest.model().to(device)
    batches = [
        (torch.randn(contest.shape, device=device), torch.randint(CLASSES, contest.shape[:1], device=device))
        for _ in range(UPDATES)
    ]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loop = Loop(model, optimizer, batches, nn.functional.cross_entropy)
    start = loop.save()
    lrs = [1e-4 * 1.1**number for number in range(count)]

    def work() -> None:
        track = Track(
            loop, start, Purse(Budget(count * UPDATES)), 2.3, 0.1, UPDATES, abreast=partial(abreast, loop, True)
        )  # fmt: skip
        if not together:
            track.abreast = None
        ended = track.races(lambda max_lr: lr.constant(max_lr, UPDATES), lrs, UPDATES)
        if len(ended) != count or any(race.diverged for race in ended) or track.groups != together:
            sys.exit(f"error: {count} races of {contest.what} did not run as they should: {track.apart or ended}")
        loop.restore(start)

    return work


def measured(contest: Contest, count: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Both ways, and a single race, in the same rounds."""
    works = {
        "together": races(contest, count, True, device),
        "apart": races(contest, count, False, device),
        "one": races(contest, 1, False, device),
    }
    figures = in_rounds(rounds, **{name: partial(seconds, work) for name, work in works.items()})
    return {
        "races": count,
        "chosen": worthwhile(contest.model().to(device), device, count),
        "over_apart": spread(ratios(figures, "together", "apart")),
        "over_one": spread(ratios(figures, "together", "one")),
        "seconds": {name: [round(taken, 6) for taken in values] for name, values in figures.items()},
    }


def main() -> int:
    """Measure, print, keep the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds, at least 5")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    given = parser.parse_args()
    if given.rounds < 5:
        parser.error(f"--rounds must be at least 5, received {given.rounds}")
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs a GPU that torch can use, and there is none here: leave it out")
    torch.set_num_threads(1)
    device = torch.device(given.device)
    models = []
    for contest in CONTESTS:
        rows = [measured(contest, count, given.rounds, device) for count in COUNTS]
        models.append({"what": contest.what, "rows": rows})
        print(f"\n{contest.what}\n  {'races':>5}  {'over apart':>10}  {'over one':>8}")
        for row in rows:
            print(f"  {row['races']:>5}  {row['over_apart']['median']:>10.2f}  {row['over_one']['median']:>8.2f}")
    content: dict[str, Any] = {"rounds": given.rounds, "updates": UPDATES, "models": models}
    if given.device == "cuda":
        content["accelerator"] = torch.cuda.get_device_name()
    name = "races" if given.device == "cpu" else f"races_{given.device}"
    print(f"\nwritten: {keep(name, ('learnrate', 'torch'), **content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
