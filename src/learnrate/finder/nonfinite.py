"""Losses that are not finite: whether the LR is the cause, or the batch.

A step that is too large changes the loss before it ruins the weights, and then no loss is finite any more. A batch with
a NaN in it gives NaN at any LR, and the next loss is finite if the training leaves such batches out.
"""

import math
from collections.abc import Sequence

import numpy as np

from learnrate.errors import LossError
from learnrate.finder.levels import CLEAR_NOISES, clear_rise, difference_noise, level
from learnrate.finder.smoothing import Floats, running_median
from learnrate.updates import StopReason

FEWEST = 5
"""Finite losses from which the noise, and so a change, can be told."""


class NothingFiniteError(LossError):
    """No loss of a sweep is finite."""


class NonFinite:
    """Decides with each loss whether one that is not finite ends the sweep.

    It does if the loss was rising before it, or if the next loss is not finite either: then the weights are ruined.

    Attributes:
        batches: The updates whose loss was not finite, and whose next loss was: the cause is their batch.
        since: The update from which on no loss was finite; None if the last one is.
    """

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.since: int | None = None

    def add(self, losses: Sequence[float]) -> StopReason | None:
        """Judge the last of the losses so far."""
        loss, update = losses[-1], len(losses) - 1
        if math.isfinite(loss):
            if self.since is not None:
                self.batches.append(self.since)
                self.since = None
            return None
        first = self.since is None
        if first:
            self.since = update
            if not rises(np.array(losses)):
                return None
        return self.end(losses)

    def end(self, losses: Sequence[float]) -> StopReason | None:
        """The reason to end the sweep after these losses; None if the last one is finite."""
        if self.since is None:
            return None
        text = f"the loss became {losses[self.since]}"
        if not unchanged(np.array(losses)):
            return StopReason("not finite", text)
        return StopReason("not finite", f"{text} where no LR had changed it (check this batch and the model)")


def last_run(losses: Floats) -> int | None:
    """The position from which on no loss is finite; None if the last one is finite, or there are none."""
    finite = np.flatnonzero(np.isfinite(losses))
    start = int(finite[-1]) + 1 if len(finite) else 0
    return start if start < len(losses) else None


def rises(losses: Floats) -> bool:
    """Whether the last finite loss is clearly above the lowest level so far; False where there are too few to tell."""
    finite = losses[np.isfinite(losses)]
    if len(finite) < FEWEST:
        return False
    return bool(finite[-1] > running_median(finite).min() + clear_rise(difference_noise(finite), level(finite)))


def unchanged(losses: Floats) -> bool:
    """Whether the finite losses show that no LR has changed the loss; False where there are too few to tell."""
    finite = losses[np.isfinite(losses)]
    if len(finite) < FEWEST or rises(losses):
        return False
    return bool(level(finite) - running_median(finite).min() <= CLEAR_NOISES * difference_noise(finite))
