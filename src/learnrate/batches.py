"""Batches that never run out: from a loader, a list, or a function that makes an iterator."""

import copy
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from learnrate import checks, random_numbers
from learnrate.errors import DataError
from learnrate.own_state import OwnState
from learnrate.replay import Followed, Position
from learnrate.trainable import ExhaustedError, NotResumableError

Batches = Iterable[Any] | Callable[[], Iterator[Any]]


class Stream:
    """Batches without end: when the source ends, it is started again, unless it is an iterator.

    Attributes:
        source: Where the batches come from.
        drawn: Number of batches drawn so far.
        restarts: Numbers of the batches at which the source was started again.
        once: Whether the source is an iterator, which cannot be started again.
    """

    def __init__(self, batches: Batches) -> None:
        if not (checks.is_iterable(batches) or callable(batches) or _has_items(batches)):
            checks.refuse_type("batches", "iterable, or a function that returns an iterator", batches)
        self.source = batches
        self.once = isinstance(batches, Iterator)
        self._iterator: Iterator[Any] | None = None
        self.drawn = 0
        self.restarts: list[int] = []
        self._epoch: int | None = None
        self._own: OwnState | None = None
        self._has_state = False
        self._followed: Followed | None = None

    def take(self, number: int) -> list[Any]:
        """The next batches: `number` of them, or those that are left before the source ends, but at least one.

        Raises:
            ExhaustedError: if the source is an iterator and has ended.
            DataError: if the source holds none.
        """
        if self._iterator is None:
            self._iterator = self._begun()
        batches = list(islice(self._iterator, number))
        if not batches and self.once:
            raise ExhaustedError(f"batches ran out after {self.drawn}, and an iterator cannot be started again")
        if not batches and self.drawn:
            self._epoch = self._epoch or self.drawn
            self.restarts.append(self.drawn)
            self._iterator = self._begun()
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
        self._followed = None
        self.drawn = 0
        self.restarts = []

    def position(self) -> Position:
        """Where the next batch comes from, for `go_to` of the same stream in another process.

        Raises:
            NotResumableError: if that cannot be known.
        """
        if self._own is None and self.drawn:
            raise NotResumableError(
                f"{self.drawn} batches were drawn before checkpoints were asked for: call checkpoint() once before the "
                "first update"
            )
        if self._own is None:
            self._follow(has_state=_gives_state(self.source))
        assert self._own is not None
        place = (self.drawn, tuple(self.restarts), self._epoch, self._iterator is not None)
        if self._has_state:
            return Position(*place, state=copy.deepcopy(self.source.state_dict()))  # type: ignore[union-attr]
        if self.once:
            raise NotResumableError(
                "batches are an iterator, which cannot be started again: give the loader itself, a list, or a function that "
                "returns a new iterator"
            )
        return Position(*place, replay=None if self._followed is None else self._followed.replay(), own=self._own.changes())

    def go_to(self, position: Position) -> None:
        """Draw the batches that would have come next where this position was taken.

        The random numbers of the process are changed: the caller sets them afterwards.

        Raises:
            NotResumableError: if the source gives other batches than before.
        """
        self._follow(has_state=position.state is not None)
        assert self._own is not None
        if self._has_state:
            self.source.load_state_dict(position.state)  # type: ignore[union-attr]
            self._iterator = self._new_iterator() if position.begun else None
        elif position.replay is not None:
            random_numbers.put_back(position.replay.beginning)
            self._own.put(position.replay.own)
            self._iterator = self._begun()
            assert self._followed is not None
            self._followed.catch_up(position.replay)
        self._own.put(position.own)
        self.drawn, self.restarts, self._epoch = position.drawn, list(position.restarts), position.epoch

    def _follow(self, has_state: bool) -> None:
        """Keep from now on what `position` needs.

        Args:
            has_state: Whether the state of the source says its position.
        """
        self._has_state = has_state
        if self._own is None:
            self._own = OwnState({"batches": self.source})

    def _begun(self) -> Iterator[Any]:
        if self._own is None or self._has_state:
            return self._new_iterator()
        self._followed = Followed(self._own)
        return self._followed.over(self._new_iterator())

    def epoch(self) -> int | None:
        """Batches in an epoch: those counted up to its first end, or the source's length; None if neither is known."""
        if self._epoch is not None:
            return self._epoch
        return len(self.source) or None if self.has_length else None  # type: ignore[arg-type]

    @property
    def has_length(self) -> bool:
        """Whether the source has a length."""
        try:
            len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return False
        return True

    def _new_iterator(self) -> Iterator[Any]:
        if isinstance(self.source, Iterable) or not callable(self.source):
            return iter(self.source)
        batches = self.source()
        if not checks.is_iterable(batches) and not _has_items(batches):
            checks.refuse_type("the result of the function batches", "an iterator", batches)
        return iter(batches)


def _has_items(batches: object) -> bool:
    """Whether batches are numbered, as those of a data set without an iterator are."""
    return hasattr(batches, "__getitem__") and getattr(batches, "ndim", 1) != 0


def _gives_state(source: Any) -> bool:
    """Whether a source says its position by itself, as those of torchdata do.

    Having the methods is not enough: a loader of accelerate passes on those of a loader inside, which may have none.
    """
    if not all(callable(getattr(source, name, None)) for name in ("state_dict", "load_state_dict")):
        return False
    try:
        return source.state_dict() is not None
    except Exception:  # whatever it is, the batches can still be drawn again
        return False


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
