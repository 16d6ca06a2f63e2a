"""What is varied: batch, width, depth and length of the base set-up of each problem, alone and together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.carry.problems import PROBLEMS

Optimizer = Literal["adam", "sgd"]

OPTIMIZERS: tuple[Optimizer, ...] = ("adam", "sgd")


@dataclass(frozen=True)
class SetUp:
    """All that a training is but its LR and its seed. Numbers are ratios to the base set-up of the problem.

    Attributes:
        problem: Name of the problem.
        optimizer: Adam, or SGD with a momentum of 0.9.
        batch: Examples in a batch.
        width: Width of the net.
        depth: Its layers or blocks.
        updates: Length of the training.
    """

    problem: str
    optimizer: Optimizer
    batch: float = 1
    width: int = 1
    depth: int = 1
    updates: float = 1

    @property
    def base(self) -> "SetUp":
        """The set-up that it is a variation of."""
        return SetUp(self.problem, self.optimizer)


VARIATIONS: tuple[Mapping[str, float], ...] = (
    {"batch": 4},
    {"width": 4},
    {"depth": 4},
    {"batch": 1 / 4},
    {"updates": 1 / 4},
    {"batch": 1 / 4, "updates": 1 / 4},
    {"batch": 16},
    {"batch": 16, "updates": 1 / 4},
    {"updates": 4},
    {"batch": 4, "updates": 1 / 4},
    {"width": 2, "batch": 4},
)
"""Changes of the base set-up; those first that say most if the rest is not measured."""


def bases() -> list[SetUp]:
    """The base set-ups."""
    return [SetUp(problem, optimizer) for problem in PROBLEMS for optimizer in OPTIMIZERS]


def variations() -> Iterator[SetUp]:
    """The variations of all base set-ups."""
    for variation in VARIATIONS:
        for base in bases():
            yield replace(base, **variation)
