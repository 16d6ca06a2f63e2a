"""A deep MLP with batch norm on 8 x 8 digits, Adam, 2,000 updates: eighty epochs."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, digits
from benchmarks.choice.task import Task, accuracy, measures


def network() -> nn.Module:
    """Four hidden layers of 32."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inside in (64, 32, 32, 32):
        layers += [nn.Linear(inside, 32), nn.BatchNorm1d(32), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 10))


def task() -> Task:
    """Needs scikit-learn alone."""
    data = digits()
    return Task(
        about="MLP of 4 hidden layers with batch norm, digits, Adam",
        updates=2000,
        model=network,
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
