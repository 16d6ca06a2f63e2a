"""What many processes have to agree on at each update: the means of their losses, and what people ask for in process 0."""

from typing import Any

import torch.distributed as dist

from learnrate.torch.distributed.collectives import Collectives


class Exchange:
    """Exchanges between the processes of a run; in a single process nothing is exchanged.

    Attributes:
        rank: Number of this process.
    """

    def __init__(self) -> None:
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self._collectives = Collectives() if several else None
        self.rank = dist.get_rank() if several else 0

    @property
    def is_shared(self) -> bool:
        """Whether there are several processes."""
        return self._collectives is not None

    def mean(self, loss: float, waiting: bool) -> tuple[float, bool]:
        """The mean of the losses of all processes; and whether requests wait in process 0."""
        if self._collectives is None:
            return loss, waiting
        table = self._collectives.gather([loss, float(waiting)])
        return float(table[:, 0].mean()), bool(table[0, 1])

    def mean_scores(self, scores: dict[str, float]) -> dict[str, float]:
        """The means of the scores of an evaluation."""
        return scores if self._collectives is None else self._collectives.average(scores, "scores of an evaluation")[0]

    def share(self, value: Any) -> Any:
        """What process 0 has, in every process."""
        return value if self._collectives is None else self._collectives.gather_objects(value)[0]
