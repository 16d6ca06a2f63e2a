"""More optimizers that find their own LR, beside those of tuning_free.py, whose hash the records of those contain.

Each runs with its defaults and as its README or paper recommends. Weight decay is that of the task.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import learnrate as lr
from benchmarks.choice.methods import tuning_free
from benchmarks.choice.methods.method import silence, version_of
from benchmarks.choice.methods.tuning_free import carried, refresh, switch
from benchmarks.choice.store import FreeRun, digest
from benchmarks.choice.task import Task
from benchmarks.choice.training import built, endless, schedule, step

LAZY = 4
"""GeN fits its parabola at every fourth update: the smallest number that its README recommends."""

FIRST_SQUARE = 1e-4
"""The squared distance that DoWG begins with, as in the implementation of its authors."""


class DoWG(Optimizer):
    """Gradient descent with the distance from the start over the weighted gradients: arXiv 2305.16284, Algorithm 1.

    `lr` multiplies the step. Its authors' package ends with an error where a parameter has no gradient.
    """

    def __init__(self, parameters: Any, lr: float = 1.0, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self.square, self.weighted = FIRST_SQUARE, 0.0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update."""
        (group,) = self.param_groups
        weights = [weight for weight in group["params"] if weight.grad is not None]
        for weight in weights:
            self.state[weight].setdefault("start", weight.clone())
        gradients = [weight.grad.add(weight, alpha=group["weight_decay"]) for weight in weights]
        moves = [weight - self.state[weight]["start"] for weight in weights]
        self.square = max(self.square, _square(moves))
        self.weighted += self.square * _square(gradients)
        if self.weighted > 0:
            torch._foreach_sub_(weights, gradients, alpha=group["lr"] * self.square / math.sqrt(self.weighted))


def _square(tensors: list[Tensor]) -> float:
    return float(sum(tensor.double().square().sum() for tensor in tensors))


def dowg(task: Task, seed: int) -> "Course":
    """The schedule of the benchmark multiplies its step."""
    model, own = built(task, seed)
    optimizer = DoWG(model.parameters(), **carried(own, "weight_decay"))
    values = schedule(1.0, task.updates)(np.arange(task.updates)).tolist()
    return Course(model, optimizer, scaled(task, model, optimizer, values))


def prodigy_schedule_free(task: Task, seed: int) -> "Course":
    """No schedule, and no clipping, from which its README advises."""
    from prodigyplus.prodigy_plus_schedulefree import ProdigyPlusScheduleFree

    model, own = built(task, seed)
    with silence():
        optimizer = ProdigyPlusScheduleFree(tuned(model), **carried(own, "weight_decay"))
    unclipped = dataclasses.replace(task, clip_norm=None)
    return Course(model, optimizer, scaled(unclipped, model, optimizer, [1.0] * task.updates), averages=True)


def gen(task: Task, seed: int) -> "Course":
    """The optimizer of the task from its usual LR, which GeN then changes, under a cosine."""
    from GeN import lr_parabola

    model, optimizer = built(task, seed)
    scales = lr.cosine(1.0, 0.0, task.updates)(np.arange(task.updates)).tolist()

    def losses() -> Iterator[float]:
        batches, others = endless(task.batches()), endless(task.batches())
        for number, (scale, batch) in enumerate(zip(scales, batches, strict=False), 1):
            x, y = batch
            optimizer.zero_grad()
            loss = task.criterion(model(x), y)
            loss.backward()
            if task.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)
            if number % LAZY == 0:
                with silence():
                    lr_parabola(
                        model, optimizer, task.criterion, tr_iter=others, device="cpu", task="image_cls", scale=scale
                    )
            optimizer.step()
            yield loss.item()

    return Course(model, optimizer, losses())


@dataclass(frozen=True)
class Course:
    """A training run that is about to begin.

    Attributes:
        model: The model.
        optimizer: What trains it.
        losses: Makes an update when it is asked for the loss of the next one.
        averages: Whether the weights for evaluation are an average, for which running statistics are computed again.
    """

    model: nn.Module
    optimizer: Optimizer
    losses: Iterator[float]
    averages: bool = False


def scaled(task: Task, model: nn.Module, optimizer: Optimizer, values: list[float]) -> Iterator[float]:
    """Updates with these LRs, and their losses."""
    for value, batch in zip(values, endless(task.batches()), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = value
        yield step(task, model, optimizer, batch)


def tuned(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen: some packages end with an error at others."""
    return [weight for weight in model.parameters() if weight.requires_grad]


KINDS: dict[str, tuple[Callable[[Task, int], Course], str | None]] = {
    "Prodigy+Schedule-Free": (prodigy_schedule_free, "prodigy-plus-schedule-free"),
    "DoWG": (dowg, None),
    "GeN": (gen, "gen-optim"),
}
"""The function of each optimizer, and its package if it is not our own code."""


def version(kind: str) -> str:
    """Version of the package and of the code here."""
    package = KINDS[kind][1]
    return digest([Path(__file__)]) if package is None else version_of(package, __file__)


def train(name: str, task: Task, seed: int, kind: str) -> FreeRun:
    """Train with an optimizer that needs no LR.

    Raises:
        ImportError: if its package is not installed.
    """
    course = KINDS[kind][0](task, seed)
    first = course.optimizer.param_groups[0]["lr"]
    switch(course.optimizer, "train")
    losses = []
    for loss in islice(course.losses, task.updates):
        losses.append(loss)
        if not math.isfinite(loss):
            break
    switch(course.optimizer, "eval")
    if course.averages:
        refresh(course.model, endless(task.batches()))
    mean = float(np.mean(losses[-max(1, task.updates // 5) :]))
    return FreeRun(
        task=name,
        lr=first,
        seed=seed,
        updates=task.updates,
        made=len(losses),
        loss=mean if math.isfinite(mean) else None,
        validation=task.validate(course.model),
        test=task.test(course.model),
        optimizer=kind,
        version=version(kind),
    )  # fmt: skip


FREE = {
    **dict.fromkeys(tuning_free.KINDS, (tuning_free.train, tuning_free.version)),
    **dict.fromkeys(KINDS, (train, version)),
}
"""How each optimizer trains, and its version: those of tuning_free.py, and those here."""
