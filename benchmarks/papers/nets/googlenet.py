"""GoogLeNet as Caffe has it (models/bvlc_googlenet/train_val.prototxt), with both auxiliary heads: 13,378,280 parameters."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.papers.nets.layout import channels_last, laid_out
from benchmarks.papers.nets.lenet import xavier

SIDE = 224
"""Pixels of a side of an input."""

INCEPTIONS = {
    # 1x1; reduction for 3x3, 3x3; reduction for 5x5, 5x5; projection of the pool (Szegedy et al. 2014, table 1)
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

POOL_AFTER = ("3b", "4e")
HEAD_AFTER = ("4a", "4d")

HEAD_WEIGHT = 0.3
"""Weight of the loss of an auxiliary head."""


class GoogLeNet(nn.Module):
    """Nine inception modules. In training it returns the logits of the main and of both auxiliary heads."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(_convolution(3, 64, 7, stride=2), _pool(), _norm()),
            *(_convolution(64, 64, 1), _convolution(64, 192, 3), _norm(), _pool()),
        )
        width, modules, heads = 192, OrderedDict[str, nn.Module](), OrderedDict[str, nn.Module]()
        for name, sizes in INCEPTIONS.items():
            modules[name] = Inception(width, *sizes)
            width = sizes[0] + sizes[2] + sizes[4] + sizes[5]
            if name in HEAD_AFTER:
                heads[name] = _head(width, classes)
        self.inceptions, self.heads = nn.ModuleDict(modules), nn.ModuleDict(heads)
        self.dropout, self.last = nn.Dropout(0.4), _linear(width, classes, 0.0)
        channels_last(self)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Logits of images (number, 3, 224, 224)."""
        x, auxiliary = self.stem(laid_out(images)), []
        for name, inception in self.inceptions.items():
            x = inception(x)
            if self.training and name in self.heads:
                auxiliary.append(self.heads[name](x))
            if name in POOL_AFTER:
                x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        logits = self.last(self.dropout(x.mean((2, 3))))
        return (logits, *auxiliary) if self.training else logits


class Inception(nn.Module):
    """Four ways side by side: 1x1, 3x3, 5x5, and a pool."""

    def __init__(
        self, inputs: int, width1: int, reduced3: int, width3: int, reduced5: int, width5: int, pooled: int
    ) -> None:
        super().__init__()
        self.ways = nn.ModuleList(
            [
                _convolution(inputs, width1, 1),
                nn.Sequential(_convolution(inputs, reduced3, 1), _convolution(reduced3, width3, 3)),
                nn.Sequential(_convolution(inputs, reduced5, 1), _convolution(reduced5, width5, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, padding=1), _convolution(inputs, pooled, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Their outputs, along the channels."""
        return torch.cat([way(x) for way in self.ways], 1)


def loss(outputs: Tensor | tuple[Tensor, ...], target: Tensor) -> Tensor:
    """Cross-entropy of the main head, plus 0.3 times that of each auxiliary head."""
    if isinstance(outputs, Tensor):
        return functional.cross_entropy(outputs, target)
    main, *auxiliary = (functional.cross_entropy(logits, target) for logits in outputs)
    return main + HEAD_WEIGHT * sum(auxiliary)


def _head(inputs: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.AvgPool2d(5, 3, ceil_mode=True), _convolution(inputs, 128, 1), nn.Flatten()),
        *(_linear(128 * 4 * 4, 1024, 0.2), nn.ReLU(), nn.Dropout(0.7), _linear(1024, classes, 0.0)),
    )


def _norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2)
    xavier(layer, bias=0.2)
    return nn.Sequential(layer, nn.ReLU())


def _linear(inputs: int, outputs: int, bias: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    xavier(layer, bias)
    return layer
