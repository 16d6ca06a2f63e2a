"""Contrastive learning: two random views of an image must find each other, Fashion-MNIST, AdamW, 600 updates."""

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.batches import Mapped, fixed
from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.task import Task, accuracy

CROP = 18
"""Pixels on a side of a view."""

TEMPERATURE = 0.1
"""Of the similarities, as in SimCLR (arXiv 2002.05709, table 5)."""


def view(images: Tensor) -> Tensor:
    """Random crops of 18 x 18 pixels, half of them mirrored, with a random contrast and noise."""
    count = len(images)
    top, left = (
        torch.randint(images.shape[-2] - CROP + 1, (count, 1)),
        torch.randint(images.shape[-1] - CROP + 1, (count, 1)),
    )
    rows, columns = top + torch.arange(CROP), left + torch.arange(CROP)
    crops = images[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    mirrored = torch.where(torch.rand(count, 1, 1, 1) < 0.5, crops.flip(-1), crops)
    return mirrored * (0.6 + 0.8 * torch.rand(count, 1, 1, 1)) + 0.2 * torch.randn_like(crops)


def pairs(images: Tensor) -> tuple[Tensor, Tensor]:
    """Two views of each image, and the number of the image in the batch."""
    return torch.stack([view(images), view(images)], 1), torch.arange(len(images))


class Encoder(nn.Module):
    """Three convolutions with batch norm and a projection of 32 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(576, 64),
            nn.ReLU(),
            nn.Linear(64, 32),
        )

    def forward(self, views: Tensor) -> Tensor:
        """The similarity of each first view to each second view of the batch, divided by the temperature."""
        points = nn.functional.normalize(self.layers(views.flatten(0, 1)), dim=-1).view(len(views), 2, -1)
        similarities: Tensor = points[:, 0] @ points[:, 1].T / TEMPERATURE
        return similarities


def both_ways(similarities: Tensor, numbers: Tensor) -> Tensor:
    """Each view must find its partner among those of the batch: the loss of CLIP (arXiv 2103.00020, figure 3)."""
    cross_entropy = nn.functional.cross_entropy
    return (cross_entropy(similarities, numbers) + cross_entropy(similarities.T, numbers)) / 2


def found(model: nn.Module, views: Tensor) -> float:
    """Points: percent of first views whose partner is the most similar among 500."""
    model.eval()
    with torch.no_grad():
        shares = [accuracy(model(part), torch.arange(len(part))) for part in views.split(500)]
    return sum(shares) / len(shares)


def task() -> Task:
    """Needs fashion_mnist.npz."""
    images = grey_images("fashion_mnist", train=20_000, test=4000)
    validation, test = (fixed(pairs, part, seed=1)[0] for part in (images.x_validation, images.x_test))
    return Task(
        about="contrastive learning, CNN, Fashion-MNIST, AdamW",
        updates=600,
        model=Encoder,
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        batches=lambda: Mapped(Shuffled((images.x,), 32), pairs),
        criterion=both_ways,
        validate=lambda model: found(model, validation),
        test=lambda model: found(model, test),
        metric="retrieval",
    )
