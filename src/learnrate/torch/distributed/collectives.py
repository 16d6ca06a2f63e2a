"""Exchanges of small values between all processes, on the host."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist

from learnrate.errors import RankError


class Collectives:
    """Exchanges over a process group of their own, so that they do not disturb gradients under way."""

    def __init__(self) -> None:
        self._size = dist.get_world_size()
        self._group: Any = dist.new_group(backend="gloo")

    def close(self) -> None:
        """Destroy the process group."""
        dist.destroy_process_group(self._group)

    def gather(self, values: Sequence[float]) -> torch.Tensor:
        """The values of all processes; shape (processes, values), float64."""
        local = torch.tensor(values, dtype=torch.float64)
        rows = [torch.empty_like(local) for _ in range(self._size)]
        dist.all_gather(rows, local, group=self._group)
        return torch.stack(rows)

    def gather_objects(self, value: Any) -> list[Any]:
        """The values of all processes, of any kind that can be pickled."""
        values: list[Any] = [None] * self._size
        dist.all_gather_object(values, value, group=self._group)
        return values

    def average(self, row: Mapping[str, float], what: str) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        """The mean of each value over the processes, and the values of each process.

        Raises:
            RankError: if the names differ between the processes.
        """
        names = sorted(row)
        # The names are compared first: rows of different lengths cannot be exchanged.
        digest = float(zlib.crc32("\n".join(names).encode()))
        if (self.gather([digest]) != digest).any():
            all_names = self.gather_objects(names)
            rank = next(rank for rank, others in enumerate(all_names) if others != all_names[0])
            raise RankError(
                f"the {what} must be the same in every process, {all_names[rank]} on rank {rank}, {all_names[0]} on 0", rank
            )
        table = self.gather([row[name] for name in names])
        columns = {name: table[:, column] for column, name in enumerate(names)}
        return {name: float(values.mean()) for name, values in columns.items()}, columns
