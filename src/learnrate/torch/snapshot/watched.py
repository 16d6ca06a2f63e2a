"""Notices changes of what is not put back, so that a warning can name it."""

from array import array
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from itertools import count, islice
from operator import length_hint
from types import GeneratorType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from learnrate import checks
from learnrate.errors import NotRestoredWarning
from learnrate.torch.snapshot.references import attributes
from learnrate.torch.snapshot.storage import local
from learnrate.user_code import warn

SAMPLED = 4096
"""Elements of a larger array that are compared, evenly spaced: NumPy does not record that an array was written to."""

MOST = 1000
"""Values that are compared in one object and what it refers to. It may refer to a whole program."""

COMPARED = (bool, int, float, complex, str, bytes, frozenset, np.generic, torch.Size, torch.dtype, torch.device)
"""Values that are the same if they are equal; others only if they are the same object."""

UNRELATED = ("logging", "threading", "concurrent", "multiprocessing", "asyncio", "torch", "lightning")
"""Libraries whose objects change at any time, or have state of their own that no training depends on."""

Sign = tuple[str, Any]
"""A place in an object, and a value that is another one after something has changed there."""


class Watch:
    """Warns once, when state is put back, if something has changed that is not put back.

    Args:
        name: Where the value is.
        value: A tensor, an array, or an object, whose attributes and what these refer to are compared.
        remedy: What the user can do.
        copied: `memory_of` the tensors and `id` of the objects that are put back.
    """

    def __init__(self, name: str, value: Any, remedy: str, copied: Collection[int] = ()) -> None:
        self._name, self._value, self._remedy, self._copied = name, value, remedy, copied
        self._before: list[Sign] | None = list(_signs(name, value, copied))

    def __call__(self) -> None:
        """Compare."""
        if self._before is None:
            return
        present = list(_signs(self._name, self._value, self._copied))
        place = _first_difference(present, self._before)
        if place is not None:
            self._before = None
            warn(f"{checks.short(place)} was changed in place and is not given back: {self._remedy}", NotRestoredWarning)


def memory_of(tensor: Tensor) -> int:
    """A number that a tensor shares with its views: the address of its memory; its identity if it has no address."""
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (RuntimeError, NotImplementedError):  # sparse, or spread over processes
        return id(tensor)


def _first_difference(present: list[Sign], before: list[Sign]) -> str | None:
    for (place, value), (place_before, value_before) in zip(present, before, strict=False):
        if place != place_before or not _same(value, value_before):
            return place_before
    if len(present) == len(before):
        return None
    return max(present, before, key=len)[min(len(present), len(before))][0]


def _same(value: Any, before: Any) -> bool:
    return value is before or (type(value) is type(before) and isinstance(value, COMPARED) and bool(value == before))


def _signs(name: str, root: Any, copied: Collection[int]) -> Iterator[Sign]:
    """The values in an object and in what it refers to, each object once."""
    pending, visited, compared = deque([(name, root)]), set[int](), 0
    while pending and compared < MOST:
        place, value = pending.popleft()
        compared += 1
        if isinstance(value, COMPARED):
            yield place, value
        elif id(value) not in visited:
            visited.add(id(value))
            if isinstance(value, Tensor):
                yield place, None if value.is_inference() or memory_of(value) in copied else local(value)._version
            elif isinstance(value, np.ndarray):
                yield place, value.flat[:: max(1, value.size // SAMPLED)].tobytes()
            elif id(value) not in copied or value is root:
                yield place, _own_sign(value)
                pending.extend(islice(_references(place, value), MOST - compared))


def _own_sign(value: Any) -> Any:
    """What shows a change of an object that has no attributes to compare."""
    if isinstance(value, (array, bytearray)):
        return bytes(value)
    if isinstance(value, (list, tuple, deque, Set, Mapping)):
        return len(value)
    if isinstance(value, count):
        return repr(value)
    return length_hint(value, -1) if isinstance(value, Iterator) else value


def _references(place: str, value: Any) -> Iterable[Sign]:
    if isinstance(value, nn.Module):
        own = {k: v for k, v in vars(value).items() if not k.startswith("_")}
        return ((f"{place}.{k}", v) for k, v in {**value._parameters, **value._buffers, **value._modules, **own}.items())
    if isinstance(value, Mapping):
        return ((f"{place}[{_shown(key)}]", entry) for key, entry in value.items())
    if isinstance(value, (list, tuple, deque)):
        return ((f"{place}[{index}]", entry) for index, entry in enumerate(value))
    if isinstance(value, GeneratorType):
        return ((place, entry) for entry in (value.gi_frame.f_locals.values() if value.gi_frame else ()))
    if isinstance(value, type) or type(value).__module__.partition(".")[0] in UNRELATED:
        return ()
    return ((f"{place}.{key}", entry) for key, entry in attributes(value).items())


def _shown(key: Any) -> str:
    return checks.shown(key) if isinstance(key, (str, int)) else f"a {type(key).__name__}"
