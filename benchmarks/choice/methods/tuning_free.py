"""Optimizers that find their own LR while they train: they choose none for another optimizer, so they train in its place.

Each runs with its defaults and as its README recommends. Weight decay and other common settings are those of the task.
"""

import math
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn, optim
from torch.optim import Optimizer

from benchmarks.choice.methods.method import silence, version_of
from benchmarks.choice.store import FreeRun
from benchmarks.choice.task import Task
from benchmarks.choice.training import WARMUP, built, endless, schedule, step

REFRESHED = 50
"""Number of training batches that recompute the running statistics of batch norm, as in Schedule-Free's README."""

Make = Callable[[nn.Module, Optimizer, int], Optimizer]
"""From a model, the optimizer of the task and the number of updates to the optimizer that trains the model instead."""


def prodigy(model: nn.Module, own: Optimizer, updates: int) -> Optimizer:
    """Adam with the step size of Prodigy; its README recommends the safeguard for schedules with a warm-up."""
    from prodigyopt import Prodigy

    return Prodigy(model.parameters(), safeguard_warmup=True, **carried(own, "weight_decay", "betas"))


def d_adaptation(model: nn.Module, own: Optimizer, updates: int) -> Optimizer:
    """The variant for the task's optimizer; that of Adam for RMSprop, which has none."""
    from dadaptation import DAdaptAdaGrad, DAdaptAdam, DAdaptSGD

    if isinstance(own, optim.SGD):
        return DAdaptSGD(model.parameters(), **carried(own, "weight_decay", "momentum"))
    if isinstance(own, optim.Adagrad):
        return DAdaptAdaGrad(model.parameters(), **carried(own, "weight_decay"))
    decouple = isinstance(own, optim.AdamW)
    return DAdaptAdam(model.parameters(), decouple=decouple, **carried(own, "weight_decay", "betas"))


def schedule_free(model: nn.Module, own: Optimizer, updates: int) -> Optimizer:
    """No schedule; the warm-up that its README recommends, as long as that of the others.

    Momentum and betas are not those of the task, because here they weight an average of the weights.
    """
    from schedulefree import AdamWScheduleFree, SGDScheduleFree

    kind = SGDScheduleFree if isinstance(own, optim.SGD) else AdamWScheduleFree
    return kind(model.parameters(), warmup_steps=math.ceil(WARMUP * updates), **carried(own, "weight_decay"))


KINDS: dict[str, tuple[Make, str]] = {
    "Prodigy": (prodigy, "prodigyopt"),
    "D-Adaptation": (d_adaptation, "dadaptation"),
    "Schedule-Free": (schedule_free, "schedulefree"),
}
"""The factory of each optimizer, and its package."""


def version(kind: str) -> str:
    """Version of the package and of the code here."""
    return version_of(KINDS[kind][1], __file__)


def carried(own: Optimizer, *names: str) -> dict[str, Any]:
    """Settings of the task's optimizer, if it has them."""
    (group,) = own.param_groups
    return {name: group[name] for name in names if name in group}


def train(name: str, task: Task, seed: int, kind: str) -> FreeRun:
    """Train as `training.train` does, with an optimizer that needs no LR; a schedule multiplies its default.

    Raises:
        ImportError: if its package is not installed.
    """
    make, _ = KINDS[kind]
    model, own = built(task, seed)
    with silence():
        optimizer = make(model, own, task.updates)
    lr = optimizer.param_groups[0]["lr"]
    averages = kind == "Schedule-Free"
    values = [lr] * task.updates if averages else schedule(lr, task.updates)(np.arange(task.updates)).tolist()
    switch(optimizer, "train")
    batches = endless(task.batches())
    losses = []
    for value, batch in zip(values, islice(batches, task.updates), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = value
        losses.append(step(task, model, optimizer, batch))
        if not math.isfinite(losses[-1]):
            break
    switch(optimizer, "eval")
    if averages:
        refresh(model, batches)
    loss = float(np.mean(losses[-max(1, task.updates // 5) :]))
    return FreeRun(
        task=name,
        lr=lr,
        seed=seed,
        updates=task.updates,
        made=len(losses),
        loss=loss if math.isfinite(loss) else None,
        validation=task.validate(model),
        test=task.test(model),
        optimizer=kind,
        version=version(kind),
    )  # fmt: skip


def switch(optimizer: Optimizer, to: str) -> None:
    """Switch between the weights for gradients and those for evaluation, if the optimizer distinguishes them."""
    getattr(optimizer, to, lambda: None)()


def refresh(model: nn.Module, batches: Any) -> None:
    """Compute the running statistics of batch norm, if there is any, at the weights for evaluation."""
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
        model.train()
        with torch.no_grad():
            for x, _ in islice(batches, REFRESHED):
                model(x)
