"""Finding a position in data again: a new iterator draws the same batches, with the random numbers of that time.

What a source of batches gives next may depend on what it gave before (a shuffle buffer), and on random numbers of the whole
process, from which dropout takes some between two batches. So a replay needs the random numbers before each batch. To keep
them all would take 10 kB a batch; kept are those that the replay would not have by itself, because the training took random
numbers since the batch before; and of torch's only where the source then took some too. That is nothing for loaders whose
order is drawn at the beginning or whose workers augment. The last batch is compared in the end: if it differs, the source
depends on something else, such as a generator without a seed or the time.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnrate import random_numbers
from learnrate.own_state import Change, OwnState
from learnrate.random_numbers import States
from learnrate.trainable import NotResumableError

ALWAYS_KEPT = ("python", "numpy")
"""Their states are kept wherever training took some, because the second of two normal numbers does not show."""

ROOM = 64 * 2**20
"""Bytes of random numbers that are kept for one iterator."""

SAMPLED = 64
"""Elements of an array that are compared."""


@dataclass(frozen=True)
class Position:
    """A place in data, in a form that can be pickled.

    Attributes:
        drawn: Number of batches drawn since the source was rewound.
        restarts: Numbers of the batches at which the source was started again.
        epoch: Batches in an epoch, where they were counted.
        begun: Whether there is an iterator.
        state: What the `state_dict` of the source returned, if it has one.
        replay: How to find the place in the present iterator, if there is one and the source has no `state_dict`.
        own: What the source keeps in itself and training has changed.
    """

    drawn: int
    restarts: tuple[int, ...]
    epoch: int | None
    begun: bool
    state: Any = None
    replay: "Replay | None" = None
    own: Mapping[str, Change] = field(default_factory=dict)


@dataclass(frozen=True)
class Replay:
    """How to find the place in an iterator.

    Attributes:
        taken: Batches drawn from it.
        beginning: Random numbers before it was made.
        own: What the source kept in itself before it was made.
        before: Random numbers before these draws, where a replay would not have them by itself.
        sign: A hash of the last batch.
    """

    taken: int
    beginning: States
    own: Mapping[str, Change]
    before: Mapping[int, States]
    sign: str


class Followed:
    """An iterator, and what a replay of it needs.

    Attributes:
        taken: Batches drawn.
    """

    def __init__(self, own: OwnState) -> None:
        self.beginning = random_numbers.states()
        self.own: Mapping[str, Change] = own.changes()
        self.taken = 0
        self._before: dict[int, States] = {}
        self._kept, self._sample = 0, list[Any]()
        self._after: States = {}
        self._iterator: Iterator[Any] = iter(())

    def over(self, iterator: Iterator[Any]) -> "Followed":
        """Draw from this iterator, which was just made."""
        self._iterator, self._after = iterator, random_numbers.signs()
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        before = random_numbers.signs()
        moved = {
            name: random_numbers.state_of_sign(name, sign) for name, sign in before.items() if sign != self._after.get(name)
        }
        batch = next(self._iterator)
        # Python's take so long to read that they are read once a batch: then they are kept also where the source took some.
        self._after = {"python": before["python"], **random_numbers.signs(with_python=False)}
        moved = {
            name: state for name, state in moved.items() if name in ALWAYS_KEPT or self._after.get(name) != before[name]
        }
        if moved and self._kept <= ROOM:
            self._before[self.taken] = moved
            self._kept += sum(map(_size, moved.values()))
        self.taken += 1
        self._sample = sample(batch)
        return batch

    def replay(self) -> Replay:
        """How to find the present place.

        Raises:
            NotResumableError: if that would take too many random numbers.
        """
        if self._kept > ROOM:
            raise NotResumableError(
                f"batches take random numbers of the whole process at every batch, of which more than {ROOM >> 20} MiB "
                "would have to be kept: give them a generator of their own, a shorter epoch, or a state_dict"
            )
        return Replay(self.taken, self.beginning, self.own, dict(self._before), sign_of(self._sample))

    def catch_up(self, replay: Replay) -> None:
        """Draw the batches that were drawn then. The random numbers are those of a replay afterwards.

        Raises:
            NotResumableError: if they are not the same.
        """
        for number in range(replay.taken):
            random_numbers.put_back(replay.before.get(number, {}))
            try:
                batch = next(self._iterator)
            except StopIteration:
                raise NotResumableError(
                    f"batches ended after {number} when they were drawn again, and held at least {replay.taken} before"
                ) from None
        if replay.taken and sign_of(sample(batch)) != replay.sign:
            raise NotResumableError(
                f"batches are not the same when they are drawn again (batch {replay.taken - 1} of the iterator differs): "
                "let all that is random in them follow from the seed, or give them a state_dict and a load_state_dict"
            )
        self.taken, self._after = replay.taken, random_numbers.signs()
        self._sample = sample(batch) if replay.taken else []
        self.beginning, self.own, self._before = replay.beginning, replay.own, dict(replay.before)
        self._kept = sum(_size(state) for states in self._before.values() for state in states.values())


def _size(state: Any) -> int:
    return len(state) if isinstance(state, bytes) else 3000  # Python's and NumPy's have 625 words


def sample(batch: Any) -> list[Any]:
    """What shows whether a batch is the same: its structure, numbers and strings, some elements of arrays in main memory.

    Quick, because it is taken of every batch: a loss may change the batch itself.
    """
    samples: list[Any] = []
    pending = [batch]
    while pending:
        value = pending.pop()
        samples.append(type(value).__name__)
        if isinstance(value, Mapping):
            samples.append(list(value))
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            samples.append(len(value))
            pending.extend(value)
        elif isinstance(value, (bool, int, float, complex, str, bytes)):
            samples.append(value)
        else:
            samples.append(getattr(value, "shape", None))
            array = _in_memory(value)
            if array is not None:
                samples.append(array.flat[:: max(1, array.size // SAMPLED)].tobytes())
    return samples


def sign_of(samples: list[Any]) -> str:
    """A hash of what `sample` returned."""
    return hashlib.sha256(repr(samples).encode()).hexdigest()[:16]


def _in_memory(value: Any) -> Any:
    """An array or tensor as an array, without a copy; None if it lies on a device, or is something else."""
    if isinstance(value, np.ndarray):
        return None if value.dtype == object else value
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor) or value.device.type != "cpu":
        return None
    try:
        return value.detach().numpy()
    except (TypeError, RuntimeError):  # sparse, or of a type that NumPy does not have
        return None
