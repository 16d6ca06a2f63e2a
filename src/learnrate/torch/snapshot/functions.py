"""The state that functions keep in themselves, such as a running mean, a counter in a closure, a captured generator.

Every object that a function refers to is visited once, and put back in place; numbers and strings are put back by assigning
the same object again. An object that did not change is not written to.
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset, Sampler

from learnrate import checks
from learnrate.torch.snapshot import parts, references
from learnrate.torch.snapshot.parts import Undo
from learnrate.torch.snapshot.storage import TensorStorage, size_of
from learnrate.torch.snapshot.watched import Watch, memory_of

LARGEST = 2**20
"""Bytes of the largest tensor or array that is copied. State that a function keeps in itself is small (a mean, a count);
larger ones are usually data that it only reads."""

TOTAL = 64 * 2**20
"""Bytes of all tensors and arrays that are copied for one function, because it may read a long list of small batches."""

MOST = 1000
"""Tensors and arrays that are copied for one function, because it may read a data set that is a list of samples."""

IMMUTABLE = (NoneType, bool, int, float, complex, str, bytes, range, type, ModuleType, np.generic, torch.dtype, torch.device)
LEFT_ALONE = (nn.Module, Optimizer, LRScheduler, torch.amp.GradScaler, Dataset, DataLoader, Sampler, Iterator)
"""Objects that are handed to a snapshot by themselves if they are to be given back, and data."""

UNWATCHED = (Optimizer, LRScheduler, torch.amp.GradScaler, Dataset, DataLoader, Sampler)
"""Those of which not even a change is named: they change with every update, or hold more data than can be compared."""

CONTENT = (*IMMUTABLE, Tensor, np.ndarray, list, dict, tuple, set, deque, bytearray)
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
FRAMEWORKS = ("builtins", "torch", "numpy")
PLAIN_MODULES = ("torch.nn.modules.", "torch.nn.utils.")

MODULE_ENTRIES = frozenset(vars(nn.Module()))
"""Attributes of every module: parameters, buffers, submodules, hooks, the mode. The first three and the mode have parts of
their own in a snapshot; hooks stay."""

TOO_LARGE = (
    f"in functions, tensors and arrays are copied up to {LARGEST / 2**20:g} MiB each, and {MOST} of them up to "
    f"{TOTAL / 2**20:g} MiB together. Make it a buffer of a module, or pass it in also_keep"
)
REWIND = "an iterator cannot be rewound; make a new one instead"
REMEDY = "give its class a state_dict and a load_state_dict, or nothing but plain data, or pass it in also_keep"

Reference = tuple[str, Any]
"""Where an object was found, for the warning that names it, and the object."""


def undos(function: Callable[..., Any], storage: TensorStorage, copied: Collection[int] = ()) -> Iterator[Undo]:
    """How to put back the state that a function keeps in itself.

    Visited are the attributes, nonlocal variables and default arguments of a function; the function and the arguments of a
    `functools.partial`; the object of a bound method; the attributes and slots of a callable object; and in turn what these
    refer to: containers, tensors, arrays, generators of random numbers, functions, and objects whose attributes are numbers,
    strings, tensors, arrays and containers only. Not put back: global variables, optimizers, schedulers, gradient scalers,
    data sets, loaders; and modules, iterators and all other objects, which a warning names if they were changed.

    Args:
        function: The function or callable object.
        storage: Where copies of tensors live.
        copied: `memory_of` the tensors and `id` of the objects that the caller puts back itself.

    Warns:
        NotRestoredWarning: when state is put back, if something was changed that was not copied: a large tensor or array, or
            an object that is not visited.
    """
    name = getattr(function, "__qualname__", type(function).__name__)
    return _undos_of([(name, function)], storage, copied)


def module_undos(module: nn.Module, storage: TensorStorage, copied: Collection[int] = ()) -> Iterator[Undo]:
    """How to put back the attributes that a module has beside parameters, buffers and submodules.

    Visited are numbers, tensors, containers, generators of random numbers, and objects that have nothing but data; in
    modules of torch, numbers and tensors: the weight under the former `nn.utils.weight_norm` is an attribute. Modules of
    torch that are distributed or compiled are skipped, because they keep state that must stay.
    """
    kind = type(module)
    if not is_framework(kind):
        yield entries_undo(vars(module), lambda: _own_entries(module))
        # Extra state says by itself what else there is.
        is_watched = kind.get_extra_state is nn.Module.get_extra_state
        yield from undos_of_entries(kind.__name__, _own_entries(module), storage, copied, is_watched=is_watched)
    elif kind.__module__.startswith(PLAIN_MODULES):
        yield _plain_entries(module)
        # A tensor that was computed from others is replaced, not written to.
        leaves = {k: v for k, v in vars(module).items() if isinstance(v, Tensor) and v.grad_fn is None and not v._is_view()}
        yield from undos_of_entries(kind.__name__, leaves, storage, copied)


def undos_of_entries(
    owner: str, entries: dict[str, Any], storage: TensorStorage, copied: Collection[int], *, is_watched: bool = True
) -> Iterator[Undo]:
    """How to put back the content of the attributes of an object, but not which attributes it has.

    Args:
        owner: What has the attributes.
        entries: The attributes by name.
        storage: Where copies of tensors live.
        copied: What the caller puts back itself; see `undos`.
        is_watched: Whether a warning names the others that have changed when state is put back.
    """
    visited = {
        f"{owner}.{key}": value
        for key, value in entries.items()
        if isinstance(value, (*CONTENT, *GENERATORS)) or (_is_users(value) and _is_record(value))
    }
    yield from _undos_of([entry for entry in visited.items() if not isinstance(entry[1], IMMUTABLE)], storage, copied)
    for key, value in entries.items():
        others = is_watched and f"{owner}.{key}" not in visited and id(value) not in copied
        if others and (_is_users(value) or isinstance(value, Iterator)) and not parts.is_stateful(value):
            yield _watch(f"{owner}.{key}", value, copied)


def _undos_of(pending: list[Reference], storage: TensorStorage, copied: Collection[int]) -> Iterator[Undo]:
    visited: set[int] = set()
    room, count = TOTAL, 0
    while pending:
        name, value = pending.pop()
        if id(value) in visited or isinstance(value, UNWATCHED):
            continue
        if isinstance(value, Tensor) and memory_of(value) in copied:
            continue
        visited.add(id(value))
        if isinstance(value, LEFT_ALONE):
            if id(value) not in copied:
                yield _watch(name, value, copied)
        elif isinstance(value, (Tensor, np.ndarray)):
            if count < MOST and _size(value) <= min(LARGEST, room):
                room, count = room - _size(value), count + 1
                yield from _copied(value, storage)
            else:
                yield Watch(name, value, TOO_LARGE)
        elif (put_back := parts.generator(value)) is not None:
            yield put_back
        else:
            undo, contents = _opened(name, value, copied)
            pending += [reference for reference in contents if not isinstance(reference[1], IMMUTABLE)]
            if undo is not None:
                yield undo


def _opened(name: str, value: Any, copied: Collection[int]) -> tuple[Undo | None, Iterable[Reference]]:
    """How to put back what an object refers to, and these references."""
    if isinstance(value, MethodType):
        instance = value.__self__
        opened = _object(name, instance) if _is_users(instance) else (None, [(name, instance)])
        return opened[0], [*opened[1], (name, value.__func__)]
    if isinstance(value, FunctionType):
        return None, _of_function(name, value)
    if isinstance(value, partial):
        return None, [(name, part) for part in (value.func, value.args, value.keywords, vars(value))]
    if isinstance(value, CellType):
        undo, contents = references.variable(value)
        return undo, [(name, content) for content in contents]
    if isinstance(value, dict):
        return references.mapping(value), _entries(lambda key: f"{name}[{checks.shown(key)}]", value)
    if isinstance(value, (list, deque, set, bytearray)):
        return references.collection(value), ((name, entry) for entry in value)
    if isinstance(value, tuple):
        return None, ((name, entry) for entry in value)
    if _is_users(value) and (callable(value) or _is_record(value)):
        return _object(name, value)
    return _watch(name, value, copied), ()


def _watch(name: str, value: Any, copied: Collection[int]) -> Watch:
    return Watch(name, value, REWIND if isinstance(value, Iterator) else REMEDY, copied)


def _own_entries(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if key not in MODULE_ENTRIES}


def entries_undo(entries: dict[str, Any], own: Callable[[], dict[str, Any]]) -> Undo:
    """How to put back which attributes an object has.

    Args:
        entries: All of its attributes.
        own: Returns those that are put back.
    """
    before = own()

    def undo() -> None:
        for key in own().keys() - before.keys():
            del entries[key]
        for key, value in before.items():
            if entries.get(key) is not value:
                entries[key] = value

    return undo


def _plain_entries(module: nn.Module) -> Undo:
    """The numbers and tensors among the attributes of a module of torch."""
    before = {k: v for k, v in _own_entries(module).items() if isinstance(v, (*IMMUTABLE, tuple, Tensor))}

    def undo() -> None:
        for key, value in before.items():
            if vars(module).get(key) is not value:
                setattr(module, key, value)  # recurrent modules keep a list of their weights up to date

    return undo


def is_framework(kind: type) -> bool:
    """Whether a class belongs to torch or NumPy."""
    return kind.__module__.partition(".")[0] in FRAMEWORKS


def _of_function(name: str, function: FunctionType) -> list[Reference]:
    contents: list[Reference] = [(name, vars(function))]
    # Not the variables of a framework's wrapper (torch.no_grad, torch.compile), whose caches must stay: the user's function
    # is among its attributes, as `__wrapped__`.
    if function.__globals__.get("__name__", "").partition(".")[0] not in FRAMEWORKS:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        contents += [(f"{variable} in {name}", cell) for variable, cell in cells]
        contents += [(f"a default argument of {name}", part) for part in (function.__defaults__, function.__kwdefaults__)]
    return contents


def _object(name: str, value: Any) -> tuple[Undo, Iterable[Reference]]:
    """The attributes and slots of an object."""
    return references.instance(value), _entries(lambda attribute: f"{name}.{attribute}", references.attributes(value))


def _entries(label: Callable[[Any], str], entries: dict[Any, Any]) -> Iterator[Reference]:
    return ((label(key), entry) for key, entry in entries.items() if not isinstance(entry, IMMUTABLE))


def _is_users(value: Any) -> bool:
    """Whether the object is of a class of the user's own, or of a library that is not known here."""
    return not is_framework(type(value)) and not isinstance(value, (*LEFT_ALONE, *CONTENT))


def _is_record(value: Any) -> bool:
    """Whether it has nothing but data in its attributes, such as a mean and its count."""
    is_open = hasattr(value, "__dict__") or references.attributes(value)
    return bool(is_open) and all(isinstance(entry, CONTENT) for entry in references.attributes(value).values())


def _size(value: Tensor | np.ndarray) -> int:
    return size_of([value]) if isinstance(value, Tensor) else value.nbytes


def _copied(value: Tensor | np.ndarray, storage: TensorStorage) -> Iterator[Undo]:
    if isinstance(value, Tensor):
        yield parts.tensor(value, storage, only_if_changed=True)
        if value.is_leaf and value.requires_grad:
            yield parts.gradient(value, storage)
        return
    before = value.copy()

    def undo() -> None:
        if value.tobytes() != before.tobytes():
            value[...] = before

    yield undo
