"""DenseNet for images of 32 x 32 (Huang et al. 2016, arXiv 1608.06993, without bottlenecks and compression)."""

import torch
from torch import Tensor, nn

from benchmarks.papers.nets.layout import channels_last, laid_out
from benchmarks.papers.nets.resnet import kaiming

FIRST_WIDTH = 16


class DenseNet(nn.Module):
    """Three dense blocks, with transitions between them.

    Args:
        depth: Layers, L in the paper: 3 * n + 4.
        growth: Channels that each layer adds, k in the paper.
        classes: Number of classes.
        dropout: Probability to drop, after each convolution but the first; the paper takes 0.2 without augmentation.
    """

    def __init__(self, depth: int = 40, growth: int = 12, classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        n, rest = divmod(depth - 4, 3)
        if n < 1 or rest:
            raise ValueError(f"depth must be 3 * n + 4 with n at least 1, received {depth}")
        layers: list[nn.Module] = [nn.Conv2d(3, FIRST_WIDTH, 3, padding=1, bias=False)]
        width = FIRST_WIDTH
        for block in range(3):
            for _ in range(n):
                layers.append(Dense(width, growth, dropout))
                width += growth
            if block < 2:
                layers += [Convolution(width, width, 1, dropout), nn.AvgPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Linear(width, classes)
        kaiming(self)
        channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.last(self.norm(self.layers(laid_out(images))).relu().mean((2, 3)))


class Convolution(nn.Sequential):
    """Normalisation, rectification, convolution, dropout."""

    def __init__(self, inputs: int, width: int, size: int, dropout: float) -> None:
        convolution = nn.Conv2d(inputs, width, size, padding=size // 2, bias=False)
        super().__init__(nn.BatchNorm2d(inputs), nn.ReLU(), convolution, nn.Dropout(dropout))


class Dense(nn.Module):
    """Its input, and new channels computed from all of it."""

    def __init__(self, inputs: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.convolution = Convolution(inputs, growth, 3, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Both, along the channels."""
        return torch.cat([x, self.convolution(x)], 1)
