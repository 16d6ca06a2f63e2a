"""Runs as tasks of a Ray cluster."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError, ExecutorError
from learnrate.study.executors.executor import NodeLostError, WorkerLostError, missing
from learnrate.study.executors.ray_messages import Messages
from learnrate.study.executors.ray_nodes import Cluster, answers
from learnrate.study.running.run import Message
from learnrate.study.running.source import RecipeObject

RETRIES = 2
"""Times that a run is made again whose worker was lost."""

LOOK_EVERY = 0.05
"""Seconds between two looks at the tasks."""


class Ray:
    """Makes runs as core tasks of Ray, on a cluster that runs already or on one that is started on this machine.

    Each run asks for its share of a node. The number of runs in progress follows the nodes that come and go. A run whose
    worker is lost is made again; one that was lost with its whole node does not count as an attempt. It goes on from its
    checkpoint if the study is in a folder that the nodes share, otherwise from its start.

    Workers get the recipe with their first run: its file as text, an object by cloudpickle. What it imports has to be there,
    or to be shipped with `runtime_env`: {"working_dir": "the folder of the recipe"} for modules beside it.

    Args:
        address: Of the cluster: "host:port" of its head, or "auto" for the one of this machine; None for that of the
            variable RAY_ADDRESS, or a new one on this machine, which is shut down at the end. A cluster that this process
            has joined already is used in any case. The driver runs on a node of the cluster: Ray Client ("ray://") is
            refused.
        num_cpus: Cores of a run.
        num_gpus: GPUs of a run; 0.25 for four runs on each.
        retries: Times that a run is made again whose worker was lost.
        runtime_env: Environment of the runs, as Ray describes it.
        log_to_driver: Whether what workers print is printed here. Only where this process has not joined a cluster already.
        options: Further options of the tasks, such as {"memory": 2e9, "resources": {"slow": 1}}.

    Attributes:
        workers: See `Executor`.
        attempts: See `Executor`.
        report: See `Executor`.

    Raises:
        ArgumentError: if a number is out of range.
        ArgumentTypeError: if a value is of the wrong type.
        ExecutorError: if there is no cluster at the address.
        MissingExtraError: if Ray is not installed.

    Warns:
        LearnrateWarning: if no node has what a run asks for. Runs wait until there is one.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        retries: int = RETRIES,
        runtime_env: Mapping[str, Any] | None = None,
        log_to_driver: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        shares = {"CPU": _share("num_cpus", num_cpus), "GPU": _share("num_gpus", num_gpus)}
        self.attempts = 1 + checks.whole("retries", retries, at_least=0)
        checks.flag("log_to_driver", log_to_driver)
        checks.optional(checks.text)("address", address)
        for name, value in (("runtime_env", runtime_env), ("options", options)):
            checks.optional(checks.instance(Mapping, "a mapping"))(name, value)
        try:
            import ray
        except ModuleNotFoundError as error:
            raise missing("ray", "ray", error) from error
        _refuse_client(address or os.environ.get("RAY_ADDRESS"))
        self._ray = ray
        self._is_own = not ray.is_initialized()
        if self._is_own:
            _join(address, log_to_driver, runtime_env)
        try:
            tasks = {**(options or {}), "num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": 0}
            if runtime_env is not None and not self._is_own:
                tasks["runtime_env"] = dict(runtime_env)
            self._call = _remote(tasks)
            self._cluster = Cluster(ray, shares)
            self._messages = Messages(ray)
        except BaseException:
            if self._is_own:
                ray.shutdown()
            raise
        self.report: Callable[[Message], object] | None = self._messages.report
        self._shipped: dict[int, tuple[RecipeObject, Any]] = {}
        self._running: dict[Any, None] = {}
        self._ended: set[Any] = set()
        self._looked_at = 0.0

    @property
    def workers(self) -> int:
        """See `Executor.workers`."""
        return self._cluster.workers()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "_RayFuture":
        """See `Executor.submit`."""
        self._cluster.require_head()
        first, *others = arguments or (None,)
        source = getattr(first, "source", None)
        if isinstance(source, RecipeObject) and is_dataclass(first) and not isinstance(first, type):
            # The recipe may have data: it is stored in the cluster once, not sent with every run.
            reference = self._call.remote(function, self._stored(source), replace(first, source=None), *others)
        else:
            reference = self._call.remote(function, None, *arguments)
        self._running[reference] = None
        return _RayFuture(self, reference)

    def _stored(self, source: RecipeObject) -> Any:
        if id(source) not in self._shipped:
            self._shipped[id(source)] = source, self._ray.put(source)  # with the source, so that its id stays its own
        return self._shipped[id(source)][1]

    def messages(self) -> Sequence[Message]:
        """See `Executor.messages`."""
        self._cluster.require_head()
        return self._messages.fetch()

    def is_ended(self, reference: Any) -> bool:
        """Whether a task has ended. One look at all of them serves the futures of all."""
        if self._running and time.monotonic() - self._looked_at >= LOOK_EVERY:
            self._cluster.require_head()
            ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
            self._ended.update(ready)
            for task in ready:
                del self._running[task]
            self._looked_at = time.monotonic()
        return reference in self._ended

    def result(self, reference: Any) -> Any:
        """What a task gave."""
        errors = self._ray.exceptions
        while not self.is_ended(reference):
            time.sleep(LOOK_EVERY)
        self._ended.discard(reference)
        try:
            return self._ray.get(reference)
        except (errors.NodeDiedError, errors.ObjectLostError) as error:
            raise NodeLostError(f"the node of the run was lost: {_line(error)}") from error
        except errors.WorkerCrashedError as error:
            if self._cluster.has_lost_nodes():
                raise NodeLostError(f"the node of the run was lost: {_line(error)}") from error
            raise WorkerLostError(f"the worker of the run ended: {_line(error)}") from error
        except errors.RuntimeEnvSetupError as error:
            raise ExecutorError(f"Ray cannot make the runtime_env: {_line(error)}") from error

    def cancel(self, reference: Any) -> None:
        """End a task with its worker."""
        self._running.pop(reference, None)
        self._ended.add(reference)
        self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster if this object has joined it; shut it down if it has started it."""
        self._cluster.close()
        if self._is_own:
            self._ray.shutdown()
        elif self._cluster.head_answers():
            self._messages.close()


class _RayFuture:
    """The result of a task."""

    def __init__(self, executor: Ray, reference: Any) -> None:
        self._executor, self._reference = executor, reference

    def done(self) -> bool:
        """See `Future.done`."""
        return self._executor.is_ended(self._reference)

    def result(self) -> Any:
        """See `Future.result`."""
        return self._executor.result(self._reference)

    def cancel(self) -> bool:
        """See `Future.cancel`."""
        self._executor.cancel(self._reference)
        return True


def _share(name: str, value: object) -> float:
    number = checks.number(name, value)
    if not 0 <= number < math.inf or (number > 1 and number != int(number)):
        checks.refuse(name, "a number of at least 0, and whole above 1", value)
    return number


def _remote(options: Mapping[str, Any]) -> Any:
    import ray

    try:
        return ray.remote(_call).options(**options)
    except ValueError as error:
        raise ArgumentError(
            f"Ray refuses the options of its tasks: {_line(error)}. Folders are shipped only where a process joins: "
            "give runtime_env to ray.init, or let this executor join"
        ) from error


def _refuse_client(address: str | None) -> None:
    import ray

    if (address or "").startswith("ray://") or ray.util.client.ray.is_connected():
        raise ArgumentError(
            "address must be host:port, 'auto' or None, received one of Ray Client (ray://), which is not "
            "supported: start the driver on a node of the cluster"
        )


def _join(address: str | None, log_to_driver: bool, runtime_env: Mapping[str, Any] | None) -> None:
    """Join a cluster, or start one, quietly."""
    import ray

    # Without an address, Ray would join what the last cluster of this machine has left behind, running or not.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    at = _cluster_of_this_machine() if address == "auto" else address
    host, _, port = at.rpartition(":")
    if host and port.isdigit() and not answers((host.strip("[]"), int(port))):
        at = ""
    if not at:
        raise ExecutorError(
            f"there is no Ray cluster at {address!r}: give the address of its head as host:port, or None to start one here"
        )
    try:
        env = None if runtime_env is None else dict(runtime_env)
        ray.init(address=at, log_to_driver=log_to_driver, logging_level="ERROR", runtime_env=env)
    except Exception as error:  # Ray raises a plain Exception where a node does not start
        ray.shutdown()
        what = "no Ray cluster can be started here" if address == "local" else f"there is no Ray cluster at {address!r}"
        raise ExecutorError(f"{what}: {_line(error)}") from error


def _cluster_of_this_machine() -> str:
    """The address that `ray start` has written down; it may be that of a cluster that has ended."""
    from ray._private.utils import read_ray_address

    return read_ray_address() or ""


def _line(error: BaseException) -> str:
    return checks.short(" ".join(str(error).split()) or type(error).__name__, 300)


def _call(function: Callable[..., Any], source: RecipeObject | None, task: Any = None, *others: Any) -> Any:
    """The task of Ray."""
    if source is not None:
        task = replace(task, source=source)
    return function(*(() if task is None else (task,)), *others)
