"""A tiny MLP on a robot arm's kinematics, SGD with momentum, 100,000 updates: 640 epochs."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, uci
from benchmarks.choice.task import Task, explained, measures


def task() -> Task:
    """Needs uci_regression.npz."""
    data = uci("kin8nm", train=5000, validation=1000, test=2192)
    return Task(
        about="MLP of one hidden layer of 48, kin8nm, SGD",
        updates=100_000,
        model=lambda: nn.Sequential(nn.Linear(8, 48), nn.Tanh(), nn.Linear(48, 1)),
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, explained),
    )
