"""An MLP with SiLU on a power plant's output, Adam, 600 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, uci
from benchmarks.choice.task import Task, explained, measures


def task() -> Task:
    """Needs uci_regression.npz."""
    data = uci("power", train=6000, validation=1000, test=2568)
    return Task(
        about="MLP of 2 hidden layers of 96 with SiLU, power plant, Adam",
        updates=600,
        model=lambda: nn.Sequential(nn.Linear(4, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 1)),
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 16),
        criterion=nn.functional.smooth_l1_loss,
        metric="R2",
        **measures(data, explained),
    )
