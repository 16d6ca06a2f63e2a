"""One training run of a set-up, in plain PyTorch."""

import math
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.carry.problems import PROBLEMS, Data
from benchmarks.carry.setups import SetUp
from benchmarks.choice.training import endless, schedule, seeded

UPDATES = 300
"""Length of a training of a base set-up."""


@cache
def data_of(problem: str) -> Data:
    """The data of a problem, read once."""
    return PROBLEMS[problem].data()


def built(setup: SetUp, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Model and optimizer, as a run with this seed begins with them."""
    problem = PROBLEMS[setup.problem]
    seeded(seed)
    model = problem.net(problem.width * setup.width, problem.depth * setup.depth)
    if setup.optimizer == "adam":
        return model, torch.optim.Adam(model.parameters())
    return model, torch.optim.SGD(model.parameters(), momentum=0.9)


def stream_of(setup: SetUp) -> Iterator[Any]:
    """Batches without end."""
    return endless(data_of(setup.problem).batches(round(PROBLEMS[setup.problem].batch * setup.batch)))


def trained(
    setup: SetUp, model: nn.Module, optimizer: torch.optim.Optimizer, max_lr: float, updates: int, batches: Iterator[Any]
) -> bool:
    """Train with warm-up and cosine. Whether all losses were finite; the first that is not ends the run."""
    criterion = PROBLEMS[setup.problem].criterion
    model.train()
    lrs = schedule(max_lr, updates)(np.arange(updates)).tolist()
    for lr, (x, y) in zip(lrs, islice(batches, updates), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        if not math.isfinite(loss.item()):
            return False
    return True


def points(setup: SetUp, max_lr: float, seed: int) -> float | None:
    """The metric on test data after a whole run; None if it diverged."""
    model, optimizer = built(setup, seed)
    finite = trained(setup, model, optimizer, max_lr, round(UPDATES * setup.updates), stream_of(setup))
    return data_of(setup.problem).measure(model) if finite else None
