"""Reports of failures, in the store that all processes share, from which a process learns that another one has failed."""

import json
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

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

    Raises:
        RankError: if an earlier call has left the process group unusable, or not every process calls.
    """

    _group: ClassVar["weakref.ref[Any] | None"] = None
    _groups: ClassVar[int] = 0
    _left_unusable: ClassVar[tuple[int, str] | None] = None

    def __init__(self, what: str, call: int, rank: int, size: int) -> None:
        self._what, self._rank, self._size = what, rank, size
        # torchrun restarts all processes when one fails; the store, with the old reports, may stay.
        attempt, self._number = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), self._number_of_group()
        self._key, self._unusable = f"{attempt}/{call}", f"{attempt}/unusable/{self._number}"
        if self._left_unusable is not None and self._left_unusable[0] == self._number:
            self._refuse(self._left_unusable[1])
        try:
            # A connection of its own: torch blocks the other one while it waits for a value.
            self._store = _own_connection()
            self._join()
        except dist.DistError as error:
            self._refuse(f"a process has ended: {error}")

    def publish(self, error: BaseException) -> RankError:
        """Report a failure of this process and wait until the others have read it; returns the first failure of all."""
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")
        is_lost = any(words in str(error) for words in CONNECTION_LOST)
        try:
            rank, what = self._end_of_a_process(text) if is_lost else (self._rank, f"failed with {text}")
            first = self.report(rank, what)
            end = time.monotonic() + 2 * GRACE
            while self._store.add(f"{self._key}/readers", 0) < self._size and time.monotonic() < end:
                time.sleep(0.05)
        except (dist.DistError, RuntimeError) as lost:  # the process that holds the store has ended
            if is_lost:
                return self._lost(text)
            return RankError(
                f"rank {self._rank} failed with {text}, and the other processes cannot be reached: {lost}", self._rank
            )
        return first

    def report(self, rank: int | None, text: str) -> RankError:
        """Report a failure of a process, in words that follow its name; returns the first failure of all."""
        self._store.compare_set(f"{self._key}/report", "", json.dumps({"rank": rank, "text": text}))
        return self.received() or RankError(text, rank)

    def received(self) -> RankError | None:
        """The first failure of any process; None if there is none. Answers a roll call."""
        try:
            if self._store.check([f"{self._key}/roll call"]):
                self._store.set(f"{self._key}/present/{self._rank}", "")
            if not self._store.check([f"{self._key}/report"]):
                return None
            if self._store.add(f"{self._key}/read/{self._rank}", 1) == 1:
                self._store.add(f"{self._key}/readers", 1)
            report = json.loads(self._store.get(f"{self._key}/report"))
        except (dist.DistError, RuntimeError) as error:
            return self._lost(str(error))
        subject = "a process" if report["rank"] is None else f"rank {report['rank']}"
        return RankError(f"{subject} {report['text']}; the process group may be unusable now", report["rank"])

    def leave_unusable(self, reason: str) -> None:
        """Let later calls know, in every process, that an operation of this one is still under way and will never end."""
        FailureReports._left_unusable = (self._number, reason)
        try:
            self._store.compare_set(self._unusable, "", reason)
        except (dist.DistError, RuntimeError):  # the other processes have lost the store, too
            return

    def exchange_states(self, state: Mapping[str, Any]) -> Sequence[Mapping[str, Any] | None]:
        """Say what this process has been waiting for; returns what each process has said, None if it has said nothing."""
        try:
            self._store.set(f"{self._key}/waits/{self._rank}", json.dumps(state))
            keys = [f"{self._key}/waits/{rank}" for rank in range(self._size)]
            return [json.loads(self._store.get(key)) if self._store.check([key]) else None for key in keys]
        except (dist.DistError, RuntimeError):  # `received` reports it
            return [None] * self._size

    def _end_of_a_process(self, text: str) -> tuple[int | None, str]:
        """The process that does not answer a roll call after a connection was lost, and what happened to it."""
        self._store.set(f"{self._key}/roll call", "")
        start, absent = time.monotonic(), list(range(self._size))
        # One that is busy answers late. If several are absent in the end, it is not known which of them have ended.
        while time.monotonic() < start + (GRACE if len(absent) <= 1 else 3 * GRACE):
            if self.received() is not None:  # the connection was lost because of that failure
                break
            absent = [rank for rank in range(self._size) if not self._store.check([f"{self._key}/present/{rank}"])]
            time.sleep(0.05)
        self.leave_unusable("a process has ended")
        return absent[0] if len(absent) == 1 else None, f"has ended: {text}"

    def _lost(self, text: str) -> RankError:
        FailureReports._left_unusable = (self._number, "the connection between the processes was lost")
        return RankError(f"the connection between the processes is lost, seen on rank {self._rank}: {text}", None)

    def _join(self) -> None:
        """Wait until every process has called."""
        self._require_usable()
        arrived, end = self._store.add(f"{self._key}/joined", 1), time.monotonic() + JOIN
        while arrived < self._size:
            if time.monotonic() > end:
                raise RankError(
                    f"{self._what} must be called in every process, {arrived} of {self._size} called it within {JOIN:.0f} s",
                    self._rank,
                )
            time.sleep(0.01)
            self._require_usable()
            arrived = self._store.add(f"{self._key}/joined", 0)

    def _require_usable(self) -> None:
        if self._store.check([self._unusable]):
            self._refuse(self._store.get(self._unusable).decode())

    def _refuse(self, reason: str) -> NoReturn:
        raise RankError(
            f"{self._what} needs a process group that works, this one has been unusable since an earlier call ({reason}): "
            "restart the processes, or destroy the process group and initialise a new one",
            None,
        )

    @classmethod
    def _number_of_group(cls) -> int:
        """How many process groups, one after the other, have been seen in calls so far."""
        group: Any = dist.group.WORLD
        if cls._group is None or cls._group() is not group:
            cls._group, cls._groups = weakref.ref(group), cls._groups + 1
        return cls._groups


def _own_connection() -> Any:
    """A new connection of this process to the store that all processes share."""
    store: Any = dist.group.WORLD.get_group_store()  # type: ignore[union-attr]
    while isinstance(store, PrefixStore):
        store = store.underlying_store
    return PrefixStore("learnrate", store.clone() if hasattr(store, "clone") else store)
