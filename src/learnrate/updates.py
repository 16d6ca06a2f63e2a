"""The one loop that makes updates: of a range test, of a trial, of a whole training."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from learnrate.errors import LossError
from learnrate.trainable import SKIPPED, LeftOut, Metrics, Reading, Trainable

MAX_SKIPPED = 40
"""Updates that may be skipped in a row. A loss scale of 2 ** 16 that is halved 40 times is too small for any gradient."""

MAX_LEFT_OUT = 8
"""Batches in a row without a finite loss, with the same weights: then the weights are the cause, and not the batches. Eight
forward passes take no more time than three updates, and eight bad batches are seldom neighbours, even in sorted data."""

Progress = Callable[[int, int], None]
"""Called with (updates so far, updates planned)."""


@dataclass(frozen=True)
class StopReason:
    """Why a series of updates ended before its last update.

    Attributes:
        ended: One or two words, for programs; see `learnrate.Curve`.
        text: Part of a sentence, for people: "the loss diverged".
    """

    ended: str
    text: str


INTERRUPTED = StopReason("interrupted", "the sweep was interrupted")
"""Ctrl-C, here or in another process."""


def raise_if_interrupted(reason: StopReason | None) -> None:
    """Raise KeyboardInterrupt if a series ended by Ctrl-C in one of many processes."""
    if reason is not None and reason.ended == INTERRUPTED.ended:
        raise KeyboardInterrupt


Watch = Callable[[float, Metrics], StopReason | None]
"""Called with the LR and the metrics of every update; returns why the series ends with this update."""

Check = Callable[[], StopReason | None]
"""Called at every update; returns why the series ends here."""


@dataclass
class UpdateLoop:
    """Makes updates at given LRs and hands their metrics to `watch`, in order.

    Attributes:
        trainable: What is trained.
        watch: Receives the LR and the metrics of every update.
        before: Checked before every update: the time may be over. With many processes, the reason of one of them ends the
            series in all.
        on_update: Called after every update with the number of updates so far.
        after: Called like `on_update`, if the metrics read so far give no reason to stop; may return a reason itself.
        updates: Number of updates so far.
        skipped: For each skipped update, the number of updates before it.
    """

    trainable: Trainable
    watch: Watch
    before: Check | None = None
    on_update: Callable[[int], object] | None = None
    after: Callable[[int], StopReason | None] | None = None
    updates: int = 0
    skipped: list[int] = field(default_factory=list)
    _unread: list[tuple[float, Any]] = field(default_factory=list)
    _read_at: float = -math.inf

    def run(self, lrs: Iterable[float]) -> StopReason | None:
        """Make an update at each LR, until there is a reason to stop.

        Returns:
            The reason; None after the last update.

        Raises:
            LossError: if what an update returned is not a loss, or the first update is skipped again and again.
            ExhaustedError: if the batches run out.
        """
        agree, before, on_update, after = self.trainable.agree, self.before, self.on_update, self.after
        reading, reason = self.trainable.reading, None
        for lr in lrs:
            if reason is None and before is not None:
                reason = before()
            reason = agree(reason) or self._update(lr)
            if reason is not None:
                return self.read() or reason
            self.updates += 1
            if on_update is not None:
                on_update(self.updates)
            reason = self._read_if_due(reading)
            if reason is None and after is not None:
                reason = after(self.updates)
        return agree(reason or self.read())

    def _update(self, lr: float) -> StopReason | None:
        """Make one update, repeatedly while none is made. Returns a reason if there is no such update in the end."""
        reason, skipped, left_out = None, 0, 0
        while isinstance(returned := self.trainable.update(lr), LeftOut) or returned is SKIPPED:
            if isinstance(returned, LeftOut):
                left_out += 1
                reason = self._too_many_left_out(left_out, lr, returned)
            else:
                self.skipped.append(self.updates)
                skipped += 1
                reason = self._too_many_skipped(skipped)
            reason = self.trainable.agree(reason or (self.before() if self.before else None))
            if reason is not None:
                return reason
        self._unread.append((lr, returned))
        return None

    def read(self) -> StopReason | None:
        """Read the updates that are not read yet, up to the one that ends the series."""
        if not self._unread:
            return None
        unread, self._unread = self._unread, []
        for (lr, _), metrics in zip(unread, self.trainable.read([returned for _, returned in unread]), strict=True):
            reason = self.watch(lr, metrics)
            if reason is not None:
                return reason
        return None

    def _read_if_due(self, reading: Reading) -> StopReason | None:
        # The first update is read at once, so that an error that exists from the start is reported before further updates.
        due = len(self._unread) >= reading.every or self.updates == 1
        if not due and time.monotonic() - self._read_at <= reading.within:
            return None
        reason = self.read()
        if reading.every > 1:
            self._read_at = time.monotonic()
        return reason

    def _too_many_skipped(self, in_a_row: int) -> StopReason | None:
        if in_a_row < MAX_SKIPPED:
            return None
        if self.updates == 0:
            raise LossError(f"the gradients are not finite at the first update: the scaler skipped it {in_a_row} times")
        return StopReason("not finite", f"{in_a_row} updates in a row were skipped, with gradients that are not finite,")

    def _too_many_left_out(self, in_a_row: int, lr: float, last: LeftOut) -> StopReason | None:
        if in_a_row < MAX_LEFT_OUT:
            return None
        self._unread.append((lr, {"loss": last.loss}))  # the series ends with the loss that is not finite
        return StopReason("not finite", f"the loss became {last.loss} for {in_a_row} batches in a row")
