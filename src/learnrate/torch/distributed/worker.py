"""A thread for work that may wait for other processes, and that can be abandoned."""

import contextvars
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import torch

T = TypeVar("T")

GRACE = 2.0
"""Seconds that work has to end by itself after it is no longer needed."""


class Job:
    """A piece of work.

    Attributes:
        work: The function to call.
        done: Set when there is a result or an error.
        result: What the function returned.
        error: What it raised; None if it returned.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class Worker:
    """One thread for one job at a time. Unlike the threads of an executor, it does not keep the process alive."""

    def __init__(self) -> None:
        self._wake = threading.Semaphore(0)
        self._job: Job | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="learnrate")
        self._thread.start()

    def begin(self, work: Callable[[], Any]) -> Job:
        """Start the next work."""
        self._job = job = Job(work)
        self._wake.release()
        return job

    def end(self) -> None:
        """End the thread."""
        self._job = None
        self._wake.release()
        # With a time limit: after a second Ctrl-C the thread may still be at work.
        self._thread.join(timeout=GRACE)

    def _work(self) -> None:
        while True:
            self._wake.acquire()
            job = self._job
            if job is None:
                return
            try:
                job.result = job.work()
            except BaseException as error:  # the main thread raises it
                job.error = error
            job.done.set()


def with_thread_settings(work: Callable[[], T]) -> Callable[[], T]:
    """The work under the settings of the calling thread: those that torch and Python keep for each thread."""
    context = contextvars.copy_context()
    device, grad_enabled = torch.get_default_device(), torch.is_grad_enabled()
    kinds = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    autocasts = [(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)) for kind in kinds]
    streams = [torch.cuda.current_stream()] if len(kinds) > 1 else []

    def in_thread() -> T:
        with ExitStack() as stack:
            for stream in streams:
                torch.cuda.set_device(stream.device)
                stack.enter_context(torch.cuda.stream(stream))
            if device.type != "cpu":
                stack.enter_context(device)
            for kind, dtype, enabled in autocasts:
                if enabled:
                    stack.enter_context(torch.autocast(kind, dtype))
            stack.enter_context(torch.set_grad_enabled(grad_enabled))
            return context.run(work)

    return in_thread
