"""A sigmoid MLP on Fashion-MNIST that begins on a plateau, SGD with momentum, 1,000 updates."""

from itertools import chain

from torch import nn, optim

from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.task import Task, accuracy, measures


def network() -> nn.Module:
    """Three hidden layers whose activations saturate."""
    hidden = chain.from_iterable((nn.Linear(64, 64), nn.Sigmoid()) for _ in range(2))
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.Sigmoid(), *hidden, nn.Linear(64, 10))


def task() -> Task:
    """Needs fashion_mnist.npz."""
    data = grey_images("fashion_mnist", train=20_000)
    return Task(
        about="sigmoid MLP of 3 hidden layers (a plateau), Fashion-MNIST, SGD momentum",
        updates=1000,
        model=network,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
