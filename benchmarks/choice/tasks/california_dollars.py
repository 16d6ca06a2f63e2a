"""An MLP on house values in dollars, as a user meets them: inputs are standardised, targets are not. Adam, 2,000 updates."""

import numpy as np
import torch
from torch import nn, optim

from benchmarks.choice.data import Shuffled, Split, file, parted, standardised
from benchmarks.choice.task import Task, explained, measures


def dollars() -> Split:
    """House values in California, from 14,999 to 500,001."""
    with np.load(file("california_housing.npz")) as arrays:
        x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]).unsqueeze(1)
    raw = parted(x, y, train=14_000, validation=1640, test=5000)
    scaled = standardised(raw)
    return Split(scaled.x, raw.y, scaled.x_validation, raw.y_validation, scaled.x_test, raw.y_test)


def task() -> Task:
    """Needs california_housing.npz."""
    data = dollars()
    width = data.x.shape[1]
    return Task(
        about="MLP of 2 hidden layers of 64, California housing in dollars, Adam",
        updates=2000,
        model=lambda: nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)),
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 64),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, explained),
    )
