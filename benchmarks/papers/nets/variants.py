"""cifar10_full with one setting that differs from Caffe, to find out why a figure of the paper does not reproduce."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from benchmarks.papers.nets.cifar10_full import Cifar10Full

Momentum = Literal["caffe", "torch"]
"""Where the LR is in SGD: inside the velocity, or outside."""


@dataclass(frozen=True)
class Variant:
    """A variant.

    Attributes:
        net: Creates the net.
        momentum: Which SGD.
        last_decay: Factor on the weight decay of the last layer.
    """

    net: Callable[[], nn.Module] = Cifar10Full
    momentum: Momentum = "caffe"
    last_decay: float = 250.0


def filled_by_torch() -> Cifar10Full:
    """Initial weights as torch draws them: uniform, and larger in the first layer, whose deviation is 1e-4 in Caffe."""
    net = Cifar10Full()
    for layer in (net.conv1, net.conv2, net.conv3, net.ip1):
        layer.reset_parameters()
    return net


def without_norms() -> Cifar10Full:
    """No local response normalisation."""
    net = Cifar10Full()
    net.norm1 = net.norm2 = nn.Identity()  # type: ignore[assignment]
    return net


def across_channels() -> Cifar10Full:
    """Local response normalisation across channels, as torch has it."""
    net = Cifar10Full()
    net.norm1, net.norm2 = (nn.LocalResponseNorm(3, alpha=5e-5, beta=0.75, k=1.0) for _ in range(2))  # type: ignore[assignment]
    return net


VARIANTS: dict[str, Variant] = {
    "as in Caffe": Variant(),
    "torch's initial weights": Variant(filled_by_torch),
    "no LRN": Variant(without_norms),
    "LRN across channels": Variant(across_channels),
    "decay 1 on the last layer": Variant(last_decay=1.0),
    "torch's momentum": Variant(momentum="torch"),
}
