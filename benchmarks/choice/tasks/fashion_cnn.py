"""A CNN without normalisation on Fashion-MNIST, SGD with momentum, 600 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.task import Task, accuracy, measures


def network() -> nn.Module:
    """Two convolutions, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def task() -> Task:
    """Needs fashion_mnist.npz."""
    data = grey_images("fashion_mnist", train=20_000)
    return Task(
        about="CNN without normalisation, Fashion-MNIST, SGD momentum",
        updates=600,
        model=network,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
