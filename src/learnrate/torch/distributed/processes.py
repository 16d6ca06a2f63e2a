"""Many processes in one range test: one curve, one decision to stop, and nobody left waiting for one that failed.

Work that may wait for other processes (forward and backward passes of a distributed model, exchanges of losses) is done in a
thread, while the main thread looks for news of a failure in the store that all processes share. A process that waits inside
a collective operation for one that will never come cannot be woken (gloo has no abort), but it can be left behind.
"""

import json
import math
import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore

from learnrate.errors import RankError
from learnrate.finder.recording import scalar
from learnrate.finder.stops import Verdict
from learnrate.torch.distributed.worker import GRACE, Worker, as_here

T = TypeVar("T")

POLL = 0.25
"""Seconds between two looks for news."""

JOIN = 600.0
"""Seconds within which all processes must have called; one may still be loading its data."""

LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Connection refused")
"""What gloo and the store say when a process is gone."""


class Alone:
    """A single process: nobody to ask."""

    rank, size = 0, 1

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do some work."""
        return work(*arguments)

    def mean(self, rows: list[dict[str, float]]) -> list[dict[str, float]]:
        """What was seen, averaged over the processes."""
        return rows

    def agree(self, verdict: Verdict | None) -> Verdict | None:
        """The reason to stop of any process."""
        return verdict

    def any(self, happened: bool) -> bool:
        """Whether something happened in any process."""
        return happened

    def mean_scores(self, values: Any) -> Any:
        """What an evaluation gave, averaged over the processes."""
        return values

    def of_first(self, value: T) -> T:
        """The first process's value, for what must be told alike by all."""
        return value

    def require_same(self, **values: Any) -> None:
        """Refuse arguments that differ between the processes."""


