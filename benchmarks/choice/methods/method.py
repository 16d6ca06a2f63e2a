"""A method and how it is called: its updates are counted, its output is suppressed, its own failure is an answer."""

import contextlib
import importlib.metadata
import io
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.choice.store import Choice, digest
from benchmarks.choice.task import Task


@dataclass(frozen=True)
class Answer:
    """An LR or None, an explanation, and the interval of the LR if the method gives one."""

    lr: float | None
    note: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Method:
    """A method to choose an LR, or several methods that use the same updates.

    Attributes:
        names: A name for each answer.
        answers: A function from a task and a seed to the answers. If it raises, there is no answer for any of the names.
        version: Version of the package, and a hash of the code that calls it.
    """

    names: tuple[str, ...]
    answers: Callable[[Task, int], tuple[Answer, ...]]
    version: Callable[[], str]

    def choose(self, task: Task, seed: int) -> tuple[Choice, ...]:
        """A choice for each name, with the number of updates that they share.

        Raises:
            ImportError: if the package is not installed, which is not a failure of the method.
        """
        begin = time.process_time()
        with counted_updates() as updates, silence():
            try:
                answers = self.answers(task, seed)
            except ImportError:
                raise
            except Exception as error:
                answers = (failed(error),) * len(self.names)
        seconds = round(time.process_time() - begin, 3)
        version = self.version()
        return tuple(
            Choice(name, seed, usable_lr(answer.lr), updates[0], version, note_of(answer), answer.interval, seconds)
            for name, answer in zip(self.names, answers, strict=True)
        )


def failed(error: Exception) -> Answer:
    """The answer of a method that raised an error."""
    return Answer(None, f"{type(error).__name__}: {' '.join(str(error).split())}"[:200])


def usable_lr(lr: float | None) -> float | None:
    """The LR if it is finite and above 0, otherwise None."""
    return float(lr) if lr is not None and math.isfinite(lr) and lr > 0 else None


def note_of(answer: Answer) -> str:
    """The note; for an LR that cannot be used the LR itself."""
    if answer.lr is not None and usable_lr(answer.lr) is None:
        return f"suggested {answer.lr}"
    return answer.note


@contextlib.contextmanager
def counted_updates() -> Iterator[list[int]]:
    """The number of updates that all optimizers make in the block, as the only entry of a list."""
    updates = [0]

    def count(*_: Any) -> None:
        updates[0] += 1

    hook = register_optimizer_step_post_hook(count)
    try:
        yield updates
    finally:
        hook.remove()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress output, warnings and logs: greetings, progress bars and advice of packages."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable()
        try:
            yield
        finally:
            logging.disable(before)


def version_of(package: str, file: str) -> str:
    """The version of the package and, after a plus sign, a hash of the file here that calls it."""
    return f"{importlib.metadata.version(package)}+{digest([Path(file)])}"
