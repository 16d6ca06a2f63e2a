"""Wide residual nets (Zagoruyko and Komodakis 2016, arXiv 1605.07146), which SGDR trains."""

from torch import Tensor, nn

from benchmarks.papers.nets.layout import channels_last, laid_out
from benchmarks.papers.nets.resnet import WIDTHS, kaiming


class WideResNet(nn.Module):
    """WRN-depth-factor, with normalisation and rectification before each convolution.

    Args:
        depth: Layers: 6 * n + 4.
        factor: Channels, as a multiple of those of a residual net.
        classes: Number of classes.
        dropout: Probability to drop, between the convolutions of a block.
    """

    def __init__(self, depth: int = 28, factor: int = 10, classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        n, rest = divmod(depth - 4, 6)
        if n < 1 or rest:
            raise ValueError(f"depth must be 6 * n + 4 with n at least 1, received {depth}")
        self.conv = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        blocks, inputs = [], WIDTHS[0]
        for stage, width in enumerate(factor * width for width in WIDTHS):
            for number in range(n):
                blocks.append(Block(inputs, width, 2 if number == 0 and stage else 1, dropout))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(inputs)
        self.last = nn.Linear(inputs, classes)
        kaiming(self)
        channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        x = self.blocks(self.conv(laid_out(images)))
        return self.last(self.norm(x).relu().mean((2, 3)))


class Block(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution where the width or the resolution changes."""

    def __init__(self, inputs: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        changes = inputs != width or stride != 1
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        active = self.norm1(x).relu()
        residual = self.conv2(self.dropout(self.norm2(self.conv1(active)).relu()))
        return residual + (x if self.shortcut is None else self.shortcut(active))
