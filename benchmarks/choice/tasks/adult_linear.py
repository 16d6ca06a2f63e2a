"""Logistic regression on census data, SGD with momentum, 2,000 updates: convex, and almost any LR will do."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, adult
from benchmarks.choice.task import Task, accuracy, measures


def task() -> Task:
    """Needs adult.npz."""
    data = adult()
    width = data.x.shape[1]
    return Task(
        about="logistic regression, Adult, SGD momentum",
        updates=2000,
        model=lambda: nn.Linear(width, 2),
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
