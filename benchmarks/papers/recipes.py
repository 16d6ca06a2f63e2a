"""The experiments of the papers as recipes: everything about a training except its learning rate.

The recipes can be pickled, and are small: what they refer to loads the data in the process that trains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD, Adadelta, Adagrad, Adam, Optimizer, RMSprop

import learnrate as lr
from benchmarks.papers.data import cifar10, cifar100, mnist
from benchmarks.papers.data.imagenet import EpochBatches, View, imagenet
from benchmarks.papers.inputs import Inputs, Source
from benchmarks.papers.nets import alexnet as alexnet_net
from benchmarks.papers.nets import googlenet as googlenet_net
from benchmarks.papers.nets.caffe_groups import caffe_groups, cifar10_full_groups
from benchmarks.papers.nets.caffe_sgd import CaffeSGD
from benchmarks.papers.nets.cifar10_full import Cifar10Full, Cifar10FullSigmoid
from benchmarks.papers.nets.densenet import DenseNet
from benchmarks.papers.nets.lenet import LeNet
from benchmarks.papers.nets.resnet import ResNet
from benchmarks.papers.nets.variants import VARIANTS, Momentum
from benchmarks.papers.nets.wide_resnet import WideResNet

OPTIMIZERS: dict[Momentum, type[SGD]] = {"caffe": CaffeSGD, "torch": SGD}

Groups = list[dict[str, Any]]

TABLE_3: dict[str, Callable[[Groups], Optimizer]] = {
    "Nesterov": partial(CaffeSGD, lr=0.001, momentum=0.9, nesterov=True),
    "Adam": partial(Adam, lr=0.0005),
    "RMSprop": partial(RMSprop, lr=0.0001),
    "AdaGrad": partial(Adagrad, lr=0.003, eps=1e-8),
    "AdaDelta": partial(Adadelta, lr=0.01, rho=0.95),
}
"""The optimizers of Table 3 of the CLR paper, for `cifar10_full`.

The paper gives their LRs only. The rest is as in Caffe, whose defaults are torch's but for the eps of AdaGrad; rho of
AdaDelta is that of Caffe's mnist_adadelta_solver. Weights decay through the gradient, as in Caffe.
"""


def beside_table_3() -> dict[str, Callable[[Groups], Optimizer]]:
    """ESGD and AdaSecant at their lower bounds in `policies.BESIDE_TABLE_3`; none where learnrate lacks them."""
    optimizers = getattr(lr.torch, "optimizers", None)
    if optimizers is None:
        return {}
    return {"ESGD": partial(optimizers.ESGD, lr=0.02), "AdaSecant": partial(optimizers.AdaSecant, lr=0.3)}


SOURCES: dict[int, Source] = {10: cifar10, 100: cifar100}
"""CIFAR by its number of classes."""


def cifar10_full(
    momentum: Momentum = "caffe",
    *,
    optimizer: Callable[[Groups], Optimizer] | None = None,
    validation: int = 0,
    batch: int = 100,
    updates: int = 70_000,
    device: str = "cpu",
) -> "lr.torch.Recipe":
    """Caffe's cifar10_full on CIFAR-10, as in Tables 1 to 3 of the CLR paper: mean image, no augmentation.

    Args:
        momentum: Which SGD: Caffe's, or torch's.
        optimizer: Another optimizer instead, such as one of `TABLE_3`: a function from the parameter groups, which have
            Caffe's multipliers.
        validation: Images at the end of the training set that do not train, but decide between trials; the papers have none.
        batch: Images in a batch.
        updates: Length of a training.
        device: Where it trains.

    Raises:
        MissingDataError: if the data is not there.
    """
    build = optimizer or partial(OPTIMIZERS[momentum], lr=0.001, momentum=0.9)
    inputs = Inputs(cifar10, validation=validation, device=device)
    return _recipe("cifar10_full", Cifar10Full, partial(_on_groups, build, cifar10_full_groups), inputs, batch, updates)


def cifar10_full_variant(name: str, *, batch: int = 100, updates: int = 70_000, device: str = "cpu") -> "lr.torch.Recipe":
    """`cifar10_full` with one setting that differs from Caffe: why a figure of the paper may not reproduce.

    Args:
        name: One of `variants.VARIANTS`.
        batch: Images in a batch.
        updates: Length of a training.
        device: Where it trains.

    Raises:
        ValueError: if there is no such variant.
        MissingDataError: if the data is not there.
    """
    if name not in VARIANTS:
        raise ValueError(f"name must be one of {', '.join(VARIANTS)}, received {name!r}")
    variant = VARIANTS[name]
    build = partial(OPTIMIZERS[variant.momentum], lr=0.001, momentum=0.9)
    groups = partial(cifar10_full_groups, last_decay=variant.last_decay)
    inputs = Inputs(cifar10, device=device)
    return _recipe(f"cifar10_full, {name}", variant.net, partial(_on_groups, build, groups), inputs, batch, updates)


def cifar10_full_sigmoid(
    momentum: Momentum = "caffe",
    *,
    validation: int = 0,
    batch: int = 100,
    updates: int = 70_000,
    device: str = "cpu",
) -> "lr.torch.Recipe":
    """The net with sigmoids and batch normalisation, without weight decay as in Caffe's solver; see `cifar10_full`."""
    build = partial(OPTIMIZERS[momentum], lr=0.001, momentum=0.9)
    optimizer = partial(_on_groups, build, partial(caffe_groups, weight_decay=0.0))
    inputs = Inputs(cifar10, validation=validation, device=device)
    return _recipe("cifar10_full, sigmoid", Cifar10FullSigmoid, optimizer, inputs, batch, updates)


