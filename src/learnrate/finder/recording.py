"""Making the updates of a range test, and recording what they saw: the part that all adapters share."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate.errors import DataError, LossError
from learnrate.finder.curve import Curve
from learnrate.finder.smoothing import Floats
from learnrate.finder.stops import Own, Stop, Trace, Verdict, watching

Step = Callable[[float], Any]
Progress = Callable[[int, int], None]
Evaluate = Callable[[], Any]

MOST_SKIPPED = 40
"""Updates that may be skipped in a row: a loss scale of 2 ** 16 that halves each time is below any use by then."""

SKIPPED = object()
"""What a step returns when no update was made: the gradient scaler skipped it. The same LR is tried again."""


class ExhaustedError(DataError):
    """The batches ran out for good."""


@dataclass(frozen=True)
class Sweep:
    """What a range test does.

    Attributes:
        lrs: The LR of each update.
        stop: What ends it early; see `learnrate.stops`.
        time_limit: Seconds after which it ends; None for no limit.
        evaluate: Gives further metrics: a number, which is recorded as "score", or a mapping of names to numbers.
        evaluate_every: How many updates lie between two evaluations.
    """

    lrs: Floats
    stop: Stop | Own | Sequence[Stop | Own] | None
    time_limit: float | None = None
    evaluate: Evaluate | None = None
    evaluate_every: int = 1


@dataclass(frozen=True)
class Host:
    """How an adapter's steps hand over what they saw.

    Attributes:
        read: Makes numbers of what steps returned: called with the steps' values and their LRs. A step's value may lie on a
            device, where looking at it is a wait.
        read_every: How many updates are read at once. Those after the one that ends the sweep are made for nothing.
        read_within: Seconds after which they are read all the same: slow updates are not made for nothing.
        agree: From this process's reason to stop to that of all processes.
    """

    read: Callable[[Sequence[Any], Sequence[float]], "list[dict[str, float]]"]
    read_every: int = 1
    read_within: float = 0.01
    agree: Callable[[Verdict | None], Verdict | None] = lambda verdict: verdict


def record(step: Step, sweep: Sweep, host: Host, progress: Progress | None = None) -> Curve:
    """Make the updates of a sweep and return the curve, also where Ctrl-C or the end of the data cuts it short.

    Raises:
        LossError: if a step returns no scalar, or a loss that is not finite at the very first update.
        ExhaustedError: if there was no batch for the first update.
        KeyboardInterrupt: at Ctrl-C before the first update was made.
    """
    recorder = _Recorder(sweep, host)
    try:
        verdict = recorder.make_updates(step, progress)
    except KeyboardInterrupt:
        verdict = recorder.cut_short(Verdict("interrupted", "the sweep was interrupted"))
        if verdict is None:
            raise
    except ExhaustedError:
        verdict = recorder.cut_short(Verdict("out of batches", "the batches ran out"))
        if verdict is None:
            raise
    recorder.require_updates(verdict)
    return recorder.curve(verdict)


class _Recorder:
    """What a sweep has seen so far."""

    def __init__(self, sweep: Sweep, host: Host) -> None:
        self._sweep, self._host = sweep, host
        self._lrs: list[float] = sweep.lrs.tolist()
        self._watch = watching(sweep.stop, len(self._lrs))
        self._unread: list[Any] = []
        self._read_at = -math.inf
        self._losses: list[float] = []
        self._metrics: dict[str, list[float]] = {}
        self._scores: dict[str, dict[int, float]] = {}
        self._skipped: list[int] = []

    def make_updates(self, step: Step, progress: Progress | None) -> Verdict | None:
        """All of them, or those up to the one that ends the sweep."""
        begun, limit = time.monotonic(), self._sweep.time_limit
        made = skipped = 0
        while made < len(self._lrs):
            returned = step(self._lrs[made])
            if returned is SKIPPED:
                self._skipped.append(made)
                skipped += 1
                verdict = _overflowing(made, skipped)
            else:
                skipped = 0
                made += 1
                self._unread.append(returned)
                verdict = self._look(made)
                if progress is not None:
                    progress(made, len(self._lrs))
            if verdict is None and limit is not None and time.monotonic() - begun > limit:
                verdict = Verdict("out of time", f"the time limit of {limit:g} s was reached")
            verdict = self._host.agree(verdict)
            if verdict is not None:
                return self._read() or verdict
        return None

    def cut_short(self, verdict: Verdict) -> Verdict | None:
        """Read what is left to be read; None where nothing was made."""
        verdict = self._read() or verdict
        return verdict if self._losses else None

    def require_updates(self, verdict: Verdict | None) -> None:
        """Refuse a sweep that ended before its first update was made."""
        if verdict is not None and not self._losses:
            raise LossError(f"there is no curve: {verdict.why} before the first update was made")

    def curve(self, verdict: Verdict | None) -> Curve:
        """The curve, as long as it got."""
        # An interrupt may have come between the entries of one update.
        made = min(map(len, (self._losses, *self._metrics.values())))
        losses = np.array(self._losses[:made])
        metrics = {name: np.array(values[:made]) for name, values in self._metrics.items()}
        for name, scores in self._scores.items():
            metrics[name] = np.array([scores.get(update, math.nan) for update in range(made)])
        notes = []
        if verdict is not None:
            where = f"at LR {self._lrs[made - 1]:.2g}, update {made - 1} of {len(self._lrs)}"
            notes.append(f"{verdict.why} {where}")
        elif not Trace.of(self._losses).progress:
            notes.append("the loss made no progress in the whole sweep")
        if self._skipped:
            notes.append(f"{len(self._skipped)} updates were skipped by the gradient scaler and made again")
        return Curve(
            self._sweep.lrs[:made],
            losses,
            metrics,
            tuple(notes),
            ended="swept" if verdict is None else verdict.ended,
            skipped=tuple(update for update in self._skipped if update <= made),
        )

    def _look(self, made: int) -> Verdict | None:
        """Read the losses and evaluate the model, where it is time to."""
        sweep, last = self._sweep, made == len(self._lrs)
        due = last or made % sweep.evaluate_every == 0
        verdict = None
        # The first is looked at at once: what is wrong from the start should not cost a wait.
        enough = len(self._unread) >= self._host.read_every or time.monotonic() - self._read_at > self._host.read_within
        if made == 1 or last or enough:
            verdict = self._read()
            self._read_at = time.monotonic()
        if sweep.evaluate is not None and due and verdict is None:
            values = sweep.evaluate()
            for name, value in values.items() if isinstance(values, Mapping) else [("score", values)]:
                if name == "loss" or name in self._metrics:
                    raise LossError(f"evaluate must give names of its own, received {name!r}, which the step gives already")
                self._scores.setdefault(str(name), {})[made - 1] = scalar(value, str(name), self._lrs[made - 1])
        return verdict

    def _read(self) -> Verdict | None:
        """Enter the updates that are not read yet, in their order, up to and with the one that ends the sweep."""
        first = len(self._losses)
        unread, self._unread = self._unread, []
        lrs = self._lrs[first : first + len(unread)]
        rows = self._host.read(unread, lrs)
        for lr, row in zip(lrs, rows, strict=True):
            loss = row.pop("loss")
            if not self._losses:
                self._metrics = {name: [] for name in row}
                _require_finite(loss, lr)
            elif row.keys() != self._metrics.keys():
                raise LossError(
                    f"the metrics must be the same each time, received {sorted(row)}, before {sorted(self._metrics)}"
                )
            for name, value in row.items():
                self._metrics[name].append(value)
            self._losses.append(loss)
            verdict = self._watch(lr, loss)
            if verdict is not None:
                return verdict
        return None


def _overflowing(update: int, skipped: int) -> Verdict | None:
    if skipped < MOST_SKIPPED:
        return None
    if update == 0:
        raise LossError(f"the gradients are not finite at the first update, and the scaler skipped it {skipped} times")
    return Verdict("not finite", f"{skipped} updates in a row were skipped, for gradients that are not finite,")


def _require_finite(loss: float, lr: float) -> None:
    if not math.isfinite(loss):
        raise LossError(
            f"the loss is {loss} at the first update (LR {lr:.1e}), before any change: "
            "check the inputs, the targets and the model's initial weights"
        )


def scalars(returned: Any, lr: float) -> dict[str, float]:
    """What a step returned, as floats by name, the loss among them.

    Raises:
        LossError: if one of them is no scalar, or there is no loss.
    """
    if not isinstance(returned, Mapping):
        return {"loss": scalar(returned, "loss", lr)}
    if "loss" not in returned:
        raise LossError(
            f"a mapping returned by step must have the key 'loss', received the keys {sorted(map(str, returned))}"
        )
    return {str(name): scalar(value, str(name), lr) for name, value in returned.items()}


def scalar(value: Any, name: str, lr: float) -> float:
    """A loss as a float, whatever library it comes from.

    Raises:
        LossError: if it is not a number, nor an array or tensor with one element.
    """
    if value is None:
        raise LossError(f"the {name} must be a number, received None at LR {lr:.1e}: is a return missing?")
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        shape = getattr(value, "shape", None)
        kind = type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
        raise LossError(
            f"the {name} must be a scalar, received a {kind} at LR {lr:.1e}: reduce it, for example with .mean(), "
            "or leave out what is no metric"
        ) from None
