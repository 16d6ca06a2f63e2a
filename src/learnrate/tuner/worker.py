"""What a worker of `tune(..., executor=)` does: it trains one trial from its LRs, and judges nothing."""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learnrate.origin import built
from learnrate.trainable import Metrics, Trainable
from learnrate.updates import StopReason, UpdateLoop, raise_if_interrupted

_lock = threading.Lock()
"""Trials in threads of one process would train the same objects, and share its random numbers."""

_built: dict[bytes, tuple[Trainable, Any]] = {}
"""The training that this worker has built last, and the state that every trial starts from."""


@dataclass(frozen=True)
class Outcome:
    """What a trial gave.

    Attributes:
        losses: The loss of each update. Only a loss that is not finite ends it: whether another one is a divergence depends
            on other trials, see `Losses`.
        ended: Why it ended early; None if it did not.
        evaluation: The evaluation at its end; None if it ended early, or there is none.
        noise_scale: See `learnrate.Trainable.noise_scale`; None if it was not asked for.
    """

    losses: tuple[float, ...]
    ended: StopReason | None
    evaluation: float | Mapping[str, float] | None
    noise_scale: float | None


def train(source: bytes, lrs: Sequence[float], with_noise_scale: bool) -> Outcome:
    """Train a trial.

    Args:
        source: The training; see `learnrate.origin`.
        lrs: The LR of each update.
        with_noise_scale: Whether to measure the noise scale at the end.
    """
    with _lock:
        return _train(source, lrs, with_noise_scale)


def forget() -> None:
    """Free what was built in this process, if a trial was trained here."""
    _built.clear()


def _train(source: bytes, lrs: Sequence[float], with_noise_scale: bool) -> Outcome:
    if source not in _built:
        _built.clear()
        trainable = built(source)
        _built[source] = trainable, trainable.save()
    trainable, state = _built[source]
    trainable.restore(state)
    losses: list[float] = []

    def watch(_: float, metrics: Metrics) -> StopReason | None:
        losses.append(metrics["loss"])
        return None if math.isfinite(losses[-1]) else StopReason("not finite", "the loss is not finite")

    ended = UpdateLoop(trainable, watch).run(lrs)
    raise_if_interrupted(ended)
    if ended is not None:
        return Outcome(tuple(losses), ended, None, None)
    evaluation = trainable.evaluate()
    return Outcome(tuple(losses), None, evaluation, trainable.noise_scale() if with_noise_scale else None)
