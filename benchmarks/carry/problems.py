"""Six problems on real data, two for each kind of net: one for the fit of the exponents, one for the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.carry import nets
from benchmarks.choice.data import Shuffled, Split, Windows, california, cifar, grey_images, shakespeare
from benchmarks.choice.task import accuracy, explained, outputs

TEXT_LENGTH = 24
"""Characters that the GPT sees."""

Kind = Literal["MLP", "CNN", "transformer"]
Half = Literal["fit", "report"]


@dataclass(frozen=True)
class Data:
    """What a net is trained on and measured with.

    Attributes:
        batches: From a batch size to what batches come from, in an order drawn from the global random numbers.
        measure: From a model to its metric on test data, in points: 100 is perfect.
    """

    batches: Callable[[int], Any]
    measure: Callable[[nn.Module], float]


@dataclass(frozen=True)
class Problem:
    """Data, and a net whose width and depth may be chosen.

    Attributes:
        about: In a few words.
        kind: Kind of net.
        half: Whether it is for the fit or for the report. Fixed before anything was measured.
        batch: Examples (for the GPT: windows of text) in a batch, at the base set-up.
        width: Likewise.
        depth: Likewise: hidden layers, convolutions, residual blocks or transformer layers.
        net: From width and depth to a new model.
        data: Reads the data, which must be in the folder that LEARNRATE_DATA names.
        criterion: Of output and target.
    """

    about: str
    kind: Kind
    half: Half
    batch: int
    width: int
    depth: int
    net: Callable[[int, int], nn.Module]
    data: Callable[[], Data]
    criterion: Callable[..., Tensor] = nn.functional.cross_entropy


def _of_split(split: Split, points: Callable[[Tensor, Tensor], float]) -> Data:
    return Data(
        batches=lambda size: Shuffled((split.x, split.y), size),
        measure=lambda model: points(outputs(model, split.x_test), split.y_test),
    )


def _grey(name: str, test: int) -> Data:
    return _of_split(grey_images(name, train=30_000, test=test), accuracy)


def _text() -> Data:
    train, _, test = shakespeare()
    places = torch.linspace(0, len(test) - TEXT_LENGTH - 1, 500).long().unsqueeze(1) + torch.arange(TEXT_LENGTH)
    x, y = test[places], test[places + 1].flatten()
    return Data(batches=lambda size: Windows(train, TEXT_LENGTH, size), measure=lambda model: accuracy(outputs(model, x), y))


def _next_character(output: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output, target.flatten())


PROBLEMS: Mapping[str, Problem] = {
    "fashion_mlp": Problem(
        about="ReLU MLP, Fashion-MNIST",
        kind="MLP",
        half="fit",
        batch=16,
        width=32,
        depth=2,
        net=nets.plain_mlp,
        data=partial(_grey, "fashion_mnist", 4000),
    ),
    "california_mlp": Problem(
        about="SiLU MLP with layer norm, California housing (R2)",
        kind="MLP",
        half="report",
        batch=16,
        width=32,
        depth=2,
        net=nets.normalised_mlp,
        data=lambda: _of_split(california(), explained),
        criterion=nn.functional.mse_loss,
    ),
    "cifar_cnn": Problem(
        about="residual CNN with batch norm, CIFAR-10",
        kind="CNN",
        half="fit",
        batch=16,
        width=12,
        depth=1,
        net=nets.residual_cnn,
        data=lambda: _of_split(cifar(train=15_000, test=2000), accuracy),
    ),
    "fashion_cnn": Problem(
        about="CNN without normalisation, Fashion-MNIST",
        kind="CNN",
        half="report",
        batch=16,
        width=8,
        depth=1,
        net=nets.plain_cnn,
        data=partial(_grey, "fashion_mnist", 4000),
    ),
    "shakespeare_gpt": Problem(
        about="GPT, Shakespeare's characters",
        kind="transformer",
        half="fit",
        batch=8,
        width=32,
        depth=1,
        net=partial(nets.GPT, length=TEXT_LENGTH),
        data=_text,
        criterion=_next_character,
    ),
    "mnist_vit": Problem(
        about="ViT, MNIST",
        kind="transformer",
        half="report",
        batch=8,
        width=32,
        depth=1,
        net=nets.VisionTransformer,
        data=partial(_grey, "mnist", 2000),
    ),
}
