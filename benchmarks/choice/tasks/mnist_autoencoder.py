"""An autoencoder with 16 numbers in the middle on MNIST, Adam, 1,000 updates."""

from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, Split, grey_images
from benchmarks.choice.task import Task, explained, measures


def network() -> nn.Module:
    """784-128-16-128-784."""
    return nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 16), nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 784)
    )


def task() -> Task:
    """Needs mnist.npz."""
    images = grey_images("mnist", train=20_000, test=2000)
    x, x_validation, x_test = (one.flatten(1) for one in (images.x, images.x_validation, images.x_test))
    data = Split(x, x, x_validation, x_validation, x_test, x_test)
    return Task(
        about="autoencoder, MNIST, Adam",
        updates=1000,
        model=network,
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, lambda output, target: explained(_flat(output), _flat(target))),
    )


def _flat(pixels: Tensor) -> Tensor:
    return pixels.reshape(-1)
