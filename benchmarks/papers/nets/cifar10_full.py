"""Caffe's cifar10_full, the net of Tables 1 and 3 of the CLR paper.

Layers, fillers and multipliers as in Caffe's examples/cifar10/cifar10_full_train_test.prototxt: 89,578 parameters.
"""

from torch import Tensor, nn

from benchmarks.papers.nets.layout import channels_last, laid_out
from benchmarks.papers.nets.lrn import WithinChannelNorm


class Cifar10Full(nn.Module):
    """The net: images (number, 3, 32, 32) about mean 0, in units of pixels (-128 to 127), to (number, classes) logits.

    Pooling rounds sizes up, as Caffe does, and an average is that of the pixels that exist.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, padding=2)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm1 = WithinChannelNorm(size=3, alpha=5e-5, beta=0.75)
        self.conv2 = nn.Conv2d(32, 32, 5, padding=2)
        self.pool2 = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.norm2 = WithinChannelNorm(size=3, alpha=5e-5, beta=0.75)
        self.conv3 = nn.Conv2d(32, 64, 5, padding=2)
        self.pool3 = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.ip1 = nn.Linear(64 * 4 * 4, classes)
        fill(self.conv1, 0.0001)
        for layer in (self.conv2, self.conv3, self.ip1):
            fill(layer, 0.01)
        channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        x = self.norm1(self.pool1(self.conv1(laid_out(images))).relu_())
        x = self.norm2(self.pool2(self.conv2(x).relu_()))
        x = self.pool3(self.conv3(x).relu_())
        return self.ip1(x.flatten(1))


class Cifar10FullSigmoid(nn.Module):
    """The net with sigmoids for rectifiers, and batch normalisation for local normalisation.

    As in Caffe's examples/cifar10/cifar10_full_sigmoid_train_test_bn.prototxt, with normalisation before each sigmoid.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, padding=2)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 5, padding=2)
        self.norm2 = nn.BatchNorm2d(32)
        self.pool2 = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(32, 64, 5, padding=2)
        self.norm3 = nn.BatchNorm2d(64)
        self.pool3 = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.ip1 = nn.Linear(64 * 4 * 4, classes)
        fill(self.conv1, 0.0001)
        for layer in (self.conv2, self.conv3, self.ip1):
            fill(layer, 0.01)
        channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        x = self.norm1(self.pool1(self.conv1(laid_out(images)))).sigmoid()
        x = self.pool2(self.norm2(self.conv2(x)).sigmoid())
        x = self.pool3(self.norm3(self.conv3(x)).sigmoid())
        return self.ip1(x.flatten(1))


def fill(layer: nn.Conv2d | nn.Linear, deviation: float) -> None:
    """Normal weights of this standard deviation, and biases of 0."""
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=deviation)
    nn.init.zeros_(layer.bias)
