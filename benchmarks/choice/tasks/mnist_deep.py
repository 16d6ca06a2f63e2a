"""A deep, narrow MLP on MNIST that sits on a plateau for hundreds of updates, SGD with momentum, 1,200 updates."""

from itertools import chain

from torch import nn, optim

from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.task import Task, accuracy, measures


def network() -> nn.Module:
    """Six hidden layers of 64; torch's own initialisation shrinks the signal at each."""
    hidden = chain.from_iterable((nn.Linear(64, 64), nn.ReLU()) for _ in range(5))
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), *hidden, nn.Linear(64, 10))


def task() -> Task:
    """Needs mnist.npz."""
    data = grey_images("mnist", train=20_000)
    return Task(
        about="MLP of 6 hidden layers (a plateau), MNIST, SGD momentum",
        updates=1200,
        model=network,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
