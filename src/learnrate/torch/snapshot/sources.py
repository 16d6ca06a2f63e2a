"""Where batches come from, as far as it can be put back: loaders, samplers, generators, and what has a state_dict."""

import copy
import random
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learnrate.errors import ArgumentTypeError, NotRewoundWarning
from learnrate.torch.snapshot.parts import Undo, anything, tensor
from learnrate.torch.snapshot.storage import Vault


def undos(thing: Any, vault: Vault) -> Iterator[Undo]:
    """How to put back a scheduler, a gradient scaler, a loader, a generator, or anything with a state_dict.

    Raises:
        ArgumentTypeError: if nothing about it can be put back.
    """
    if thing is None:
        return
    if isinstance(thing, torch.amp.GradScaler):
        # Its state_dict leaves out that the scale does not exist before the first use.
        yield anything(vars(thing), vault)
    elif isinstance(thing, torch.Generator):
        yield partial(thing.set_state, thing.get_state())
    elif isinstance(thing, Tensor):
        yield tensor(thing, vault)
    elif isinstance(thing, np.random.RandomState):
        yield partial(thing.set_state, thing.get_state())
    elif isinstance(thing, np.random.Generator):
        yield partial(setattr, thing.bit_generator, "state", thing.bit_generator.state)
    elif isinstance(thing, random.Random):
        yield partial(thing.setstate, thing.getstate())
    elif callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None)):
        yield _stateful(thing)
        yield from _of_loader(thing)
    elif isinstance(thing, Iterator):
        warnings.warn(
            f"{type(thing).__name__} is an iterator that cannot be rewound: the batches drawn from it are gone; "
            "give the loader itself, a list, or a function that returns a fresh iterator",
            NotRewoundWarning,
            stacklevel=6,  # the user's own line, in range_test as in preserve
        )
    elif isinstance(thing, Iterable) and not isinstance(thing, (str, bytes)):
        yield from _of_loader(thing)
    elif not callable(thing) and not hasattr(thing, "__getitem__"):
        raise ArgumentTypeError(
            "what is to be preserved must have a state_dict, be a generator, or something to iterate, "
            f"received {thing!r} of type {type(thing).__name__}"
        )


def _stateful(thing: Any) -> Undo:
    held = copy.deepcopy(thing.state_dict())
    return lambda: thing.load_state_dict(copy.deepcopy(held))


def _of_loader(loader: Any) -> Iterator[Undo]:
    """The generators, epochs and states of a `DataLoader` and of its samplers, which decide the order of the data."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    holders = [loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)]
    seen: set[int] = {id(None), id(loader)}
    for holder in holders:
        generator = getattr(holder, "generator", None)
        if isinstance(generator, torch.Generator) and id(generator) not in seen:
            seen.add(id(generator))
            yield partial(generator.set_state, generator.get_state())
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        if isinstance(getattr(holder, "epoch", None), int):
            yield partial(setattr, holder, "epoch", holder.epoch)
        if hasattr(holder, "state_dict") and hasattr(holder, "load_state_dict"):
            yield _stateful(holder)