def resnet(
    n: int = 9,
    classes: int = 10,
    survival: float = 1.0,
    *,
    batch: int = 128,
    updates: int = 64_000,
    validation: int = 0,
    device: str = "cpu",
) -> "lr.torch.Recipe":
    """A residual net of 6 * n + 2 layers on CIFAR, with or without stochastic depth; see `ResNet` and `cifar10_full`."""
    build = partial(SGD, lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=survival < 1)
    name = f"ResNet-{6 * n + 2}" + (f", survival {survival:g}" if survival < 1 else "")
    inputs = _augmented(classes, validation, device)
    return _recipe(name, partial(ResNet, n, classes, survival), partial(_on_parameters, build), inputs, batch, updates)


def densenet(
    depth: int = 40,
    growth: int = 12,
    classes: int = 10,
    *,
    batch: int = 64,
    updates: int = 234_300,
    validation: int = 0,
    device: str = "cpu",
) -> "lr.torch.Recipe":
    """DenseNet on CIFAR; see `DenseNet` and `cifar10_full`."""
    build = partial(SGD, lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
    name, inputs = f"DenseNet (L={depth}, k={growth})", _augmented(classes, validation, device)
    return _recipe(name, partial(DenseNet, depth, growth, classes), partial(_on_parameters, build), inputs, batch, updates)


def wide_resnet(
    depth: int = 28,
    factor: int = 10,
    classes: int = 10,
    *,
    batch: int = 128,
    updates: int = 78_125,
    validation: int = 0,
    device: str = "cpu",
) -> "lr.torch.Recipe":
    """A wide residual net on CIFAR, as SGDR trains it; see `WideResNet` and `cifar10_full`."""
    build = partial(SGD, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    name, inputs = f"WRN-{depth}-{factor}", _augmented(classes, validation, device)
    return _recipe(name, partial(WideResNet, depth, factor, classes), partial(_on_parameters, build), inputs, batch, updates)


def lenet(*, batch: int = 512, updates: int = 10_000, validation: int = 0, device: str = "cpu") -> "lr.torch.Recipe":
    """LeNet on MNIST, with batches as in the super-convergence paper; see `cifar10_full`."""
    build = partial(SGD, lr=0.01, momentum=0.9, weight_decay=5e-4)
    inputs = Inputs(mnist, "none", validation=validation, device=device)
    return _recipe("LeNet", LeNet, partial(_on_parameters, build), inputs, batch, updates)


def alexnet(*, batch: int = 256, updates: int = 400_000, workers: int = 2, device: str = "cpu") -> "lr.torch.Recipe":
    """AlexNet on ImageNet's format.

    Args:
        batch: Images in a batch.
        updates: Length of a training.
        workers: Processes that read and decode images.
        device: Where it trains.

    Raises:
        MissingDataError: if the data is not there.
    """
    net = alexnet_net.AlexNet
    return _imagenet_recipe(
        "AlexNet", net, alexnet_net.SIDE, 5e-4, functional.cross_entropy, batch, updates, workers, device
    )


def googlenet(*, batch: int = 128, updates: int = 420_000, workers: int = 2, device: str = "cpu") -> "lr.torch.Recipe":
    """GoogLeNet, with its auxiliary heads, on ImageNet's format; see `alexnet`."""
    net, loss = googlenet_net.GoogLeNet, googlenet_net.loss
    return _imagenet_recipe("GoogLeNet", net, googlenet_net.SIDE, 2e-4, loss, batch, updates, workers, device)


def _augmented(classes: int, validation: int, device: str) -> Inputs:
    if classes not in SOURCES:
        raise ValueError(f"classes must be 10 or 100, received {classes!r}")
    return Inputs(SOURCES[classes], "channels", augment=True, validation=validation, device=device)


def _recipe(
    name: str,
    net: Callable[[], nn.Module],
    optimizer: Callable[[nn.Module], Optimizer],
    inputs: Inputs,
    batch: int,
    updates: int,
) -> "lr.torch.Recipe":
    return lr.torch.Recipe(
        model=partial(_on_device, net, inputs.device),
        optimizer=optimizer,
        batches=partial(inputs.batches, batch),
        loss=functional.cross_entropy,
        evaluate=inputs.validation_accuracy if inputs.validation else None,
        test=inputs.test_accuracy,
        updates=updates,
        name=f"{name} ({inputs.source().source})",
    )


def _on_device(net: Callable[[], nn.Module], device: str) -> nn.Module:
    return net().to(device)


def _on_groups(build: Callable[[Groups], Optimizer], grouped: Callable[[Any], Groups], model: nn.Module) -> Optimizer:
    return build(grouped(model))


def _on_parameters(build: Callable[[Any], Optimizer], model: nn.Module) -> Optimizer:
    return build(model.parameters())


@dataclass(frozen=True)
class ImageNetInputs:
    """ImageNet's format as a net receives it.

    Attributes:
        side: Side of an input in pixels.
        batch: Images in a batch.
        workers: Processes that read and decode.
    """

    side: int
    batch: int
    workers: int

    def batches(self) -> EpochBatches:
        """Training batches, with a seed from the global random numbers."""
        return imagenet("train", View(self.side), self.batch, int(torch.randint(2**31, ())), self.workers)

    def validation_accuracy(self, model: nn.Module) -> float:
        """Accuracy in percent on the validation images, on which ImageNet's results are given."""
        model.eval()
        device, right, number = next(model.parameters()).device, 0, 0
        with torch.no_grad():
            for images, labels in imagenet("val", View(self.side, random=False), self.batch, workers=self.workers):
                right += int((model(images.to(device)).argmax(1) == labels.to(device)).sum())
                number += len(labels)
        return 100 * right / number


def _imagenet_recipe(
    name: str,
    net: Callable[[], nn.Module],
    side: int,
    weight_decay: float,
    loss: Callable[..., torch.Tensor],
    batch: int,
    updates: int,
    workers: int,
    device: str,
) -> "lr.torch.Recipe":
    inputs, build = ImageNetInputs(side, batch, workers), partial(CaffeSGD, lr=0.01, momentum=0.9)
    inputs.batches()  # raises an error here if data are missing
    return lr.torch.Recipe(
        model=partial(_on_device, net, device),
        optimizer=partial(_on_groups, build, partial(caffe_groups, weight_decay=weight_decay)),
        batches=inputs.batches,
        loss=loss,
        test=inputs.validation_accuracy,
        updates=updates,
        name=name,
    )


RECIPES: Sequence[Callable[..., "lr.torch.Recipe"]] = (
    *(cifar10_full, cifar10_full_sigmoid, resnet, densenet, wide_resnet, lenet, alexnet, googlenet),
)
"""All recipes."""
