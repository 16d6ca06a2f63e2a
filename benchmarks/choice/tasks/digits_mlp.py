"""A shallow MLP on 8 x 8 digits, plain SGD, 300 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, digits
from benchmarks.choice.task import Task, accuracy, measures


def task() -> Task:
    """Needs scikit-learn alone."""
    data = digits()
    return Task(
        about="MLP 64-128-10, digits, SGD",
        updates=300,
        model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)),
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.1),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
