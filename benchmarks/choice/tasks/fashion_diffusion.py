"""A diffusion model: a CNN predicts the noise in images of 14 x 14 pixels, Fashion-MNIST, AdamW, 600 updates."""

import math

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.batches import Mapped, fixed
from benchmarks.choice.data import Shuffled, Split, grey_images
from benchmarks.choice.task import Task, explained, measures


def noisy(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images with noise of a random level, and a channel with the level; the target is the noise.

    The schedule of the noise is a cosine (arXiv 2102.09672, equation 17, without its offset).
    """
    level = torch.rand(len(images), 1, 1, 1)
    noise = torch.randn_like(images)
    mixed = torch.cos(level * math.pi / 2) * images + torch.sin(level * math.pi / 2) * noise
    return torch.cat([mixed, level.expand_as(images)], 1), noise


class Denoiser(nn.Module):
    """Two resolutions with a skip connection, group norm and SiLU."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.GroupNorm(3, width), nn.SiLU())
        self.inner = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.GroupNorm(3, 2 * width),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.GroupNorm(3, 2 * width),
            nn.SiLU(),
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.Upsample(scale_factor=2),
        )
        self.leave = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.GroupNorm(3, width),
            nn.SiLU(),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The noise."""
        wide = self.enter(x)
        noise: Tensor = self.leave(torch.cat([wide, self.inner(wide)], 1))
        return noise


def task() -> Task:
    """Needs fashion_mnist.npz."""
    images = grey_images("fashion_mnist", train=20_000, test=2000)
    x, x_validation, x_test = (nn.functional.avg_pool2d(part, 2) for part in (images.x, images.x_validation, images.x_test))
    data = Split(*fixed(noisy, x[:1], seed=0), *fixed(noisy, x_validation, seed=1), *fixed(noisy, x_test, seed=2))
    return Task(
        about="diffusion model, Fashion-MNIST, AdamW",
        updates=600,
        model=Denoiser,
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3),
        batches=lambda: Mapped(Shuffled((x,), 16), noisy),
        criterion=nn.functional.mse_loss,
        metric="R2 of the noise",
        **measures(data, lambda output, target: explained(output.reshape(-1), target.reshape(-1))),
    )
