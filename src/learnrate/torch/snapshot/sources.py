"""What training changes beside model and optimizer: loaders, generators, functions, and objects with a state_dict."""

import copy
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from learnrate import checks
from learnrate.errors import NotRestoredWarning, NotRewoundWarning
from learnrate.torch.snapshot import functions, references
from learnrate.torch.snapshot.parts import Undo, anything, generator, is_stateful, tensor
from learnrate.torch.snapshot.storage import TensorStorage
from learnrate.user_code import warn


def undos(item: Any, storage: TensorStorage, copied: Collection[int] = ()) -> Iterator[Undo]:
    """How to put back a scheduler, a gradient scaler, a loader, a generator, a function, or an object with a state_dict.

    Args:
        item: What is put back. None is allowed, and has no state.
        storage: Where copies of tensors live.
        copied: `watched.memory_of` the tensors and `id` of the objects that the caller puts back itself.

    Raises:
        ArgumentTypeError: if it has no state that could be put back.

    Warns:
        NotRewoundWarning: if it is an iterator.
    """
    if item is None:
        return
    if isinstance(item, torch.amp.GradScaler):
        # Its state_dict does not show that the scale does not exist before the first use.
        yield anything(vars(item), storage)
    elif (put_back := generator(item)) is not None:
        yield put_back
    elif isinstance(item, Tensor):
        yield tensor(item, storage)
    elif is_stateful(item):
        if (put_back := _stateful_if_any(item)) is not None:
            yield put_back
        yield from _loader(item)
    elif isinstance(item, Iterator):
        warn(
            f"{type(item).__name__} is an iterator that cannot be rewound: the batches that were drawn from it are lost; "
            "give the loader itself, a list, or a function that returns a new iterator",
            NotRewoundWarning,
        )
    elif isinstance(item, Iterable) and not isinstance(item, (str, bytes)):
        # Which entries it has. The entries themselves may be all the data.
        if isinstance(item, dict):
            yield references.mapping(item)
        elif isinstance(item, (list, set, deque, bytearray)):
            yield references.collection(item)
        yield from _loader(item)
    elif callable(item):
        yield from functions.undos(item, storage, copied)
    elif not hasattr(item, "__getitem__"):
        rule = "an object with a state_dict, a generator, a function, or something to iterate"
        checks.refuse_type("what is preserved", rule, item)


def _stateful_if_any(item: Any) -> Undo | None:
    """How to put back the state of what may be data; None if its `state_dict` cannot be had, or is None.

    A loader may pass on the `state_dict` of one that it wraps, which has none: that of accelerate does unless it was made
    with `use_stateful_dataloader`. One that fails otherwise is named. Other objects have no such excuse: their errors are
    raised.
    """
    try:
        state = copy.deepcopy(item.state_dict())
    except Exception as error:
        if not isinstance(item, Iterable):
            raise
        if not isinstance(error, (AttributeError, NotImplementedError)):
            reason = checks.shown(f"{type(error).__name__}: {error}")
            warn(
                f"the state_dict of {type(item).__name__} cannot be copied ({reason}): it is not restored",
                NotRestoredWarning,
            )
        return None
    if state is None:
        warn(f"the state_dict of {type(item).__name__} is None: it is not restored", NotRestoredWarning)
        return None
    return lambda: item.load_state_dict(copy.deepcopy(state))


def _loader(loader: Any) -> Iterator[Undo]:
    """What decides the order of the data: generators, epochs and states of a `DataLoader` and of its samplers."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    samplers = [getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)]
    visited: set[int] = {id(None), id(loader)}
    for owner in [loader, *samplers]:
        random_source = getattr(owner, "generator", None)
        if isinstance(random_source, torch.Generator) and id(random_source) not in visited:
            visited.add(id(random_source))
            yield partial(random_source.set_state, random_source.get_state())
        if id(owner) in visited:
            continue
        visited.add(id(owner))
        if isinstance(getattr(owner, "epoch", None), int):
            yield partial(setattr, owner, "epoch", owner.epoch)
        if is_stateful(owner) and (put_back := _stateful_if_any(owner)) is not None:
            yield put_back
