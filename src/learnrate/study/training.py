"""One whole training of any `Trainable` with a schedule, and its record."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate import checks, records
from learnrate.schedules import Schedule
from learnrate.trainable import Metrics, Trainable, scores
from learnrate.updates import Progress, StopReason, UpdateLoop, raise_if_interrupted

CHECKPOINTS = 20
"""Evaluations along a training, for the figures."""


@dataclass(frozen=True)
class Training:
    """The record of one whole training.

    Attributes:
        seed: Seed of its random numbers.
        score: The metric at the end; without an evaluation the mean training loss of the last fifth.
        losses: Training loss of each update; shorter than planned if a loss was not finite.
        checkpoints: Number of updates before each measurement of `scores`.
        scores: The metric at these checkpoints.
        metric: Name of the metric, "loss" without an evaluation.
    """

    seed: int
    score: float
    losses: tuple[float, ...]
    checkpoints: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    metric: str = "loss"

    def as_record(self) -> dict[str, Any]:
        """The training as JSON holds it."""
        return {
            "seed": self.seed,
            "score": records.encode_float(self.score),
            "losses": [records.encode_float(loss) for loss in self.losses],
            "checkpoints": list(self.checkpoints),
            "scores": [records.encode_float(score) for score in self.scores],
        }


def train(trainable: Trainable, schedule: Schedule, seed: int, updates: int, progress: Progress | None = None) -> Training:
    """Train with a schedule.

    Args:
        trainable: The training, at its start.
        schedule: LR of each update.
        seed: What the training was built from, for the record.
        updates: Length in updates. A loss that is not finite ends the training early.
        progress: Called after every update with (updates so far, updates planned).

    Returns:
        The record of the training.

    Raises:
        ArgumentError: if `updates` is below 1.
        LossError: if an update returns no usable loss, or the first update is skipped again and again.
        ExhaustedError: if the batches run out.
        KeyboardInterrupt: at Ctrl-C, also in another process.

    Example:
        >>> import learnrate as lr
        >>> class Quadratic(lr.Trainable):
        ...     weight = 1.0
        ...     def update(self, lr):
        ...         loss = self.weight**2
        ...         self.weight -= lr * 2 * self.weight
        ...         return loss
        ...     def save(self):
        ...         return self.weight
        ...     def restore(self, state):
        ...         self.weight = state
        >>> train(Quadratic(), lr.constant(0.25), seed=0, updates=3).losses
        (1.0, 0.25, 0.0625)
    """
    checks.length("updates", updates)
    losses: list[float] = []
    checkpoints: list[int] = []
    measured: list[float] = []
    metric = "loss"

    def watch(lr: float, metrics: Metrics) -> StopReason | None:
        losses.append(metrics["loss"])
        return None if math.isfinite(losses[-1]) else StopReason("not finite", "the loss is not finite")

    def report(count: int) -> None:
        if progress is not None:
            progress(count, updates)

    def evaluate(count: int) -> None:
        nonlocal metric
        evaluation = scores(trainable.evaluate())
        if evaluation:
            name, score = next(iter(evaluation.items()))
            metric = "held-out loss" if name == "loss" else name
            checkpoints.append(count)
            measured.append(score)

    def evaluate_if_due(count: int) -> None:
        if count * CHECKPOINTS // updates > (count - 1) * CHECKPOINTS // updates:
            evaluate(count)

    loop = UpdateLoop(trainable, watch, on_update=report, after=evaluate_if_due)
    reason = loop.run(schedule(update) for update in range(updates))
    raise_if_interrupted(reason)
    # Metrics are read in blocks, so that the training may have been evaluated after the update that ended it.
    if reason is not None and loop.updates not in checkpoints:
        evaluate(loop.updates)
    score = measured[-1] if measured else float(np.mean(losses[-max(1, updates // 5) :]))
    return Training(seed, score, tuple(losses), tuple(checkpoints), tuple(measured), metric)
