"""The nodes of a Ray cluster, and its head."""

import math
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from learnrate.errors import ExecutorError, LearnrateWarning
from learnrate.user_code import warn

READ_EVERY = 1.0
"""Seconds between two looks at the nodes, and whether the head answers."""

HEAD_PATIENCE = 20.0
"""Seconds without an answer after which the head counts as lost. After 60, Ray would end this process without an error
(`RAY_gcs_rpc_server_reconnect_timeout_s`)."""


class Cluster:
    """The nodes of a cluster, and its head."""

    def __init__(self, ray: Any, shares: Mapping[str, float]) -> None:
        self._ray, self._shares = ray, {name: share for name, share in shares.items() if share > 0}
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = host.strip("[]"), int(port)
        # In a thread, because the question waits for a head that does not answer.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="learnrate-ray")
        self._reading: Future[Any] | None = None
        self._read_at = self._asked_at = time.monotonic()
        self._silent_since: float | None = None
        self._alive: set[str] = set()
        self._lost_at = -math.inf
        self._workers = 1
        self._read(ray.nodes())
        if self._workers == 0:
            wanted = ", ".join(f"{share:g} {name}" for name, share in self._shares.items())
            warn(f"no node of the Ray cluster has {wanted}: runs wait until there is one", LearnrateWarning)

    def workers(self) -> int:
        """Runs that fit on the nodes, at least one: a cluster may grow when a task waits."""
        self.require_head()
        if self._reading is not None and self._reading.done():
            try:
                self._read(self._reading.result())
            except ConnectionError as error:
                raise self._head_lost() from error
            self._reading = None
        if self._reading is None and time.monotonic() - self._read_at >= READ_EVERY and self.head_answers():
            self._reading = self._reader.submit(self._ray.nodes)
        return max(1, self._workers)

    def close(self) -> None:
        """Ask nothing more."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    def has_lost_nodes(self) -> bool:
        """Whether a node was lost in the last `HEAD_PATIENCE` seconds."""
        if self.head_answers():
            self._read(self._ray.nodes())
        return time.monotonic() - self._lost_at < HEAD_PATIENCE

    def _read(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        alive = [node for node in nodes if node["Alive"]]
        names = {node["NodeID"] for node in alive}
        if self._alive - names:
            self._lost_at = time.monotonic()
        self._alive = names
        self._workers = sum(self._fitting(node["Resources"]) for node in alive)
        self._read_at = time.monotonic()

    def _fitting(self, resources: Mapping[str, float]) -> int:
        """Runs that fit on a node. A run has a GPU of its own, or a share of a single one."""
        if not self._shares:
            return int(resources.get("CPU", 0))
        parts = {"CPU": _parts_of_all, "GPU": _parts_of_each}
        return min(parts[name](resources.get(name, 0.0), share) for name, share in self._shares.items())

    def require_head(self) -> None:
        """Refuse to go on without the head of the cluster."""
        if time.monotonic() - self._asked_at >= READ_EVERY:
            self.head_answers()
        if self._silent_since is not None and self._asked_at - self._silent_since >= HEAD_PATIENCE:
            raise self._head_lost()

    def head_answers(self) -> bool:
        """Whether the head answers now. A question to Ray itself would wait for it, and after a minute end this process."""
        self._asked_at = time.monotonic()
        is_there = answers(self._head)
        if is_there:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = self._asked_at
        return is_there

    def _head_lost(self) -> ExecutorError:
        return ExecutorError(
            f"the head of the Ray cluster at {self._head[0]}:{self._head[1]} does not answer any more. The study "
            "continues from what it has when it is started again"
        )


def _parts_of_all(amount: float, share: float) -> int:
    return int(amount / share + 1e-9)


def _parts_of_each(amount: float, share: float) -> int:
    return _parts_of_all(amount, share) if share >= 1 else int(amount) * _parts_of_all(1, share)


def answers(address: tuple[str, int]) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(address, timeout=1.0).close()
    except OSError:
        return False
    return True
