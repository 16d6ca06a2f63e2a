"""A CNN with group norm and label smoothing on CIFAR-10, SGD with momentum and clipped gradients, 400 updates."""

from functools import partial

from torch import nn, optim

from benchmarks.choice.data import Shuffled, cifar
from benchmarks.choice.task import Task, accuracy, measures


def network() -> nn.Module:
    """Three strided convolutions, average pooling, a linear layer."""
    widths = (3, 24, 48, 96)
    layers: list[nn.Module] = []
    for inside, outside in zip(widths, widths[1:], strict=False):  # noqa: RUF007
        layers += [nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.GroupNorm(4, outside), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(384, 10))


def task() -> Task:
    """Needs cifar10_dct.npz."""
    data = cifar(train=15_000)
    return Task(
        about="CNN with group norm, CIFAR-10, SGD momentum, clipping",
        updates=400,
        model=network,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4),
        batches=lambda: Shuffled((data.x, data.y), 128),
        criterion=partial(nn.functional.cross_entropy, label_smoothing=0.1),
        clip_norm=1.0,
        **measures(data, accuracy),
    )
