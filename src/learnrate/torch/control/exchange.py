"""What many processes have to agree on at each update: the means of their losses, and what people ask for in process 0."""

import math
from typing import Any, NamedTuple

import torch.distributed as dist
from torch import Tensor

from learnrate.torch.distributed.collectives import Collectives


class Seen(NamedTuple):
    """What a process has seen of an update.

    Attributes:
        loss: The mean of its losses; None if there was none.
        norm: The norm of the gradient; None if it was not measured.
        waiting: Whether requests wait; process 0 decides.
        mixed: Whether there were several losses, whose mean is not finite.
    """

    loss: float | None
    norm: float | None
    waiting: bool
    mixed: bool


def summary(losses: list[float], norm: float | None, waiting: bool) -> Seen:
    """What this process has seen of an update."""
    loss = sum(losses) / len(losses) if losses else None
    return Seen(loss, norm, waiting, len(losses) > 1 and loss is not None and not math.isfinite(loss))


def several_processes() -> bool:
    """Whether this is one of several processes that train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class Exchange:
    """Exchanges between the processes of a run; in a single process nothing is exchanged.

    Attributes:
        rank: Number of this process.
    """

    def __init__(self) -> None:
        several = several_processes()
        self._collectives = Collectives() if several else None
        self.rank = dist.get_rank() if several else 0

    @property
    def is_shared(self) -> bool:
        """Whether there are several processes."""
        return self._collectives is not None

    def agree(self, own_summary: Seen) -> Seen:
        """What all processes have seen of an update, the same in all of them: means over those that have a number."""
        if self._collectives is None:
            return own_summary
        numbers = [(0.0, 0.0) if number is None else (number, 1.0) for number in (own_summary.loss, own_summary.norm)]
        row = [*numbers[0], *numbers[1], float(own_summary.waiting), float(own_summary.mixed)]
        table = self._collectives.gather(row)
        loss, norm = (_mean(table[:, place], table[:, place + 1]) for place in (0, 2))
        return Seen(loss, norm, bool(table[0, 4]), bool(table[:, 5].any()))

    def mean_scores(self, scores: dict[str, float]) -> dict[str, float]:
        """The means of the scores of an evaluation."""
        return scores if self._collectives is None else self._collectives.average(scores, "scores of an evaluation")[0]

    def share(self, value: Any) -> Any:
        """What process 0 has, in every process."""
        return value if self._collectives is None else self._collectives.gather_objects(value)[0]


def _mean(numbers: Tensor, present: Tensor) -> float | None:
    count = float(present.sum())
    return float(numbers.sum()) / count if count else None
