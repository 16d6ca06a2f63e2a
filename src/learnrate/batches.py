"""Batches that never run out: from a loader, a list, or a function that makes an iterator."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from learnrate import checks
from learnrate.errors import DataError
from learnrate.trainable import ExhaustedError

Batches = Iterable[Any] | Callable[[], Iterator[Any]]


class Stream:
    """Batches without end: when the source ends, it is started again, unless it is an iterator.

    Attributes:
        drawn: Number of batches drawn so far.
        restarts: Numbers of the batches at which the source was started again.
        once: Whether the source is an iterator, which cannot be started again.
    """

    def __init__(self, batches: Batches) -> None:
        if not (checks.is_iterable(batches) or callable(batches) or _has_items(batches)):
            checks.refuse_type("batches", "iterable, or a function that returns an iterator", batches)
        self._batches = batches
        self.once = isinstance(batches, Iterator)
        self._iterator: Iterator[Any] | None = None
        self.drawn = 0
        self.restarts: list[int] = []
        self._epoch: int | None = None

    def take(self, number: int) -> list[Any]:
        """The next batches: `number` of them, or those that are left before the source ends, but at least one.

        Raises:
            ExhaustedError: if the source is an iterator and has ended.
            DataError: if the source holds none.
        """
        if self._iterator is None:
            self._iterator = self._new_iterator()
        batches = list(islice(self._iterator, number))
        if not batches and self.once:
            raise ExhaustedError(f"batches ran out after {self.drawn}, and an iterator cannot be started again")
        if not batches and self.drawn:
            self._epoch = self._epoch or self.drawn
            self.restarts.append(self.drawn)
            self._iterator = self._new_iterator()
            batches = list(islice(self._iterator, number))
        if not batches:
            raise DataError(
                f"batches must hold at least one batch each time they are iterated, received none after {self.drawn}: "
                "is the data set smaller than one batch, with drop_last=True, "
                "or does a function return the same iterator twice?"
            )
        self.drawn += len(batches)
        return batches

    def rewind(self) -> None:
        """Start the source again with the next batch."""
        self._iterator = None
        self.drawn = 0
        self.restarts = []

    def epoch(self) -> int | None:
        """Batches in an epoch: those counted up to its first end, or the source's length; None if neither is known."""
        if self._epoch is not None:
            return self._epoch
        return len(self._batches) or None if self.has_length else None  # type: ignore[arg-type]

    @property
    def has_length(self) -> bool:
        """Whether the source has a length."""
        try:
            len(self._batches)  # type: ignore[arg-type]
        except TypeError:
            return False
        return True

    def _new_iterator(self) -> Iterator[Any]:
        if isinstance(self._batches, Iterable) or not callable(self._batches):
            return iter(self._batches)
        batches = self._batches()
        if not checks.is_iterable(batches) and not _has_items(batches):
            checks.refuse_type("the result of the function batches", "an iterator", batches)
        return iter(batches)


def _has_items(batches: object) -> bool:
    """Whether batches are numbered, as those of a data set without an iterator are."""
    return hasattr(batches, "__getitem__") and getattr(batches, "ndim", 1) != 0


def check_rewindable(batches: object) -> None:
    """Refuse what can be iterated only once.

    Raises:
        ArgumentTypeError: if it is an iterator.
    """
    if isinstance(batches, Iterator):
        remedy = "give the loader itself, a list, or a function that returns a new iterator"
        checks.refuse_type("batches", "something that can be iterated again", batches, remedy)


def restarts_note(updates: Iterable[int]) -> list[str]:
    """The note about batches that were started again at these updates; none if there was no such update."""
    restarts = list(updates)
    if not restarts:
        return []
    shown = ", ".join(map(str, restarts[:10])) + (f", ... ({len(restarts)} times)" if len(restarts) > 10 else "")
    return [f"the batches ran out and were started again at update {shown}"]
