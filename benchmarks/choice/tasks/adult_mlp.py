"""An MLP on census data, AdaGrad, 1,000 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, adult
from benchmarks.choice.task import Task, accuracy, measures


def task() -> Task:
    """Needs adult.npz."""
    data = adult()
    width = data.x.shape[1]
    return Task(
        about="MLP of 2 hidden layers of 64, Adult, AdaGrad",
        updates=1000,
        model=lambda: nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)),
        optimizer=lambda model: optim.Adagrad(model.parameters(), lr=0.01),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
