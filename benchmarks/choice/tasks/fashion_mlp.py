"""A tanh MLP on Fashion-MNIST, RMSprop, 600 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.task import Task, accuracy, measures


def task() -> Task:
    """Needs fashion_mnist.npz."""
    data = grey_images("fashion_mnist", train=20_000)
    return Task(
        about="tanh MLP 784-128-64-10, Fashion-MNIST, RMSprop",
        updates=600,
        model=lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.Tanh(), nn.Linear(128, 64), nn.Tanh(), nn.Linear(64, 10)
        ),
        optimizer=lambda model: optim.RMSprop(model.parameters(), lr=0.01),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
