"""The members of an ensemble: rows of a table with their seeds, and what follows from a seed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.papers.data import ImageBatches
from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.policies import TABLE_3, Row
from benchmarks.papers.recipes import cifar10_full


@dataclass(frozen=True)
class Member:
    """One training.

    Attributes:
        arm: Name of its arm in the experiment.
        seed: Of weights and order.
        kind: Its optimizer, one of `optimizers.STEPS`.
        row: Its schedule and length.
    """

    arm: str
    seed: int
    kind: str
    row: Row

    def lrs(self) -> NDArray[np.float32]:
        """The LR of each update."""
        return np.asarray(self.row.schedule(np.arange(self.row.updates)), np.float32)


def members(experiment: str, scale: float, seeds: Iterable[int]) -> list[Member]:
    """The trainings of an experiment, those with the same optimizer next to each other."""
    rows = EXPERIMENTS[experiment].by_name(scale)
    wanted = [Member(name, seed, kind_of(name), entry.row) for name, entry in rows.items() for seed in seeds]
    return sorted(wanted, key=lambda member: member.kind)


def kind_of(arm: str) -> str:
    """The optimizer of an arm: that in its name, or Caffe's SGD."""
    name = arm.split(",")[0]
    return name if name in TABLE_3 else "SGD"


@dataclass(frozen=True, eq=False)
class Beginning:
    """What follows from a seed.

    Attributes:
        net: With its initial weights.
        orders: The rows of the images in each batch, epoch after epoch.
        fingerprint: Of the weights.
        length: Batches in an epoch.
    """

    net: nn.Module
    orders: Iterator[Tensor]
    fingerprint: str | None
    length: int


def beginning(seed: int, batch: int = 100) -> Beginning:
    """The same as a single training of this seed has.

    Raises:
        MissingDataError: if the data is not there.
    """
    recipe = cifar10_full(batch=batch)
    fingerprint = recipe.trainable(seed, test=True).fingerprint()
    net, _, batches = recipe.build(seed)
    assert isinstance(batches, ImageBatches)
    return Beginning(net, batches.orders(), fingerprint, len(batches))


def multipliers(name: str) -> tuple[float, float]:
    """The factor on the LR, and the weight decay, of a parameter of cifar10_full; see `cifar10_full_groups`."""
    factor = 2.0 if name.endswith("bias") and name != "conv3.bias" else 1.0
    return factor, {"ip1.weight": 1.0, "ip1.bias": 0.0}.get(name, 0.004)


def rows_of(beginnings: Iterable[Beginning], device: torch.device) -> Tensor:
    """The rows of the next epoch, (batches, images in a batch, seeds)."""
    return torch.stack([next(start.orders) for start in beginnings], dim=-1).to(device)
