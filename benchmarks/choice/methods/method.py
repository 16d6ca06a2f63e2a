"""What a method is, and how it is asked: its updates are counted, its output is swallowed, its own failure is an answer."""

import contextlib
import importlib.metadata
import io
import logging
import math
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
    """An LR, or None, and what explains it; and the interval that it is said to lie in, where the method tells one."""

    lr: float | None
    note: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Method:
    """A way to choose an LR, or several that read the same run.

    Attributes:
        names: One for each answer.
        answers: From a task and a seed to the answers. It may raise: then none of the names gave an answer.
        version: Of the package and of the code that calls it.
    """

    names: tuple[str, ...]
    answers: Callable[[Task, int], tuple[Answer, ...]]
    version: Callable[[], str]

    def choose(self, task: Task, seed: int) -> tuple[Choice, ...]:
        """One choice for each name; each bears the updates of the run that they share.

        Raises:
            ImportError: if the package is not installed: that is not the method's failure.
        """
        with counted() as made, silence():
            try:
                answers = self.answers(task, seed)
            except ImportError:
                raise
            except Exception as error:
                answers = (failed(error),) * len(self.names)
        version = self.version()
        return tuple(
            Choice(name, seed, usable(answer.lr), made[0], version, explained(answer), answer.interval)
            for name, answer in zip(self.names, answers, strict=True)
        )


def failed(error: Exception) -> Answer:
    """No LR, and why."""
    return Answer(None, f"{type(error).__name__}: {' '.join(str(error).split())}"[:200])


def usable(lr: float | None) -> float | None:
    """An LR that a training can begin with, else None."""
    return float(lr) if lr is not None and math.isfinite(lr) and lr > 0 else None


def explained(answer: Answer) -> str:
    """The note, which for an LR that cannot be used tells it."""
    if answer.lr is not None and usable(answer.lr) is None:
        return f"suggested {answer.lr}"
    return answer.note


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """The number of updates that any optimizer makes in the block, as the one entry of a list."""
    made = [0]

    def count(*_: Any) -> None:
        made[0] += 1

    hook = register_optimizer_step_post_hook(count)
    try:
        yield made
    finally:
        hook.remove()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """No output, warnings or log: packages greet, draw bars and advise."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable()
        try:
            yield
        finally:
            logging.disable(before)


def version_of(package: str, file: str) -> str:
    """The package's version and, after a plus sign, a hash of the code here that calls it: a change of either counts."""
    return f"{importlib.metadata.version(package)}+{digest([Path(file)])}"
