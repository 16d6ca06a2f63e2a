"""One training run of a set-up, in plain PyTorch."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.carry.problems import problem
from benchmarks.carry.setups import SetUp
from benchmarks.choice.training import endless, schedule, seeded

UPDATES = 300
"""Length of a training of a base set-up."""


def built(setup: SetUp, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Model and optimizer, as a run with this seed begins with them."""
    what = problem(setup.problem)
    seeded(seed)
    model = what.net(what.width * setup.width, what.depth * setup.depth)
    if setup.optimizer == "adam":
        return model, torch.optim.Adam(model.parameters())
    return model, torch.optim.SGD(model.parameters(), momentum=0.9)


def batches_of(setup: SetUp) -> Any:
    """What the batches of a set-up come from."""
    what = problem(setup.problem)
    return what.batches(round(what.batch * setup.batch))


def trained(
    setup: SetUp, model: nn.Module, optimizer: torch.optim.Optimizer, max_lr: float, updates: int, batches: Iterator[Any]
) -> bool:
    """Train with warm-up and cosine. Whether all losses were finite; the first that is not ends the run."""
    what = problem(setup.problem)
    model.train()
    lrs = schedule(max_lr, updates)(np.arange(updates)).tolist()
    for lr, (x, y) in zip(lrs, islice(batches, updates), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss = what.criterion(model(x), y)
        loss.backward()
        optimizer.step()
        if not math.isfinite(loss.item()):
            return False
    return True


def points(setup: SetUp, max_lr: float, seed: int) -> float | None:
    """The metric on test data after a whole run; None if it diverged."""
    model, optimizer = built(setup, seed)
    updates = round(UPDATES * setup.updates)
    finite = trained(setup, model, optimizer, max_lr, updates, endless(batches_of(setup)))
    return problem(setup.problem).measure(model) if finite else None
