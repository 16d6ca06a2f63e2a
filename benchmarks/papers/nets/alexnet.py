"""AlexNet as Caffe has it (models/bvlc_alexnet/train_val.prototxt): 60,965,224 parameters."""

from typing import Any

from torch import Tensor, nn

from benchmarks.papers.nets.layout import channels_last, laid_out

SIDE = 227
"""Pixels of a side of an input."""


class AlexNet(nn.Module):
    """Five convolutions, two of them with normalisation across channels, and three fully connected layers."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(_convolution(3, 96, 11, bias=0.0, stride=4), nn.ReLU(), _norm(), _pool()),
            *(_convolution(96, 256, 5, bias=0.1, padding=2, groups=2), nn.ReLU(), _norm(), _pool()),
            *(_convolution(256, 384, 3, bias=0.0, padding=1), nn.ReLU()),
            *(_convolution(384, 384, 3, bias=0.1, padding=1, groups=2), nn.ReLU()),
            *(_convolution(384, 256, 3, bias=0.1, padding=1, groups=2), nn.ReLU(), _pool()),
        )
        self.classifier = nn.Sequential(
            *(_linear(256 * 6 * 6, 4096, 0.005, 0.1), nn.ReLU(), nn.Dropout(0.5)),
            *(_linear(4096, 4096, 0.005, 0.1), nn.ReLU(), nn.Dropout(0.5)),
            _linear(4096, classes, 0.01, 0.0),
        )
        channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (number, 3, 227, 227)."""
        return self.classifier(self.features(laid_out(images)).flatten(1))


def _norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _convolution(inputs: int, outputs: int, size: int, bias: float, **options: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, **options)  # type: ignore[arg-type]
    return _filled(layer, 0.01, bias)


def _linear(inputs: int, outputs: int, deviation: float, bias: float) -> nn.Linear:
    return _filled(nn.Linear(inputs, outputs), deviation, bias)


def _filled(layer: Any, deviation: float, bias: float) -> Any:
    nn.init.normal_(layer.weight, std=deviation)
    nn.init.constant_(layer.bias, bias)
    return layer