class Team(Alone):
    """All processes of `torch.distributed`, in one range test.

    Attributes:
        rank: Number of this process.
        size: Number of processes.
    """

    _made = 0

    def __init__(self) -> None:
        Team._made += 1
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # A connection of its own: torch holds the other for as long as it waits for a value.
        self._store = _connection()
        # torchrun starts all processes anew when one fails; the store, with what was said before, may stay.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._key = f"range_test/{attempt}/{Team._made}"
        self._join()
        # Of its own too: losses must not get in the way of gradients that are on the way.
        self._group: Any = dist.new_group(backend="gloo")
        self._worker = Worker()
        self._interrupts = 0
        self._start: float | None = None

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do work that may wait for other processes.

        Raises:
            RankError: if it fails here or in another process.
        """
        job = self._worker.begin(as_here(lambda: work(*arguments)))
        while not job.done.wait(POLL):
            if self._interrupts > 1:  # the second time it is meant
                raise KeyboardInterrupt
            news = self._news()
            if news is not None and not job.done.wait(GRACE):
                raise news
        if job.error is None:
            result: T = job.result
            return result
        raise self._failed(job.error) from job.error

    def mean(self, rows: list[dict[str, float]]) -> list[dict[str, float]]:
        """What was seen, averaged over the processes.

        Raises:
            RankError: if the loss of some process is not finite while the others' is at most twice what it was at the start:
                then its data or its model is at fault, and not the LR.
        """
        return [self.run(self._mean, row) for row in rows]

    def agree(self, verdict: Verdict | None) -> Verdict | None:
        """The first process's reason to stop, of those that have one; the same one everywhere."""
        if verdict is None and self._interrupts:
            verdict = Verdict("interrupted", "the sweep was interrupted")
        return self.run(self._agree, verdict)

    def any(self, happened: bool) -> bool:
        """Whether something happened in any process."""
        return bool(self.run(self._exchange, [float(happened)]).any())

    def mean_scores(self, values: Any) -> Any:
        """What an evaluation gave, averaged over the processes."""
        named = values if isinstance(values, Mapping) else {"score": values}
        row = {str(name): scalar(value, str(name), math.nan) for name, value in named.items()}
        return self.run(self._average, row, "scores")[0]

    def of_first(self, value: T) -> T:
        """The first process's value, for what must be told alike by all."""
        first: T = self.run(self._exchange_objects, value)[0]
        return first

    def require_same(self, **values: Any) -> None:
        """Refuse arguments that differ between the processes.

        Raises:
            RankError: if they do.
        """
        for rank, others in enumerate(self.run(self._exchange_objects, values)):
            for name in values:
                if others[name] != values[name]:
                    raise RankError(f"{name} must be the same in every process, and is another on rank {rank}", rank)

    def publish(self, error: BaseException) -> RankError:
        """Tell the others of a failure here, and wait until they know; returns the failure that came first."""
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")
        try:
            self._store.add(f"{self._key}/here/{self.rank}", 1)
            if any(words in str(error) for words in LOST):
                rank, text = self._missing(text)
                told = {"rank": rank, "text": text}
            else:
                told = {"rank": self.rank, "text": f"failed with {text}"}
            self._store.compare_set(f"{self._key}/news", "", json.dumps(told))
            news = self._news() or RankError(f"rank {self.rank} {text}", self.rank)
            until = time.monotonic() + 2 * GRACE
            while self._store.add(f"{self._key}/told", 0) < self.size and time.monotonic() < until:
                time.sleep(0.05)
        except (dist.DistError, RuntimeError) as lost:  # the store is gone, and with it the process that holds it
            return RankError(
                f"rank {self.rank} failed with {text}, and the other processes cannot be told: {lost}", self.rank
            )
        return news

    def close(self) -> None:
        """Part in peace."""
        self._worker.end()
        dist.destroy_process_group(self._group)

    @contextmanager
    def counting_interrupts(self) -> Iterator[None]:
        """Count Ctrl-C instead of raising it: the others wait for this process's update, and are told with it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def count(number: int, frame: Any) -> None:
            self._interrupts += 1

        before = signal.signal(signal.SIGINT, count)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _failed(self, error: BaseException) -> BaseException:
        return error if isinstance(error, (RankError, KeyboardInterrupt)) else self.publish(error)

    def _news(self) -> RankError | None:
        try:
            if not self._store.check([f"{self._key}/news"]):
                return None
            if not self._store.add(f"{self._key}/heard/{self.rank}", 1) > 1:
                self._store.add(f"{self._key}/told", 1)
            told = json.loads(self._store.get(f"{self._key}/news"))
        except (dist.DistError, RuntimeError) as error:
            return RankError(f"the connection between the processes is lost, seen on rank {self.rank}: {error}", self.rank)
        return RankError(f"rank {told['rank']} {told['text']}; the process group may be of no use any more", told["rank"])

    def _missing(self, text: str) -> tuple[int, str]:
        """Who does not answer any more, once a connection is lost."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        until = time.monotonic() + GRACE
        while time.monotonic() < until and not self._store.check([f"{self._key}/news"]):
            time.sleep(0.05)
        gone = [rank for rank in others if not self._store.check([f"{self._key}/here/{rank}"])]
        return (gone[0], f"is gone: {text}") if gone else (self.rank, f"failed with {text}")

    def _join(self) -> None:
        arrived, until = self._store.add(f"{self._key}/joined", 1), time.monotonic() + JOIN
        while arrived < self.size:
            if time.monotonic() > until:
                raise RankError(
                    f"the range test must be called in every process, {arrived} of {self.size} came within {JOIN:.0f} s",
                    self.rank,
                )
            time.sleep(0.01)
            arrived = self._store.add(f"{self._key}/joined", 0)

    def _mean(self, row: dict[str, float]) -> dict[str, float]:
        means, table = self._average(row, "metrics")
        losses = table["loss"]
        broken = ~losses.isfinite()
        if broken.any() and not broken.all():
            level = float(losses[~broken].mean())
            if self._start is None or level <= self._start + abs(self._start):
                rank = int(broken.nonzero()[0])
                raise RankError(
                    f"rank {rank} has the loss {float(losses[rank])}, while it is {level:.4g} on the others", rank
                )
        if self._start is None:
            self._start = means["loss"]
        return means

    def _average(self, row: dict[str, float], what: str) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        """The mean of each value over the processes, and each process's own."""
        names = sorted(row)
        # First whether all have the same names: rows of other lengths would not meet.
        digest = float(zlib.crc32("\n".join(names).encode()))
        if (self._exchange([digest]) != digest).any():
            found = self._exchange_objects(names)
            rank = next(rank for rank, others in enumerate(found) if others != found[0])
            raise RankError(
                f"the {what} must be the same in every process, {found[rank]} on rank {rank}, {found[0]} on 0", rank
            )
        table = self._exchange([row[name] for name in names])
        columns = {name: table[:, place] for place, name in enumerate(names)}
        return {name: float(values.mean()) for name, values in columns.items()}, columns

    def _agree(self, verdict: Verdict | None) -> Verdict | None:
        if not self._exchange([0.0 if verdict is None else 1.0]).any():
            return None
        verdicts = self._exchange_objects(verdict)
        rank, first = next((rank, one) for rank, one in enumerate(verdicts) if one is not None)
        here = all(one == first for one in verdicts)
        agreed: Verdict = first if here else Verdict(first.ended, f"{first.why} on rank {rank}")
        return agreed

    def _exchange(self, values: Sequence[float]) -> torch.Tensor:
        """A row a process."""
        own = torch.tensor(values, dtype=torch.float64)
        rows = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(rows, own, group=self._group)
        return torch.stack(rows)

    def _exchange_objects(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._group)
        return values


@contextmanager
def gathered() -> Iterator[Alone]:
    """All processes where there are several, this one where it is alone. A failure here ends the test in all of them.

    Raises:
        RankError: in every process, if one of them fails in the work that is done together.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        yield Alone()
        return
    team = Team()
    try:
        with team.counting_interrupts():
            yield team
    except BaseException as error:
        if not isinstance(error, RankError):
            team.publish(error)
        raise
    team.close()


def _connection() -> Any:
    """A connection of this process's own to the store that all of them share."""
    store: Any = dist.group.WORLD.get_group_store()  # type: ignore[union-attr]
    while isinstance(store, PrefixStore):
        store = store.underlying_store
    return PrefixStore("learnrate", store.clone() if hasattr(store, "clone") else store)
