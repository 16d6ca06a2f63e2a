"""The global random numbers of this process: those of Python and NumPy, and of torch where it is imported."""

import ctypes
import importlib
import pickle
import random
import sys
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

MT19937_BYTES = 625 * 4
"""Bytes of NumPy's usual generator: 624 words and a position (`numpy/random/src/mt19937/mt19937.h`)."""

ACCELERATORS = ("cuda", "xpu")

States = dict[str, Any]
"""The states of generators by the library, in a form that can be pickled."""


def states() -> States:
    """All states."""
    return {name: state_of(name) for name in signs()}


def state_of(name: str) -> Any:
    """The state of the generator of one library."""
    return state_of_sign(name, random.getstate() if name == "python" else None if name == "numpy" else _of_torch()[name])


def state_of_sign(name: str, sign: Any) -> Any:
    """The state of the generator of one library, whose `signs` were just taken."""
    if name == "python":
        version, words, normal = sign
        return version, array("I", words).tobytes(), normal  # a tuple of numbers takes five times the room
    return np.random.get_state(legacy=False) if name == "numpy" else sign


def signs(*, with_python: bool = True) -> States:
    """What differs after random numbers were taken; quick, because it is compared at every batch.

    NumPy makes normal numbers two at a time and keeps the second one for later. Taking that one does not show here.

    Args:
        with_python: Whether Python's are among them, which take longer than all others.
    """
    python = {"python": random.getstate()} if with_python else {}
    return {**python, "numpy": _numpy_sign(), **_of_torch()}


def put_back(states: Mapping[str, Any]) -> None:
    """Set the generators of these libraries."""
    for name, state in states.items():
        if name == "python":
            version, words, normal = state
            random.setstate((version, tuple(array("I", words)), normal))
        elif name == "numpy":
            np.random.set_state(state)
        elif name == "torch":
            _torch().set_rng_state(_as_tensor(state))
        else:
            getattr(_torch(), name).set_rng_state_all([_as_tensor(entry) for entry in state])


def _numpy_sign() -> bytes:
    # Reading its state through Python takes as long as a small update.
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if isinstance(generator, np.random.MT19937):
        return ctypes.string_at(generator.ctypes.state_address, MT19937_BYTES)
    return pickle.dumps(generator.state)


def _of_torch() -> States:
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    of_torch: States = {"torch": torch.get_rng_state().numpy().tobytes()}
    for name in ACCELERATORS:
        backend = getattr(torch, name, None)
        if backend is not None and backend.is_initialized():
            of_torch[name] = tuple(state.cpu().numpy().tobytes() for state in backend.get_rng_state_all())
    return of_torch


def _as_tensor(state: bytes) -> Any:
    torch = _torch()
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)


def _torch() -> Any:
    """torch, imported if it was there when the states were taken: data may import it later, and take random numbers."""
    return importlib.import_module("torch")
