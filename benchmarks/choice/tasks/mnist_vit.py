"""A small vision transformer on MNIST, AdamW, 800 updates."""

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.task import Task, accuracy, measures


class Transformer(nn.Module):
    """Sixteen patches of 7 x 7 pixels, two layers, the mean over the patches."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 7, stride=7)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the ten classes."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.layers(tokens)).mean(1))


def task() -> Task:
    """Needs mnist.npz."""
    data = grey_images("mnist", train=20_000)
    return Task(
        about="ViT of 2 layers, MNIST, AdamW",
        updates=800,
        model=Transformer,
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
