"""Seeds of all random numbers."""

import random

import numpy as np
import torch

from learnrate import checks

RANK_STRIDE = 1_000_003
"""Difference between the seeds of two processes: the seed of one must not be that of another in the next sweep."""


def check_seed(seed: object) -> int:
    """A seed as an int.

    Raises:
        ArgumentError: if it is below 0, or above 2 ** 32 - 1, the largest that NumPy takes.
    """
    return checks.numpy_seed("seed", seed)


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seed the random numbers of Python, NumPy and torch, on every device, differently in every process.

    Raises:
        ArgumentError: if the seed is below 0, or above 2 ** 32 - 1.
    """
    seed = (check_seed(seed) + RANK_STRIDE * rank) % 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
