"""A CNN with batch norm on 8 x 8 digits, SGD with Nesterov momentum, 400 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, digits
from benchmarks.choice.task import Task, accuracy, measures


def network() -> nn.Module:
    """Two convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def task() -> Task:
    """Needs scikit-learn alone."""
    data = digits()
    return Task(
        about="CNN with batch norm, digits, SGD Nesterov",
        updates=400,
        model=network,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
