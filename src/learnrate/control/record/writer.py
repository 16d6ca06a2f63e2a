"""Writes rows into the file of a record from a thread of its own, so that the training waits for no disk."""

import os
import threading
import weakref
from collections import deque

from learnrate.control.record.lock import WriterLock
from learnrate.control.record.schema import Batch, Row, stored
from learnrate.control.record.stores import Store, reason
from learnrate.interrupts import delayed_interrupts

INTERVAL = 0.25
"""Seconds between two commits."""

MOST_WAITING = 200_000
"""Rows that wait in memory while the file cannot be written, at about 250 bytes each. Beyond it the oldest updates go."""

LONGEST_END = 30.0
"""Seconds that the end of a run waits for the last commit."""


class Writer:
    """A file, the rows that wait to be written into it, and the thread that writes them.

    Args:
        store: The file.
        lock: The right to write it.

    Attributes:
        path: The file.
        trouble: Why the file could not be written for the first time, or that the rows which waited became too many; for
            the training thread, which alone can warn. It takes the text away.
        is_inherited: Whether this is a child that was forked.
        put: Adds a row, a table with its values. A bound method of the queue: it costs the training thread the least.
    """

    def __init__(self, store: Store, lock: WriterLock) -> None:
        self.path = store.path
        self.trouble: str | None = None
        self.is_inherited = False
        _WRITERS.add(self)
        self._store, self._lock = store, lock
        self._queue: deque[tuple[str, Row]] = deque()
        self.put = self._queue.append
        self._waiting: Batch = {}
        self._dropped = 0
        self._failure: str | None = None
        self._warned = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"record {self.path.name}", daemon=True)
        self._thread.start()

    def close(self) -> str | None:
        """Write what is left, and close the file.

        Returns:
            What is lost and why; None if nothing is. A child that was forked closes nothing.
        """
        if self.is_inherited or self._ended.is_set():
            return None
        self._ended.set()
        if threading.current_thread() is self._thread:  # the garbage collector ran here; it ends by itself
            return None
        with delayed_interrupts():
            self._thread.join(LONGEST_END)
        if self._thread.is_alive():
            return f"the record {self.path} is not complete: its last rows are not written after {LONGEST_END:g} seconds"
        lost = sum(map(len, self._waiting.values())) + len(self._queue) + self._dropped
        if lost:
            return f"the record {self.path} is not complete: {lost} rows could not be written ({self._failure})"
        return None

    def _run(self) -> None:
        last = False
        try:
            while not last:
                last = self._ended.wait(INTERVAL)
                self._commit()
            self._store.close()
        finally:
            self._lock.release()

    def _commit(self) -> None:
        for _ in range(len(self._queue)):
            table, row = self._queue.popleft()
            self._waiting.setdefault(table, []).append(stored(row))
        if not self._waiting:
            return
        try:
            self._store.write(self._waiting)
        except Exception as error:  # of any kind: an end of this thread would be noticed at the end of the run alone
            self._failure = reason(error)
            self._keep_some()
        else:
            self._waiting = {}

    def _keep_some(self) -> None:
        """Rows stay in memory until the file can be written again, up to a bound."""
        if not self._warned:
            self._warned = True
            self.trouble = (
                f"the record {self.path} cannot be written: {self._failure}. The training goes on, up to {MOST_WAITING:,} "
                "rows wait in memory, and every commit tries again: make room, or make the file accessible again"
            )
        updates = self._waiting.get("updates", [])
        surplus = len(updates) - MOST_WAITING
        if surplus > 0:
            if not self._dropped:
                self.trouble = (
                    f"the record {self.path} still cannot be written ({self._failure}): the oldest updates are lost"
                )
            self._dropped += surplus
            del updates[:surplus]

    def inherit(self) -> None:
        """This is a child that was forked: it has no thread that writes, and the file is its parent's."""
        self.is_inherited = True
        self.put = deque[tuple[str, Row]](maxlen=0).append
        self.trouble = f"what happens in a forked process is not recorded in {self.path}, which its parent writes"


_WRITERS: weakref.WeakSet[Writer] = weakref.WeakSet()


def _inherit_all() -> None:
    for writer in list(_WRITERS):
        writer.inherit()


if hasattr(os, "register_at_fork"):
    # Once in the child, because to ask for the number of the process at each update is a call of the system.
    os.register_at_fork(after_in_child=_inherit_all)
