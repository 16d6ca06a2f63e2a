"""Trainings that a trainer makes by its own loop: what a comparison and the recipe of such a trainer tell each other."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.metrics import scalar

Mode = Literal["min", "max"]
"""Whether lower or higher is better."""


@dataclass(frozen=True)
class TrainerRun:
    """One training, for the function of a recipe that creates its trainer.

    Attributes:
        seed: The seed, from which everything random follows. Random numbers are seeded before the function is called.
        updates: The length of the training in updates (optimizer steps).
        folder: A folder for what the trainer writes. It is removed when the training has ended, and kept when its process
            was ended before.
    """

    seed: int
    updates: int
    folder: str


@dataclass(frozen=True)
class Ended:
    """What is known at the end of such a training, beside what its listener was told.

    Attributes:
        schedule: The schedule that was really used, as text.
        fingerprint: Fingerprint of the weights; None if it is not known.
        notes: Sentences about what a reader has to know of it.
    """

    schedule: str
    fingerprint: str | None = None
    notes: tuple[str, ...] = ()


class TrainingListener(Protocol):
    """Is told what happens in a training, by the adapter of its trainer. It makes the record."""

    def began(self, fingerprint: str | None) -> None:
        """The first update begins; with the fingerprint of the weights, None if it is not known."""

    def updated(self, loss: float) -> bool:
        """An update was made. Returns whether the training is to go on: not after a loss that is not finite."""

    def pause(self) -> None:
        """An evaluation begins: its time is not that of the training."""

    def go_on(self) -> None:
        """The evaluation has ended."""

    def evaluated(self, scores: Mapping[str, float]) -> None:
        """An evaluation after the last update; of its scores, the first decides, and higher is better."""


class TrainerCheckpoints(Protocol):
    """The checkpoints of a trainer from which a training goes on in a new process.

    They have a folder of their own in the folder of the run, so that they are not among those that the trainer writes for
    the user: a limit on the number of these must not count them, and the best model must not be one of them.

    Attributes:
        last: The path of the last one; None at the start of a training.
    """

    last: str | None

    def is_due(self) -> bool:
        """Whether it is time for the next one."""

    def write(self, name: str, save: Callable[[str], object]) -> None:
        """Write the next one. The listener knows all that was before it.

        If that fails, for example because the disk is full, the training goes on, and a note of its record says so.

        Args:
            name: Its name, which is that of a file or a folder.
            save: Lets the trainer write it; called with its path.
        """

    def impossible(self, reason: str) -> None:
        """The training cannot go on from checkpoints; the reason is a note of its record."""


def check_monitor(monitor: object, mode: object) -> None:
    """Check the names of what decides.

    Raises:
        ArgumentError: if only one of them is given, or the mode is another word.
        ArgumentTypeError: if one is of the wrong type.
    """
    checks.optional(checks.text)("Recipe.monitor", monitor)
    checks.optional(checks.one_of("min", "max"))("Recipe.mode", mode)
    if (monitor is None) != (mode is None):
        raise ArgumentError(
            f"Recipe.monitor and Recipe.mode must be given together, received {monitor!r} and {mode!r}: write "
            "monitor='val_loss', mode='min', so that it is clear whether lower or higher is better; or neither, for the "
            "training loss"
        )


def ordered(metrics: Mapping[str, object], monitor: str, mode: Mode) -> dict[str, float]:
    """The scores of an evaluation as a comparison takes them: the one that decides first, and such that higher is better.

    Raises:
        ArgumentError: if the metric that decides is not among them.

    Example:
        >>> ordered({"train_loss": 0.5, "val_loss": 0.25}, "val_loss", "min")
        {'-val_loss': -0.25, 'train_loss': 0.5}
    """
    if monitor not in metrics:
        names = ", ".join(map(str, metrics)) or "nothing"
        raise ArgumentError(f"Recipe.monitor must be a metric of the evaluation, received {monitor!r}; there is {names}")
    values = {str(name): _number(str(name), value) for name, value in metrics.items()}
    value = values.pop(monitor)
    first = {monitor: value} if mode == "max" else {f"-{monitor}": -value}
    return {**first, **{name: number for name, number in values.items() if name not in first}}


def _number(name: str, value: object) -> float:
    return math.nan if value is None else scalar(name, value)


def require_same(name: str, received: object, wanted: object, remedy: str) -> None:
    """Refuse a trainer that would train otherwise than it has to.

    Raises:
        ArgumentError: if the two differ.
    """
    if received != wanted:
        checks.refuse(f"{name} of the trainer", f"{wanted!r} in this training", received, remedy)
