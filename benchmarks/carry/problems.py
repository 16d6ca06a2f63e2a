"""Six problems on real data, two for each kind of net: one for the fit of the exponents, one for the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
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
        batches: From a batch size to what batches come from, in an order drawn from the global random numbers.
        criterion: Of output and target.
        measure: From a model to its metric on test data, in points: 100 is perfect.
    """

    about: str
    kind: Kind
    half: Half
    batch: int
    width: int
    depth: int
    net: Callable[[int, int], nn.Module]
    batches: Callable[[int], Any]
    criterion: Callable[..., Tensor]
    measure: Callable[[nn.Module], float]


def _shuffled(data: Split, size: int) -> Shuffled:
    return Shuffled((data.x, data.y), size)


def _on_split(data: Split, points: Callable[[Tensor, Tensor], float]) -> dict[str, Any]:
    def measure(model: nn.Module) -> float:
        return points(outputs(model, data.x_test), data.y_test)

    return {"batches": partial(_shuffled, data), "measure": measure}


def _fashion_mlp() -> Problem:
    return Problem(
        about="ReLU MLP, Fashion-MNIST",
        kind="MLP",
        half="fit",
        batch=16,
        width=32,
        depth=2,
        net=nets.plain_mlp,
        criterion=nn.functional.cross_entropy,
        **_on_split(grey_images("fashion_mnist", train=30_000, test=4000), accuracy),
    )


def _california_mlp() -> Problem:
    return Problem(
        about="SiLU MLP with layer norm, California housing",
        kind="MLP",
        half="report",
        batch=16,
        width=32,
        depth=2,
        net=nets.normalised_mlp,
        criterion=nn.functional.mse_loss,
        **_on_split(california(), explained),
    )


def _cifar_cnn() -> Problem:
    return Problem(
        about="residual CNN with batch norm, CIFAR-10",
        kind="CNN",
        half="fit",
        batch=16,
        width=12,
        depth=1,
        net=nets.residual_cnn,
        criterion=nn.functional.cross_entropy,
        **_on_split(cifar(train=15_000, test=2000), accuracy),
    )


def _fashion_cnn() -> Problem:
    return Problem(
        about="CNN without normalisation, Fashion-MNIST",
        kind="CNN",
        half="report",
        batch=16,
        width=8,
        depth=1,
        net=nets.plain_cnn,
        criterion=nn.functional.cross_entropy,
        **_on_split(grey_images("fashion_mnist", train=30_000, test=4000), accuracy),
    )


def _shakespeare_gpt() -> Problem:
    train, _, test = shakespeare()
    places = torch.linspace(0, len(test) - TEXT_LENGTH - 1, 500).long().unsqueeze(1) + torch.arange(TEXT_LENGTH)
    x, y = test[places], test[places + 1].flatten()
    return Problem(
        about="GPT, Shakespeare's characters",
        kind="transformer",
        half="fit",
        batch=8,
        width=32,
        depth=1,
        net=partial(nets.GPT, length=TEXT_LENGTH),
        batches=partial(Windows, train, TEXT_LENGTH),
        criterion=lambda output, target: nn.functional.cross_entropy(output, target.flatten()),
        measure=lambda model: accuracy(outputs(model, x), y),
    )


def _mnist_vit() -> Problem:
    return Problem(
        about="ViT, MNIST",
        kind="transformer",
        half="report",
        batch=8,
        width=32,
        depth=1,
        net=nets.VisionTransformer,
        criterion=nn.functional.cross_entropy,
        **_on_split(grey_images("mnist", train=30_000, test=2000), accuracy),
    )


_MADE: Mapping[str, Callable[[], Problem]] = {
    "fashion_mlp": _fashion_mlp,
    "california_mlp": _california_mlp,
    "cifar_cnn": _cifar_cnn,
    "fashion_cnn": _fashion_cnn,
    "shakespeare_gpt": _shakespeare_gpt,
    "mnist_vit": _mnist_vit,
}

NAMES = tuple(_MADE)


@cache
def problem(name: str) -> Problem:
    """A problem; reads its data, which must be in the folder that LEARNRATE_DATA names."""
    return _MADE[name]()
