"""Reports of failures, in the store that all processes share, from which a process learns that another one has failed."""

import json
import os
import time
from typing import Any

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore

from learnrate.errors import RankError
from learnrate.torch.distributed.worker import GRACE

JOIN = 600.0
"""Seconds within which all processes must call; one of them may still be loading its data."""

CONNECTION_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Connection refused")
"""What gloo and the store say when a process has ended."""


class FailureReports:
    """The failures of all processes of one call.

    Args:
        what: The function that the processes have called.
        call: Number of this call in this process; the same in every process.
        rank: Number of this process.
        size: Number of processes.
    """

    def __init__(self, what: str, call: int, rank: int, size: int) -> None:
        self._what, self._rank, self._size = what, rank, size
        # A connection of its own: torch blocks the other one while it waits for a value.
        self._store = _own_connection()
        # torchrun restarts all processes when one fails; the store, with the old reports, may stay.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._key = f"{attempt}/{call}"
        self._join()

    def publish(self, error: BaseException) -> RankError:
        """Report a failure of this process and wait until the others have read it; returns the first failure of all."""
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")
        try:
            self._store.add(f"{self._key}/alive/{self._rank}", 1)
            report = {"rank": self._rank, "text": f"failed with {text}"}
            if any(words in str(error) for words in CONNECTION_LOST):
                report = self._missing_process(text) or report
            self._store.compare_set(f"{self._key}/report", "", json.dumps(report))
            first = self.received() or RankError(f"rank {self._rank} {text}", self._rank)
            end = time.monotonic() + 2 * GRACE
            while self._store.add(f"{self._key}/readers", 0) < self._size and time.monotonic() < end:
                time.sleep(0.05)
        except (dist.DistError, RuntimeError) as lost:  # the process that holds the store has ended
            return RankError(
                f"rank {self._rank} failed with {text}, and the other processes cannot be reached: {lost}", self._rank
            )
        return first

    def received(self) -> RankError | None:
        """The first failure of any process; None if there is none."""
        try:
            if not self._store.check([f"{self._key}/report"]):
                return None
            if self._store.add(f"{self._key}/read/{self._rank}", 1) == 1:
                self._store.add(f"{self._key}/readers", 1)
            report = json.loads(self._store.get(f"{self._key}/report"))
        except (dist.DistError, RuntimeError) as error:
            return RankError(f"the connection between the processes is lost, seen on rank {self._rank}: {error}", self._rank)
        return RankError(f"rank {report['rank']} {report['text']}; the process group may be unusable now", report["rank"])

    def _missing_process(self, text: str) -> dict[str, Any] | None:
        """A report of the first process that no longer answers, after a connection was lost."""
        end = time.monotonic() + GRACE
        while time.monotonic() < end and not self._store.check([f"{self._key}/report"]):
            time.sleep(0.05)
        others = [rank for rank in range(self._size) if rank != self._rank]
        missing = [rank for rank in others if not self._store.check([f"{self._key}/alive/{rank}"])]
        return {"rank": missing[0], "text": f"has ended: {text}"} if missing else None

    def _join(self) -> None:
        """Wait until every process has called."""
        arrived, end = self._store.add(f"{self._key}/joined", 1), time.monotonic() + JOIN
        while arrived < self._size:
            if time.monotonic() > end:
                raise RankError(
                    f"{self._what} must be called in every process, {arrived} of {self._size} called it within {JOIN:.0f} s",
                    self._rank,
                )
            time.sleep(0.01)
            arrived = self._store.add(f"{self._key}/joined", 0)


def _own_connection() -> Any:
    """A new connection of this process to the store that all processes share."""
    store: Any = dist.group.WORLD.get_group_store()  # type: ignore[union-attr]
    while isinstance(store, PrefixStore):
        store = store.underlying_store
    return PrefixStore("learnrate", store.clone() if hasattr(store, "clone") else store)
