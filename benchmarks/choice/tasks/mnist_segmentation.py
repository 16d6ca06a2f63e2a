"""Segmentation: a small U-Net finds the pixels of two digits under noise, MNIST, SGD, 400 updates."""

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.batches import fixed
from benchmarks.choice.data import Shuffled, Split, grey_images
from benchmarks.choice.task import Task, measures

NOISE = 1.5
"""Deviation of the noise, in deviations of MNIST."""

INK = 0.0
"""A pixel above this value, in deviations of MNIST, belongs to a digit."""


def canvases(images: Tensor) -> tuple[Tensor, Tensor]:
    """A canvas of 28 x 28 pixels for every two digits of half size, in two of its quarters; its pixels that have ink."""
    small = nn.functional.avg_pool2d(images, 2)[:, 0, 1:-1, 1:-1]
    count = len(small) // 2
    x, y = small.min().repeat(count, 28, 28), torch.zeros(count, 28, 28, dtype=torch.long)
    quarters = torch.rand(count, 4).argsort(1)[:, :2]
    shifts = torch.randint(3, (count, 2, 2))
    for canvas in range(count):
        for place in range(2):
            digit, quarter = small[2 * canvas + place], int(quarters[canvas, place])
            top = 14 * (quarter // 2) + int(shifts[canvas, place, 0])
            left = 14 * (quarter % 2) + int(shifts[canvas, place, 1])
            x[canvas, top : top + 12, left : left + 12] = digit
            y[canvas, top : top + 12, left : left + 12] = digit > INK
    return (x + NOISE * torch.randn_like(x)).unsqueeze(1), y


def convolution(inside: int, outside: int) -> nn.Sequential:
    """A convolution with batch norm."""
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


class UNet(nn.Module):
    """Three resolutions with skip connections."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.pool, self.grow = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.down = nn.ModuleList([convolution(1, width), convolution(width, 2 * width), convolution(2 * width, 4 * width)])
        self.up = nn.ModuleList([convolution(6 * width, 2 * width), convolution(3 * width, width)])
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of background and ink for each pixel."""
        fine = self.down[0](x)
        middle = self.down[1](self.pool(fine))
        coarse = self.down[2](self.pool(middle))
        middle = self.up[0](torch.cat([middle, self.grow(coarse)], 1))
        scores: Tensor = self.head(self.up[1](torch.cat([fine, self.grow(middle)], 1)))
        return scores


def overlap(scores: Tensor, target: Tensor) -> float:
    """Points: intersection over union of the ink."""
    predicted = scores.argmax(1)
    return 100 * float((predicted & target).sum()) / max(1, int((predicted | target).sum()))


def task() -> Task:
    """Needs mnist.npz."""
    images = grey_images("mnist", train=6000)
    parts = (images.x, images.x_validation, images.x_test[:2000])
    train, validation, test = (fixed(canvases, part, seed=seed) for seed, part in enumerate(parts))
    data = Split(*train, *validation, *test)
    return Task(
        about="segmentation, U-Net, digits under noise, SGD momentum",
        updates=400,
        model=UNet,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: Shuffled((data.x, data.y), 8),
        criterion=nn.functional.cross_entropy,
        metric="IoU",
        **measures(data, overlap),
    )
