"""The cost of ESGD and AdaSecant: a step against one of torch's Adam, and a Hessian product against a pass.

    python benchmarks/optimizers.py [--rounds 7]

Writes benchmarks/results/optimizers.json; `python docs/make.py` writes its section of docs/benchmarks.md from it.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from measure import Work, in_rounds, keep, ratios, spread
from torch import nn

from learnrate.torch.optimizers import ESGD, AdaSecant

WIDTHS = {"1 million weights": 500, "10 million weights": 1_600}
LAYERS = 4
EVERY = 20
BATCH = 128

CONTENDERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "ESGD, no product due": lambda p: ESGD(p, every=10**9, first=1),
    "ESGD, foreach=True": lambda p: ESGD(p, every=10**9, first=1, foreach=True),
    "AdaSecant": AdaSecant,
    "AdaSecant, foreach=True": lambda p: AdaSecant(p, foreach=True),
}


def seconds(work: Work, calls: int) -> float:
    """Mean processor time of a call: of one thread it is the time that the call takes on a machine of its own."""
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls


def net(width: int) -> nn.Module:
    """Linear layers of this width, four of them, and tanh between."""
    torch.manual_seed(0)
    return nn.Sequential(*(layer for _ in range(LAYERS) for layer in (nn.Linear(width, width), nn.Tanh())))


def loss_of(model: nn.Module, width: int) -> torch.Tensor:
    """The loss of a batch."""
    return model(torch.ones(BATCH, width)).square().mean()


def stepping(width: int, make: Callable[[Any], torch.optim.Optimizer]) -> Work:
    """A step with gradients that stay as they are, after the first, which makes the state."""
    model = net(width)
    optimizer = make(model.parameters())
    loss = loss_of(model, width)
    loss.backward(retain_graph=True)
    optimizer.step(lambda: loss)
    return optimizer.step


def steps(name: str, width: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each optimizer: its step as a multiple of Adam's."""
    calls = 20 if width < 1_000 else 2
    adam = partial(seconds, stepping(width, partial(torch.optim.Adam, foreach=True)), calls)
    rows = []
    for contender, make in CONTENDERS.items():
        figures = in_rounds(rounds, ours=partial(seconds, stepping(width, make), calls), adam=adam)
        rows.append(
            {
                "model": name,
                "optimizer": contender,
                "milliseconds": {key: 1e3 * spread(values)["median"] for key, values in figures.items()},
                "ratio": spread(ratios(figures, "ours", "adam")),
            }
        )
    return rows


def product(name: str, width: int, rounds: int) -> dict[str, Any]:
    """What an update with a Hessian product costs, as a multiple of one without, passes included; and the mean of 20."""
    model = net(width)
    optimizer = ESGD(model.parameters(), lr=0.0, every=1, first=1)

    def update(due: bool) -> None:
        optimizer.param_groups[0]["every"] = 1 if due else 10**9
        optimizer.zero_grad()
        loss = loss_of(model, width)
        loss.backward(retain_graph=optimizer.needs_closure)
        optimizer.step(lambda: loss)

    update(True)
    calls = 5 if width < 1_000 else 1
    timed = {name: partial(seconds, partial(update, due), calls) for name, due in {"due": True, "plain": False}.items()}
    figures = in_rounds(rounds, **timed)
    whole = ratios(figures, "due", "plain")
    return {
        "model": name,
        "ratio": spread(whole),
        "ratio_every_20": spread([(EVERY - 1 + ratio) / EVERY for ratio in whole]),
        "milliseconds": {key: 1e3 * spread(values)["median"] for key, values in figures.items()},
    }


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds, at least 5")
    rounds = max(5, parser.parse_args().rounds)
    torch.set_num_threads(1)
    rows = [row for name, width in WIDTHS.items() for row in steps(name, width, rounds)]
    products = [product(name, width, rounds) for name, width in WIDTHS.items()]
    for row in [*rows, *products]:
        print(row)
    weights = {name: sum(p.numel() for p in net(width).parameters()) for name, width in WIDTHS.items()}
    print(
        keep(
            "optimizers", ("learnrate", "torch"), rounds=rounds, weights=weights, batch=BATCH, steps=rows, products=products
        )
    )


if __name__ == "__main__":
    main()
