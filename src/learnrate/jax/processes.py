"""One decision for all processes of `jax.distributed`: what process 0 has, and means over all."""

import pickle
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def sharing() -> Callable[[Any], Any] | None:
    """A function that returns what process 0 has, in every process; None if there is only one.

    It has to be called in all of them at the same place of the program.
    """
    return _shared if jax.process_count() > 1 else None


def _shared(value: Any) -> Any:
    from jax.experimental import multihost_utils

    data = np.frombuffer(pickle.dumps(value), np.uint8).astype(np.int32) if value is not None else np.zeros(0, np.int32)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(data.size)))
    if size == 0:
        return None
    # Every length would be a program of its own.
    room = np.zeros(1 << (size - 1).bit_length(), np.int32)
    if jax.process_index() == 0:
        room[:size] = data
    everywhere = np.asarray(multihost_utils.broadcast_one_to_all(room))
    return pickle.loads(everywhere[:size].astype(np.uint8).tobytes())


def means(values: list[Any]) -> list[float]:
    """Numbers as Python floats, those that differ between processes as their means.

    An array that all processes share has one value already. Anything else is the number of one process: a Python number, or
    the result of a computation on its own devices.
    """
    if jax.process_count() == 1:
        return [float(value) for value in values]
    local = [not _is_shared(value) for value in values]
    numbers = np.asarray([float(value) for value in values])
    if any(local):
        from jax.experimental import multihost_utils

        # In 64 bits, which arrays of JAX do not have unless jax_enable_x64 is set.
        words = multihost_utils.process_allgather(numbers.view(np.uint32))
        everywhere = np.ascontiguousarray(words).view(np.float64).reshape(jax.process_count(), -1)
        numbers = np.where(local, everywhere.mean(0), numbers)
    return numbers.tolist()  # type: ignore[no-any-return]


def _is_shared(value: Any) -> bool:
    return isinstance(value, jax.Array) and not value.is_fully_addressable
