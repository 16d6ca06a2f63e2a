"""A CNN with dropout and no normalisation on CIFAR-10, Adam, 1,000 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, cifar
from benchmarks.choice.task import Task, accuracy, measures


def network() -> nn.Module:
    """Three convolutions, dropout, a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(1024, 10),
    )


def task() -> Task:
    """Needs cifar10_dct.npz."""
    data = cifar(train=15_000)
    return Task(
        about="CNN with dropout, CIFAR-10, Adam",
        updates=1000,
        model=network,
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
