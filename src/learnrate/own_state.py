"""The state that objects and functions of the user keep in themselves: counters, running means, generators.

Unlike what a framework knows of (weights, momenta), nobody lists it. It is found by looking at what objects refer to, once
before the first update and again at each checkpoint: what differs was changed by the training.
"""

import copy
import pickle
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from learnrate.trainable import NotResumableError

SCALARS = (type(None), bool, int, float, complex, str, bytes, frozenset, range, np.generic)
LISTS = (list, tuple, deque)
UNRELATED = ("logging", "threading", "concurrent", "multiprocessing", "asyncio", "weakref", "builtins", "_thread", "io")
"""Libraries whose objects change at any time, or have state of their own that no training depends on."""

MOST_ENTRIES = 64
"""Entries of a container that are looked at: a longer one is data."""

MOST_SCALARS = 10_000
"""Entries of a container of plain numbers and strings, such as a history, that is compared as a whole."""

MOST_PLACES = 20_000
"""Values and objects that are looked at."""

LARGEST = 2**20
"""Bytes of the largest tensor or array in a checkpoint that is not a weight: larger ones are data."""

SAMPLED = 4096
"""Elements of an array that are compared, evenly spaced: NumPy does not record that an array was written to."""

Entries = Callable[[Any], Mapping[str, Any] | None]
"""From an object to its attributes that are looked at; None to leave it alone."""


@dataclass(frozen=True)
class Place:
    """Where a value is: in which owner, and under which key."""

    owner: str
    key: Any
    value: Any


@dataclass(frozen=True)
class Change:
    """A value that training has changed, in a form that can be pickled."""

    owner: str
    key: Any
    value: Any


def attributes(value: Any) -> Mapping[str, Any] | None:
    """The attributes of an object; None if it is of a library that keeps nothing for a training."""
    if type(value).__module__.partition(".")[0] in UNRELATED or isinstance(value, (type, ModuleType, BuiltinFunctionType)):
        return None
    return getattr(value, "__dict__", None)


class OwnState:
    """What these objects refer to as it is now, to be compared later.

    Args:
        roots: The objects, by names for errors. They must be built in the same way in another process.
        entries: Which attributes are looked at.
        is_known: Whether the caller keeps this tensor itself.
    """

    def __init__(
        self, roots: Mapping[str, Any], entries: Entries = attributes, is_known: Callable[[Any], bool] = lambda tensor: False
    ) -> None:
        self._roots, self._entries, self._is_known = dict(roots), entries, is_known
        self._before = {path: (place.value, _sign(place.value)) for path, place in self._look()[0].items()}

    def changes(self) -> dict[str, Change]:
        """What has changed since.

        Raises:
            NotResumableError: if it is larger than what a checkpoint takes.
        """
        changed: dict[str, Change] = {}
        for path, place in self._look()[0].items():
            before = self._before.get(path)
            if before is None or not _same(place.value, *before):
                changed[path] = Change(place.owner, place.key, _copied(path, place.value))
        return changed

    def put(self, changes: Mapping[str, Change]) -> None:
        """Make the same changes here.

        Raises:
            NotResumableError: if an object that was changed is not here.
        """
        for path, change in changes.items():  # in the order of the look: owners before what they own
            places, owners = self._look()
            if change.owner not in owners:
                raise NotResumableError(f"{path} was changed by the training, and does not exist in a new one")
            place = places.get(path)
            _put(owners[change.owner], change.key, None if place is None else place.value, change.value)

    def _look(self) -> tuple[dict[str, Place], dict[str, Any]]:
        places: dict[str, Place] = {}
        owners: dict[str, Any] = {}
        visited: set[int] = set()
        pending: deque[tuple[str, str, Any, Any]] = deque((name, "", name, root) for name, root in self._roots.items())
        while pending and len(places) + len(owners) < MOST_PLACES:
            path, owner, key, value = pending.popleft()
            if _is_leaf(value):
                if _is_tensor(value) and self._is_known(value):
                    continue
                if owner or not isinstance(value, SCALARS):
                    places[path] = Place(owner, key, value)
                    owners.setdefault("", self._roots)
            elif id(value) not in visited:
                visited.add(id(value))
                owners[path] = value
                pending.extend((f"{path}{shown}", path, key, entry) for shown, key, entry in self._inside(value))
        return places, owners

    def _inside(self, value: Any) -> Iterator[tuple[str, Any, Any]]:
        """What an object refers to: how it is shown, its key, and the value."""
        if isinstance(value, MethodType):
            yield from ((f".{name}", name, getattr(value, name)) for name in ("__self__", "__func__"))
        elif isinstance(value, partial):
            yield from ((f".{name}", name, getattr(value, name)) for name in ("func", "args", "keywords"))
        elif isinstance(value, FunctionType):
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                yield f"[{name}]", name, cell
            yield from ((f".{name}", name, entry) for name, entry in vars(value).items())
            yield from ((f".{name}", name, getattr(value, name)) for name in ("__defaults__", "__kwdefaults__"))
        elif isinstance(value, CellType):
            try:
                yield "", "cell_contents", value.cell_contents
            except ValueError:  # it is empty
                return
        elif isinstance(value, LISTS):
            yield from ((f"[{index}]", index, entry) for index, entry in enumerate(value) if len(value) <= MOST_ENTRIES)
        elif isinstance(value, Mapping):
            if len(value) <= MOST_ENTRIES:
                yield from ((f"[{key!r}]", key, entry) for key, entry in value.items() if isinstance(key, (str, int)))
        elif (entries := self._entries(value)) is not None:
            yield from ((f".{name}", name, entry) for name, entry in entries.items())


