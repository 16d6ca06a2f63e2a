"""A small GPT on Shakespeare's characters, AdamW with clipped gradients, 1,000 updates."""

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.data import Windows, shakespeare
from benchmarks.choice.task import Task, accuracy, outputs

LENGTH = 48


class GPT(nn.Module):
    """Two causal layers of width 64."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(65, width), nn.Embedding(LENGTH, width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 65)
        self.register_buffer("mask", torch.triu(torch.full((LENGTH, LENGTH), float("-inf")), diagonal=1))

    def forward(self, text: Tensor) -> Tensor:
        """Scores of the next character, at each place."""
        tokens = self.characters(text) + self.places.weight[: text.shape[1]]
        return self.head(self.norm(self.layers(tokens, mask=self.mask)))


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean over all places."""
    return nn.functional.cross_entropy(output.flatten(0, 1), target.flatten())


def next_character(text: Tensor, windows: int) -> tuple[Tensor, Tensor]:
    """Windows at even distances, and what follows each character."""
    places = torch.linspace(0, len(text) - LENGTH - 1, windows).long().unsqueeze(1) + torch.arange(LENGTH)
    return text[places], text[places + 1]


def task() -> Task:
    """Needs tinyshakespeare.txt."""
    train, validation, test = shakespeare()
    x, y = next_character(validation, 200)
    x_test, y_test = next_character(test, 800)
    return Task(
        about="GPT of 2 layers, Shakespeare's characters, AdamW",
        updates=1000,
        model=GPT,
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1),
        batches=lambda: Windows(train, LENGTH, 12),
        criterion=cross_entropy,
        validate=lambda model: accuracy(outputs(model, x), y),
        test=lambda model: accuracy(outputs(model, x_test), y_test),
        clip_norm=1.0,
    )
