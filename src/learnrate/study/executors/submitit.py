"""Runs as jobs of Slurm, or of another scheduler that submitit knows."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.study.executors.executor import ATTEMPTS, FOREIGN_WORKERS, WorkerLostError, missing
from learnrate.study.running.run import Message, Report

LOOK_EVERY = 0.5
"""Seconds between two looks at a job: each look reads the shared folder."""

MINUTES = 240
"""Limit of a job, unless another is given; a training that takes longer goes on from its checkpoint in the next job."""


class Submitit:
    """Makes each run as a job of submitit. Jobs do not report their progress; their logs are in the folder.

    A job that meets its time limit, or makes room for another one, is queued again by submitit, and its training goes on
    from its checkpoint. Therefore the study must be in a folder that all nodes have.

    A driver that is killed leaves its jobs in the queue.

    Args:
        executor: A folder that all nodes have, for the files of the jobs; or an executor of submitit with its parameters.
        workers: Jobs in the queue at most; by default `slurm_array_parallelism`, otherwise 32; the number of cores where
            jobs are processes of this machine.
        cluster: "slurm", "local", or None for what is there. Only with a folder.
        **parameters: Those of `submitit.AutoExecutor.update_parameters`, such as `timeout_min`, `slurm_partition`. Only with
            a folder.

    Attributes:
        workers: See `Executor`.
        attempts: See `Executor`.
        report: None.

    Raises:
        ArgumentError: if submitit does not know a parameter, or a job has several tasks.
        ArgumentTypeError: if the executor is something else.
        MissingExtraError: if submitit is not installed.
    """

    attempts = ATTEMPTS
    report: Report | None = None

    def __init__(self, executor: Any, *, workers: int | None = None, cluster: str | None = None, **parameters: Any) -> None:
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise missing("submitit", "submitit", error) from error
        if isinstance(executor, (str, Path)):
            executor = _opened(Path(executor), cluster, {"timeout_min": MINUTES, **parameters})
        elif not isinstance(executor, submitit.Executor):
            checks.refuse_type("executor", "a folder, or an executor of submitit", executor)
        elif parameters or cluster is not None:
            names = ", ".join([*(["cluster"] if cluster is not None else []), *parameters])
            raise ArgumentError(f"{names} must be given to the executor of submitit itself: received one that is built")
        self._executor = executor
        actual = getattr(executor, "_executor", executor)  # what an AutoExecutor has chosen
        if actual._num_tasks() != 1:
            raise ArgumentError("a job must have one task, for one run: give nodes=1 and tasks_per_node=1")
        parallel = actual.parameters.get("array_parallelism", parameters.get("slurm_array_parallelism"))
        default = (os.cpu_count() or 1) if isinstance(actual, submitit.LocalExecutor) else parallel or FOREIGN_WORKERS
        self.workers = default if workers is None else checks.length("workers", workers)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "_SubmititFuture":
        """See `Executor.submit`."""
        return _SubmititFuture(self._executor.submit(_Call(), function, *arguments))

    def messages(self) -> Sequence[Message]:
        """See `Executor.messages`."""
        return ()

    def close(self) -> None:
        """Nothing is open. The files of the jobs stay."""


def _opened(folder: Path, cluster: str | None, parameters: dict[str, Any]) -> Any:
    import submitit

    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**parameters)
    except (AssertionError, NameError, ValueError) as error:  # what submitit raises for what it does not know
        raise ArgumentError(f"submitit refuses its parameters: {' '.join(str(error).split())}") from error
    return executor


class _Call:
    """A call that may be made again: what submitit asks when the time of a job is over, or another one takes its place."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        # In a thread: submitit ends the job by a SystemExit from the handler of a signal, which runs in the main thread.
        # The run itself would take it for one of the recipe, and store a failure.
        future: Future[Any] = Future()
        threading.Thread(target=_give, args=(future, function, *arguments), daemon=True).start()
        return future.result()

    def checkpoint(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the next job has to call: the same, because the training itself has its checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, function, *arguments)


def _give(future: "Future[Any]", function: Callable[..., Any], *arguments: Any) -> None:
    try:
        future.set_result(function(*arguments))
    except BaseException as error:
        future.set_exception(error)


class _SubmititFuture:
    """A job, whose state is read every `LOOK_EVERY` seconds at most."""

    def __init__(self, job: Any) -> None:
        self._job = job
        self._looked_at = 0.0
        self._ended = False

    def done(self) -> bool:
        """See `Future.done`."""
        if not self._ended and time.monotonic() - self._looked_at >= LOOK_EVERY:
            self._ended = bool(self._job.done())
            self._looked_at = time.monotonic()
        return self._ended

    def result(self) -> Any:
        """See `Future.result`."""
        from submitit.core.utils import UncompletedJobError

        try:
            return self._job.result()
        except UncompletedJobError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise WorkerLostError(f"job {self._job.job_id} gave no result: {checks.short(' '.join(lines), 300)}") from error

    def cancel(self) -> bool:
        """See `Future.cancel`."""
        if not self._ended:
            self._job.cancel(check=False)
        return True