def _is_leaf(value: Any) -> bool:
    if isinstance(value, SCALARS) or _is_array(value) or _is_generator(value):
        return True
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, (*LISTS, set, bytearray)) else None
    # An empty container may get any entries, so that it is not looked into, but compared.
    return entries is not None and len(value) <= MOST_SCALARS and all(isinstance(entry, SCALARS) for entry in entries)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or _is_tensor(value)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_generator(value: Any) -> bool:
    if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
        return not isinstance(value, random.SystemRandom)
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Generator)


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state().numpy().tobytes()


@dataclass(frozen=True)
class _GeneratorState:
    state: Any


@dataclass(frozen=True)
class _Elements:
    """A tensor or an array, and where it was."""

    elements: Any
    device: str | None


def _sign(value: Any) -> Any:
    """What differs after the value was changed in place."""
    if isinstance(value, np.ndarray):
        return value.flat[:: max(1, value.size // SAMPLED)].tobytes() if value.dtype != object else None
    if _is_tensor(value):
        return None if value.is_inference() else value._version
    if _is_generator(value):
        return pickle.dumps(_state(value))
    return copy.copy(value)


def _same(value: Any, before: Any, sign: Any) -> bool:
    if _is_array(value) or _is_generator(value):
        return value is before and _sign(value) == sign
    return type(value) is type(sign) and repr(value) == repr(sign)  # NaN equals itself here, and 1 is not True


def _copied(path: str, value: Any) -> Any:
    if _is_generator(value):
        return _GeneratorState(_state(value))
    if not _is_array(value):
        return copy.copy(value)
    if value.nbytes > LARGEST:
        raise NotResumableError(
            f"{path} holds {value.nbytes / 2**20:.3g} MiB that the training has changed: make it a buffer of a module, or "
            "give it a state_dict and pass it in also_keep"
        )
    if isinstance(value, np.ndarray):
        return _Elements(value.copy(), None)
    return _Elements(value.detach().cpu().clone(), str(value.device))


def _put(owner: Any, key: Any, present: Any, value: Any) -> None:
    if isinstance(value, _GeneratorState):
        if not _is_generator(present):
            raise NotResumableError(f"the generator of random numbers {key} does not exist in a new training")
        _set_state(present, value.state)
    elif isinstance(value, _Elements):
        _put_elements(owner, key, present, value)
    elif isinstance(value, (list, deque, set, dict, bytearray)) and type(present) is type(value):
        contents: Any = present
        contents.clear()  # in place: others may refer to it
        (contents.update if isinstance(value, (set, dict)) else contents.extend)(value)
    else:
        _set(owner, key, value)


def _put_elements(owner: Any, key: Any, present: Any, value: _Elements) -> None:
    elements = value.elements
    if isinstance(elements, np.ndarray):
        if isinstance(present, np.ndarray) and (present.shape, present.dtype) == (elements.shape, elements.dtype):
            present[...] = elements
        else:
            _set(owner, key, elements.copy())
    elif _is_tensor(present) and (present.shape, present.dtype) == (elements.shape, elements.dtype):
        present.detach().copy_(elements)
    else:
        _set(owner, key, elements.clone().to(value.device))


def _set(owner: Any, key: Any, value: Any) -> None:
    if isinstance(owner, CellType):
        owner.cell_contents = value
    elif isinstance(owner, (list, deque, dict)):
        owner[key] = value
    elif isinstance(owner, tuple):
        raise NotResumableError(f"an entry of a tuple was changed by the training: {value!r:.80}")
    else:
        setattr(owner, key, value)


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        torch = sys.modules["torch"]
        generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
