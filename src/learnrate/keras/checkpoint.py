"""Checkpoints of a training with Keras: the values of its variables, in their order, as arrays of NumPy.

In their order, because the names of layers count on in a process that builds several models.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import global_seed_generator

from learnrate import random_numbers
from learnrate.batches import Stream
from learnrate.keras.snapshot import GLOBAL_SEEDS, all_variables
from learnrate.random_numbers import States
from learnrate.replay import Position
from learnrate.trainable import NotResumableError


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
        variables: The values of weights, optimizer, metrics and seed generators.
        seed: The state of the seed generator that all layers share; None if there is none.
        global_seed: The seed from which it was made.
        position: The position in the data.
        counters: Counters of the training.
        random: The global random numbers.
    """

    variables: Sequence[Any]
    seed: Any
    global_seed: Any
    position: Position
    counters: Mapping[str, Any]
    random: States


def taken(model: Any, stream: Stream, counters: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint of a model, and of a position in these data.

    Raises:
        NotResumableError: if the position cannot be known.
    """
    before = random_numbers.states()
    try:
        position = stream.position()
        variables = [_stored(variable) for variable in all_variables(model)]
        generator = global_state.get_global_attribute(GLOBAL_SEEDS[0])
        seed = None if generator is None else _stored(generator.state)
        global_seed = global_state.get_global_attribute(GLOBAL_SEEDS[1])
        return Checkpoint(variables, seed, global_seed, position, dict(counters), before)
    finally:
        random_numbers.put_back(before)  # a state_dict may take some


def put(checkpoint: Checkpoint, model: Any, stream: Stream) -> None:
    """Bring a model and a stream to where the checkpoint was taken.

    Raises:
        NotResumableError: if the checkpoint is that of another training, or the data are other ones.
    """
    variables = all_variables(model)
    here = [(tuple(variable.shape), str(variable.dtype)) for variable in variables]
    if here != [(shape, dtype) for _, shape, dtype in checkpoint.variables]:
        raise NotResumableError(
            f"the checkpoint is that of another training: it has {len(checkpoint.variables)} variables and here are "
            f"{len(here)}, or their shapes differ"
        )
    for variable, stored in zip(variables, checkpoint.variables, strict=True):
        _load(variable, stored)
    stream.go_to(checkpoint.position)
    global_state.set_global_attribute(GLOBAL_SEEDS[1], checkpoint.global_seed)
    if checkpoint.seed is not None:
        _load(global_seed_generator().state, checkpoint.seed)
    random_numbers.put_back(checkpoint.random)


def fingerprint(model: Any) -> str:
    """A hash of the weights of a model: 16 hexadecimal digits of SHA-256."""
    digest = hashlib.sha256()
    for variable in model.weights:
        value, shape, dtype = _stored(variable)
        digest.update(f"{shape} {dtype}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()[:16]


def _stored(variable: keras.Variable) -> tuple[Any, tuple[int, ...], str]:
    """A copy of the value of a variable, its shape and its type."""
    value = variable.value
    if keras.backend.backend() == "torch":
        import torch

        # NumPy has no bfloat16: the bytes are kept.
        value = value.detach().cpu().reshape(-1).view(torch.uint8).numpy()
    return np.array(value), tuple(variable.shape), str(variable.dtype)


def _load(variable: keras.Variable, stored: tuple[Any, tuple[int, ...], str]) -> None:
    value, shape, _ = stored
    if keras.backend.backend() == "torch":
        import torch

        value = torch.from_numpy(value.copy()).view(variable.value.dtype).reshape(shape)
    variable.assign(value)
