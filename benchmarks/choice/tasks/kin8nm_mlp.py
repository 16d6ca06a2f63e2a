"""An MLP with GELU and layer norm on a robot arm's kinematics, AdamW, 5,000 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, uci
from benchmarks.choice.task import Task, explained, measures


def task() -> Task:
    """Needs uci_regression.npz."""
    data = uci("kin8nm", train=5000, validation=1000, test=2192)
    return Task(
        about="MLP with layer norm, kin8nm, AdamW",
        updates=5000,
        model=lambda: nn.Sequential(
            nn.Linear(8, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 1)
        ),
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, explained),
    )
