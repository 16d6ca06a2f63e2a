"""An MLP on a ship's gas turbine, whose sensors are almost collinear, AdamW, 3,000 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, uci
from benchmarks.choice.task import Task, explained, measures


def task() -> Task:
    """Needs uci_regression.npz."""
    data = uci("naval", train=8000, validation=1000, test=2934)
    width = data.x.shape[1]
    return Task(
        about="MLP of 1 hidden layer of 64, gas turbine, AdamW",
        updates=3000,
        model=lambda: nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, 1)),
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, explained),
    )
