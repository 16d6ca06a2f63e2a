"""A recurrent net on Shakespeare's characters, Adam with clipped gradients, 600 updates."""

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.data import Windows, shakespeare
from benchmarks.choice.task import Task, accuracy, outputs

LENGTH = 32


class Recurrent(nn.Module):
    """One LSTM layer of width 96."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(65, 32)
        self.memory = nn.LSTM(32, 96, batch_first=True)
        self.head = nn.Linear(96, 65)

    def forward(self, text: Tensor) -> Tensor:
        """Scores of the next character, at each place."""
        return self.head(self.memory(self.characters(text))[0])


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
    x, y = next_character(validation, 300)
    x_test, y_test = next_character(test, 1200)
    return Task(
        about="LSTM, Shakespeare's characters, Adam",
        updates=600,
        model=Recurrent,
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Windows(train, LENGTH, 16),
        criterion=cross_entropy,
        validate=lambda model: accuracy(outputs(model, x), y),
        test=lambda model: accuracy(outputs(model, x_test), y_test),
        clip_norm=1.0,
    )
