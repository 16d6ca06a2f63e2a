"""One training of a task under the fixed schedule, in plain PyTorch: what chose the LR must not be what measures it."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

import learnrate as lr
from benchmarks.choice.task import Task

WARMUP = 0.1
"""Share of a training."""


@dataclass(frozen=True)
class Run:
    """One training and how it ended.

    Attributes:
        task: Name of the task.
        lr: Peak of the schedule.
        seed: What weights and order of the data follow from.
        updates: Length of the schedule.
        made: Updates that were made; fewer where the loss was no longer finite.
        loss: Mean training loss of the last fifth; None where it was not finite.
        validation: Points on validation data.
        test: Points on test data.
    """

    task: str
    lr: float
    seed: int
    updates: int
    made: int
    loss: float | None
    validation: float
    test: float

    @property
    def diverged(self) -> bool:
        """Whether the loss ended it."""
        return self.loss is None


def schedule(max_lr: float, updates: int) -> lr.Schedule:
    """The one schedule of this benchmark: 10 % linear warm-up, cosine to 0."""
    rise = math.ceil(WARMUP * updates)
    return lr.warmup(max_lr, rise) >> lr.cosine(max_lr, 0.0, updates - rise)


def seeded(seed: int) -> None:
    """Everything random follows from this."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def built(task: Task, seed: int) -> tuple[nn.Module, Optimizer]:
    """Model and optimizer as a training with this seed begins with them."""
    seeded(seed)
    model = task.model()
    return model, task.optimizer(model)


def endless(batches: Any) -> Iterator[Any]:
    """One pass after the other."""
    while True:
        yield from batches


def step(task: Task, model: nn.Module, optimizer: Optimizer, batch: Any) -> float:
    """One update, and the loss that it saw."""
    x, y = batch
    optimizer.zero_grad()
    loss = task.criterion(model(x), y)
    loss.backward()
    if task.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)
    optimizer.step()
    return loss.item()


def train(name: str, task: Task, max_lr: float, seed: int, updates: int | None = None) -> Run:
    """Train with this peak; over fewer updates than the task's, the schedule is squeezed into them."""
    updates = updates or task.updates
    model, optimizer = built(task, seed)
    values = schedule(max_lr, updates)(np.arange(updates)).tolist()
    losses = []
    for value, batch in zip(values, islice(endless(task.batches()), updates), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = value
        losses.append(step(task, model, optimizer, batch))
        if not math.isfinite(losses[-1]):
            break
    loss = float(np.mean(losses[-max(1, updates // 5) :]))
    finite = math.isfinite(loss)
    return Run(name, max_lr, seed, updates, len(losses), loss if finite else None, task.validate(model), task.test(model))
