"""An MLP on house values, Adam, 5,000 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, california
from benchmarks.choice.task import Task, explained, measures


def task() -> Task:
    """Needs california_housing.npz."""
    data = california()
    width = data.x.shape[1]
    return Task(
        about="MLP of 2 hidden layers of 64, California housing, Adam",
        updates=5000,
        model=lambda: nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)),
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, explained),
    )
