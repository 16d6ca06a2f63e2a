"""The attributes of a trainer: what its own class has in them, and methods that are replaced for a time."""

import copy
import random
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Trainer

LARGEST = 1000
"""Entries of the largest container of a trainer that is given back: larger ones are data, which nothing changes."""

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
CONTAINERS = (list, tuple, dict, set, deque)


class Attributes:
    """The attributes of a trainer that its loss may change, for a snapshot, which asks for the state of this object.

    Attributes:
        content: The objects among them that can be changed in place: for a snapshot, which copies small ones, and names
            others that were changed.
    """

    def __init__(self, trainer: Trainer) -> None:
        # Weak: a snapshot visits what its objects refer to, and a trainer refers to everything.
        self._trainer = weakref.ref(trainer)
        entries = vars(trainer)
        self._names = frozenset(entries)
        self._plain = {name: copy.deepcopy(value) for name, value in entries.items() if _is_plain(value)}
        self.content = {name: value for name, value in entries.items() if _is_content(trainer, value)}

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the copies are here already."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put back the plain attributes, and which objects the others are; take away those that were added."""
        trainer = self._trainer()
        if trainer is None:
            return
        for name in vars(trainer).keys() - self._names:
            delattr(trainer, name)
        vars(trainer).update(self.content)
        _put_back(vars(trainer), self._plain)


@contextmanager
def methods_replaced(trainer: Trainer, **methods: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, a trainer has these methods; then its own again."""
    entries = vars(trainer)
    own = {name: entries[name] for name in methods if name in entries}
    entries.update(methods)
    try:
        yield
    finally:
        for name in methods:
            entries.pop(name, None)
        entries.update(own)


def _is_plain(value: Any) -> bool:
    """Whether it holds nothing but numbers, texts, single numbers as tensors, and containers of them: counts and metrics."""
    if isinstance(value, (dict, list, tuple, set)):
        entries = list(value.values()) if isinstance(value, dict) else value
        return len(entries) <= LARGEST and all(_is_plain(entry) for entry in entries)
    return value is None or isinstance(value, (bool, int, float, str)) or (isinstance(value, Tensor) and value.numel() == 1)


def _is_content(trainer: Any, value: Any) -> bool:
    if isinstance(value, nn.Module):
        return not any(value is model for model in (trainer.model, trainer.model_wrapped))
    if isinstance(value, CONTAINERS):
        return len(value) <= LARGEST and value is not trainer.train_dataset and value is not trainer.eval_dataset
    return isinstance(value, (Tensor, np.ndarray, *GENERATORS))


def _put_back(attributes: dict[str, Any], before: Mapping[str, Any]) -> None:
    for name, value in before.items():
        present: Any = attributes.get(name)
        if type(present) is type(value) and present == value:
            continue
        if type(present) is type(value) and isinstance(value, (dict, set)):
            present.clear()
            present.update(copy.deepcopy(value))
        elif type(present) is type(value) and isinstance(value, list):
            present[:] = copy.deepcopy(value)
        else:
            attributes[name] = copy.deepcopy(value)
