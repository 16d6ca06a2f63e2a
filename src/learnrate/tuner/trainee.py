"""The small protocol by which the tuner drives a training run, whatever the framework."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Trainee(Protocol):
    """A model, its optimizer and its data, as the tuner sees them.

    An adapter makes one of a framework's objects (`learnrate.torch.tune` does); any object with these members will do.
    """

    def update(self, lr: float) -> Any:
        """Make one update at this LR and return the loss that it saw (a scalar, or a mapping with the key "loss")."""

    def evaluate(self) -> float | None:
        """How good the model is now, higher is better; None where nothing but the loss is known."""

    def updates_per_epoch(self) -> int | None:
        """Number of updates in an epoch; None where that is not known (yet)."""

    def save(self) -> Any:
        """A copy of all that training changes: parameters, optimizer, random numbers, position in the data."""

    def restore(self, state: Any) -> None:
        """Put back what `save` returned, as often as is asked."""


class Racers(Protocol):
    """Several copies of a trainee that are trained together, as one batch."""

    def update(self, lrs: Sequence[float | None]) -> Sequence[Mapping[str, float]]:
        """Make one update of each racer at its LR, on the same data; None retires it. What each saw, "loss" among it."""

    def evaluate(self) -> Sequence[float | None]:
        """How good each is now; None for those retired, and where nothing but the loss is known."""


class ApartError(Exception):
    """Racers cannot train as one batch; the text is the reason, for "The races ran one after the other: {reason}."."""
