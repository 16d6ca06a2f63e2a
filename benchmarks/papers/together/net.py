"""cifar10_full with the weights of many members: their channels lie side by side in one image.

Pooling, rectifiers and local normalisation act on each channel alone, so they need no change. A convolution is one with a
group for each member, or a product of matrices.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.papers.nets.cifar10_full import Cifar10Full

Weights = Mapping[str, Tensor]
"""By the names of the net's parameters; the first axis is that of the members."""

Convolution = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From images (number, members * channels, height, width), weights and biases of the members to images."""

PADDING = 2


def grouped(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution with a group for each member."""
    return functional.conv2d(images, weight.flatten(0, 1), bias.flatten(), padding=PADDING, groups=len(weight))


def unfolded(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same as a product of matrices: it needs more memory, and is faster where grouped convolutions are slow."""
    number, (members, outputs), (height, width) = len(images), weight.shape[:2], images.shape[2:]
    patches = functional.unfold(images, weight.shape[-1], padding=PADDING).unflatten(1, (members, -1))
    result = torch.matmul(weight.flatten(2), patches) + bias[:, :, None]
    return result.reshape(number, members * outputs, height, width)


CONVOLUTIONS: dict[str, Convolution] = {"grouped": grouped, "unfolded": unfolded}

with torch.device("meta"):  # nothing is drawn from the global random numbers, and nothing is kept
    _LAYERS = Cifar10Full()
"""Its pools and norms, which have no weights."""


def logits(weights: Weights, images: Tensor, convolution: Convolution) -> Tensor:
    """Logits (number, members, classes) of images (number, members * 3, 32, 32)."""
    net, members = _LAYERS, len(weights["ip1.weight"])

    def convolved(x: Tensor, name: str) -> Tensor:
        return convolution(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = net.norm1(net.pool1(convolved(images, "conv1")).relu())
    x = net.norm2(net.pool2(convolved(x, "conv2").relu()))
    x = net.pool3(convolved(x, "conv3").relu())
    x = x.reshape(len(images), members, -1)
    return torch.einsum("bmi,moi->bmo", x, weights["ip1.weight"]) + weights["ip1.bias"]


def losses(weights: Weights, images: Tensor, labels: Tensor, convolution: Convolution) -> Tensor:
    """The mean loss of each member, whose labels are (number, members)."""
    outputs = logits(weights, images, convolution)
    cross_entropies = functional.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none")
    return cross_entropies.reshape(labels.shape).mean(0)


def stacked(nets: Sequence[nn.Module], device: torch.device) -> dict[str, Tensor]:
    """The weights of several nets."""
    states = [dict(net.named_parameters()) for net in nets]
    return {
        name: torch.stack([state[name].detach() for state in states]).contiguous().to(device).requires_grad_()
        for name in states[0]
    }
