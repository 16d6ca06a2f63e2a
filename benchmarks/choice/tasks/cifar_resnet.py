"""A small ResNet on CIFAR-10, SGD with Nesterov momentum and weight decay, 800 updates."""

from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, cifar
from benchmarks.choice.task import Task, accuracy, measures


class Block(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.around = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """Features of a smaller image."""
        return nn.functional.relu(self.way(x) + self.around(x))


def network() -> nn.Module:
    """A stem, three blocks, average pooling."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        Block(12, 16, 1),
        Block(16, 32, 2),
        Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def task() -> Task:
    """Needs cifar10_dct.npz."""
    data = cifar(train=15_000)
    return Task(
        about="ResNet of 3 blocks, CIFAR-10, SGD Nesterov, weight decay",
        updates=800,
        model=network,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
