"""Residual nets for images of 32 x 32: He et al. 2015 (arXiv 1512.03385, section 4.2), also with stochastic depth."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.papers.nets.layout import channels_last, laid_out

WIDTHS = (16, 32, 64)


class ResNet(nn.Module):
    """A residual net of 6 * n + 2 layers: n blocks of two convolutions at each of three resolutions.

    Args:
        n: Blocks at each resolution: 3 for ResNet-20, 9 for ResNet-56, 18 for ResNet-110.
        classes: Number of classes.
        survival: Probability that the last block is there in an update; that of the others falls linearly from 1 to it
            (Huang et al. 2016, arXiv 1603.09382, equation 4, who take 0.5). 1 is a plain residual net.
    """

    def __init__(self, n: int = 9, classes: int = 10, survival: float = 1.0) -> None:
        super().__init__()
        if n < 1:
            raise ValueError(f"n must be at least 1, received {n}")
        if not 0 < survival <= 1:
            raise ValueError(f"survival must be above 0 and at most 1, received {survival}")
        self.conv = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        blocks, inputs = [], WIDTHS[0]
        for width in WIDTHS:
            for number in range(n):
                depth = (len(blocks) + 1) / (3 * n)
                stride = 2 if number == 0 and width > inputs else 1
                blocks.append(Block(inputs, width, stride, 1 - depth * (1 - survival)))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(WIDTHS[-1], classes)
        kaiming(self)
        channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        x = self.norm(self.conv(laid_out(images))).relu()
        return self.last(self.blocks(x).mean((2, 3)))


class Block(nn.Module):
    """Two convolutions beside a shortcut without parameters: a subsampled image, with zeros for new channels."""

    def __init__(self, inputs: int, width: int, stride: int, survival: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.stride, self.new_channels, self.survival = stride, width - inputs, survival

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways, rectified."""
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.new_channels // 2, self.new_channels // 2))
        # A block that is left out is not computed, which is where stochastic depth gains its speed.
        if self.training and self.survival < 1 and torch.rand(()).item() >= self.survival:
            return shortcut.relu()
        residual = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        return (shortcut + (residual if self.training else self.survival * residual)).relu()


def kaiming(net: nn.Module) -> None:
    """Normal weights of convolutions by their outputs (He et al. 2015, arXiv 1502.01852), biases of 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
