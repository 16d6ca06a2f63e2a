"""Makes the updates of a range test and records what they saw."""

import math
import time
from typing import Any, cast

import numpy as np

from learnrate import checks
from learnrate.errors import LossError
from learnrate.finder.arrays import LARGEST_LOSS
from learnrate.finder.curve import Curve
from learnrate.finder.nonfinite import NonFinite, NothingFiniteError
from learnrate.finder.stops import Ended, Trace, watching
from learnrate.finder.sweep import Sweep
from learnrate.trainable import ExhaustedError, Metrics, Trainable, scores, updates_per_epoch
from learnrate.updates import INTERRUPTED, StopReason, UpdateLoop

MOST_FAULTS = 10
"""Losses that are not finite and that get a note of their own."""


def record(trainable: Trainable, sweep: Sweep) -> Curve:
    """Make the updates of a sweep and return the curve, also where Ctrl-C or the end of the data ends it early.

    Raises:
        LossError: if an update returns no scalar, or no loss is finite at the first updates.
        ExhaustedError: if there was no batch for the first update.
        KeyboardInterrupt: at Ctrl-C before the first update was made.
    """
    recorder = _Recorder(trainable, sweep)
    # The loop refers to the recorder and not the other way round: a cycle would keep the weights in memory for a while.
    loop = recorder.new_loop()
    try:
        reason = loop.run(recorder.lrs) or recorder.end()
    except (KeyboardInterrupt, ExhaustedError) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        # An interrupt counts, also if the loss has diverged at this moment: it must not let the next sweep begin.
        last = loop.read()
        reason = INTERRUPTED if interrupted else last or StopReason("out of batches", "the batches ran out")
        if not recorder.losses:
            raise
    if reason is not None and not recorder.losses:
        raise LossError(f"there is no curve: {reason.text} before the first update was made")
    if reason is not None and reason.ended == "not finite":
        _require_finite(recorder.losses, recorder.lrs[0])
    return recorder.curve(reason, loop.skipped)


class _Recorder:
    """The losses and metrics of a sweep so far."""

    def __init__(self, trainable: Trainable, sweep: Sweep) -> None:
        self.lrs: list[float] = sweep.lrs.tolist()
        self.losses: list[float] = []
        self._updates = 0
        self._trainable, self._sweep = trainable, sweep
        self._non_finite = NonFinite()
        self._watch = watching(sweep.stop, len(self.lrs))
        self._metrics: dict[str, list[float]] = {}
        self._scores: dict[str, dict[int, float]] = {}
        self._start = time.monotonic()

    def new_loop(self) -> UpdateLoop:
        """The loop that makes the updates and hands them to this recorder."""
        sweep = self._sweep
        return UpdateLoop(
            *(self._trainable, self._enter),
            before=None if sweep.time_limit is None else self._time_over,
            on_update=None if sweep.time_limit is None and sweep.progress is None else self._count,
            after=None if sweep.evaluate_every is None else self._evaluate_if_due,
        )

    def _time_over(self) -> StopReason | None:
        limit = self._sweep.time_limit
        if limit is None or not self._updates or time.monotonic() - self._start <= limit:
            return None
        return StopReason("out of time", f"the time limit of {limit:g} s was reached")

    def _count(self, updates: int) -> None:
        self._updates = updates
        if self._sweep.progress is not None:
            self._sweep.progress(updates, len(self.lrs))

    def _enter(self, lr: float, metrics: Metrics) -> StopReason | None:
        """Record one update."""
        values = dict(metrics)
        loss = values.pop("loss")
        if abs(loss) > LARGEST_LOSS:
            loss = math.copysign(math.inf, loss)
        if not self.losses:
            self._metrics = {name: [] for name in values}
        elif not math.isfinite(loss) and not values:
            values = dict.fromkeys(self._metrics, math.nan)  # of batches that were left out
        elif values.keys() != self._metrics.keys():
            raise LossError(
                f"the metrics must be the same at every update, received {sorted(values)}, before {sorted(self._metrics)}"
            )
        for name, value in values.items():
            self._metrics[name].append(value)
        self.losses.append(loss)
        reason = self._non_finite.add(self.losses)
        if not math.isfinite(loss):
            return reason
        try:
            return self._watch(lr, loss)
        except KeyboardInterrupt:  # a rule of the user's own may raise it in one of many processes, which all have to learn
            return INTERRUPTED

    def end(self) -> StopReason | None:
        """The reason that the last losses give after the last update."""
        return self._non_finite.end(self.losses)

    def _fault(self, update: int) -> str:
        return (
            f"the loss of update {update} (LR {self.lrs[update]:.2g}) was {self.losses[update]}, and finite again after it: "
            "its batch is at fault, not the LR"
        )

    def _evaluate_if_due(self, updates: int) -> None:
        every = self._sweep.evaluate_every
        if every is None or (updates % every and updates < len(self.lrs)):
            return
        for name, value in scores(self._trainable.evaluate()).items():
            if name == "loss" or name in self._metrics:
                raise LossError(
                    f"evaluate must use other names than the updates, received {checks.shown(name)}, which they use already"
                )
            self._scores.setdefault(name, {})[updates - 1] = value

    def curve(self, reason: StopReason | None, skipped: list[int]) -> Curve:
        """The curve of the updates so far."""
        # An interrupt may have come between the entries of one update.
        length = min(map(len, (self.losses, *self._metrics.values())))
        if reason is not None and reason.ended == "not finite" and self._non_finite.since is not None:
            length = min(length, self._non_finite.since + 1)  # the next one has only shown that the weights are ruined
        metrics = {name: np.array(values[:length]) for name, values in self._metrics.items()}
        for name, values in self._scores.items():
            metrics[name] = np.array([values.get(update, math.nan) for update in range(length)])
        return Curve(
            self._sweep.lrs[:length],
            np.array(self.losses[:length]),
            metrics,
            notes=(*self._notes(reason, length, len(skipped)), *self._trainable.notes(length)),
            updates_per_epoch=updates_per_epoch(self._trainable),
            ended="swept" if reason is None else cast(Ended, reason.ended),
            skipped=tuple(update for update in skipped if update <= length),
        )

    def _notes(self, reason: StopReason | None, length: int, skipped: int) -> list[Any]:
        notes = []
        if reason is not None:
            notes.append(f"{reason.text} at LR {self.lrs[length - 1]:.2g}, update {length - 1} of {len(self.lrs)}")
        elif not Trace.of([loss for loss in self.losses if math.isfinite(loss)]).progress:
            notes.append("the loss made no progress in the whole sweep")
        faults = self._non_finite.batches
        notes += [self._fault(update) for update in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            notes.append(f"{len(faults) - MOST_FAULTS} more batches are at fault in the same way, up to update {faults[-1]}")
        if skipped:
            notes.append(f"{skipped} updates were skipped, because their gradients were not finite, and made again")
        return notes


def _require_finite(losses: list[float], lr: float) -> None:
    if not any(map(math.isfinite, losses)):
        raise NothingFiniteError(
            f"the loss is {losses[0]} at the first update (LR {lr:.1e}), before any change, and no other one is finite: "
            "check the inputs, the targets and the model's initial weights"
        )
