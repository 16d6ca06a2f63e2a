"""A variational autoencoder of 10 numbers, MNIST, Adam, 1,000 updates."""

import math

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, Split, grey_images
from benchmarks.choice.task import Task, measures

CODE = 10
"""Numbers in the code."""


class Autoencoder(nn.Module):
    """784-128-20, a random code, 10-128-784."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 2 * CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, 128), nn.ReLU(), nn.Linear(128, 784))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the pixels, then means and log variances of the code. The noise of an evaluation is always the same."""
        code = self.encoder(x)
        mean, log_variance = code.chunk(2, 1)
        generator = None if self.training else torch.Generator().manual_seed(0)
        noise = torch.randn(mean.shape, generator=generator)
        return torch.cat([self.decoder(mean + torch.exp(log_variance / 2) * noise), code], 1)


def bound(output: Tensor, pixels: Tensor) -> Tensor:
    """The negative evidence lower bound, in nats per image (arXiv 1312.6114, equation 10)."""
    logits, mean, log_variance = output.split([784, CODE, CODE], 1)
    errors = nn.functional.binary_cross_entropy_with_logits(logits, pixels, reduction="none").sum(1)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
    return (errors + divergence).mean()


def task() -> Task:
    """Needs mnist.npz."""
    images = grey_images("mnist", train=20_000, test=2000)
    x, x_validation, x_test = (
        (part.flatten(1) * 0.33 + 0.3 > 0.5).float() for part in (images.x, images.x_validation, images.x_test)
    )
    data = Split(x, x, x_validation, x_validation, x_test, x_test)
    mean = x.mean(0).clamp(1e-3, 1 - 1e-3)

    def saved(output: Tensor, pixels: Tensor) -> float:
        """Points: percent of the nats of independent pixels that the model saves."""
        baseline = nn.functional.binary_cross_entropy(mean.expand_as(pixels), pixels, reduction="none").sum(1).mean()
        share = 1 - float(bound(output, pixels)) / float(baseline)
        return max(-100.0, 100 * share) if math.isfinite(share) else -100.0

    return Task(
        about="VAE with a code of 10 numbers, MNIST, Adam",
        updates=1000,
        model=Autoencoder,
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 16),
        criterion=bound,
        metric="nats saved",
        **measures(data, saved),
    )
