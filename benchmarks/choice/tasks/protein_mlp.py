"""An MLP on protein structure, SGD with momentum, 20,000 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, uci
from benchmarks.choice.task import Task, explained, measures


def task() -> Task:
    """Needs uci_regression.npz."""
    data = uci("protein", train=30_000, validation=2000, test=10_000)
    return Task(
        about="MLP of 2 hidden layers of 64, protein structure, SGD momentum",
        updates=20_000,
        model=lambda: nn.Sequential(nn.Linear(9, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)),
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, explained),
    )
