"""A physics-informed network: an MLP solves Poisson's equation on the unit square, Adam, 1,000 updates."""

import math

import torch
from torch import Tensor, nn, optim

from benchmarks.choice.batches import Drawn, fixed
from benchmarks.choice.data import Split
from benchmarks.choice.task import Task, explained, measures

WAVES = (2, 2)
"""Half waves of the solution along each side."""

BOUNDARY = 10.0
"""Weight of the error on the boundary."""


def solution(points: Tensor) -> Tensor:
    """The exact solution, which is 0 on the boundary."""
    first, second = WAVES
    return torch.sin(first * math.pi * points[..., :1]) * torch.sin(second * math.pi * points[..., 1:])


def source(points: Tensor) -> Tensor:
    """Minus the Laplacian of the solution."""
    return math.pi**2 * (WAVES[0] ** 2 + WAVES[1] ** 2) * solution(points)


def points(count: int) -> tuple[Tensor, Tensor]:
    """New points: pairs of one inside and one on the boundary. Both errors should be 0."""
    inside, boundary = torch.rand(count, 2), torch.rand(count, 2)
    side = torch.randint(4, (count,))
    boundary[torch.arange(count), side % 2] = (side // 2).float()
    return torch.stack([inside, boundary], 1), torch.zeros(count, 2)


class Network(nn.Module):
    """Three hidden layers of 32 with tanh; in training mode its output is the error of the equation, not the solution."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """For training pairs, the errors inside and on the boundary; otherwise the solution at the points."""
        if not self.training:
            solved: Tensor = self.layers(x)
            return solved
        with torch.enable_grad():
            inside = x[:, 0].detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.layers(inside).sum(), inside, create_graph=True)
            bends = [torch.autograd.grad(slope[:, axis].sum(), inside, create_graph=True)[0][:, axis] for axis in range(2)]
        error = bends[0] + bends[1] + source(inside)[:, 0]
        return torch.stack([error, BOUNDARY * self.layers(x[:, 1])[:, 0]], 1)


def task() -> Task:
    """Needs no data."""
    x_validation, x_test = (fixed(torch.rand, 2000, 2, seed=seed) for seed in (1, 2))
    x, y = fixed(points, 1, seed=0)
    data = Split(x, y, x_validation, solution(x_validation), x_test, solution(x_test))
    return Task(
        about="PINN of 3 hidden layers of 32, Poisson's equation, Adam",
        updates=1000,
        model=Network,
        optimizer=lambda model: optim.Adam(model.parameters(), lr=1e-3),
        batches=lambda: Drawn(points, 64, 1000),
        criterion=nn.functional.mse_loss,
        metric="R2",
        **measures(data, explained),
    )
