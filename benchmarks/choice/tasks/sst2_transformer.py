"""A small transformer with post-norm layers on film reviews' phrases, Adam, 800 updates."""

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, Split, reviews
from benchmarks.choice.task import Task, accuracy, measures


class Encoder(nn.Module):
    """Words and places, two layers with dropout, the mean over the places."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(5000, width), nn.Parameter(0.02 * torch.randn(1, 16, width))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 2)

    def forward(self, text: Tensor) -> Tensor:
        """Scores of the two classes."""
        return self.head(self.layers(self.words(text) + self.places).mean(1))


def task() -> Task:
    """Needs sst2.npz; its test phrases are few, so rows of the training part measure."""
    rows = reviews("sst2", words=5000, length=16, train=25_000, validation=6000)
    chooses, measured = slice(0, 1000), slice(1000, None)
    x, y = rows.x_validation, rows.y_validation
    data = Split(rows.x, rows.y, x[chooses], y[chooses], x[measured], y[measured])
    return Task(
        about="transformer of 2 post-norm layers, SST-2, Adam",
        updates=800,
        model=Encoder,
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
