"""Checkpoints of a training in JAX: the leaves of its pytrees as arrays of NumPy."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from learnrate import random_numbers
from learnrate.batches import Stream
from learnrate.jax.places import Tree
from learnrate.random_numbers import States
from learnrate.replay import Position
from learnrate.trainable import NotResumableError


@dataclass(frozen=True)
class Leaf:
    """An array in main memory.

    Attributes:
        value: Its elements; those of `jax.random.key_data` for a key.
        is_key: Whether it is a key with a type.
        is_weak: Whether its type gives way to that of others, as that of a Python number does.
    """

    value: Any
    is_key: bool
    is_weak: bool


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
        leaves: The arrays of parameters and state, in the order of the tree.
        position: The position in the data.
        counters: Counters of the training.
        random: The random numbers of Python and NumPy, which data may take.
    """

    leaves: Sequence[Leaf | Any]
    position: Position
    counters: Mapping[str, Any]
    random: States


def taken(tree: Tree, stream: Stream, counters: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint of these arrays, and of a position in these data.

    Raises:
        NotResumableError: if the position cannot be known, or an array lies in other processes, too.
    """
    before = random_numbers.states()
    try:
        position = stream.position()
        return Checkpoint([_stored(leaf) for leaf in jax.tree.leaves(tree)], position, dict(counters), before)
    finally:
        random_numbers.put_back(before)  # a state_dict may take some


def put(checkpoint: Checkpoint, tree: Tree, stream: Stream) -> Tree:
    """A tree like this one with the arrays of the checkpoint; the stream goes to its position.

    Raises:
        NotResumableError: if the checkpoint is that of another training, or the data are other ones.
    """
    present, structure = jax.tree.flatten(tree)
    if len(present) != len(checkpoint.leaves):
        raise NotResumableError(
            f"the checkpoint is that of another training: it has {len(checkpoint.leaves)} arrays, here {len(present)}"
        )
    changed = [_loaded(*pair) for pair in zip(present, checkpoint.leaves, strict=True)]
    stream.go_to(checkpoint.position)
    random_numbers.put_back(checkpoint.random)
    return jax.tree.unflatten(structure, changed)


def fingerprint(params: Tree) -> str:
    """A hash of the parameters: 16 hexadecimal digits of SHA-256."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        value = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {value.dtype} {value.shape}".encode())
        digest.update(value.view(np.uint8).data if value.size and value.ndim else value.tobytes())
    return digest.hexdigest()[:16]


def _stored(leaf: Any) -> Leaf | Any:
    if not isinstance(leaf, jax.Array):
        return leaf
    if not leaf.is_fully_addressable:
        raise NotResumableError("it has many processes, each with parts of the arrays")
    is_key = _is_key(leaf)
    value = np.array(jax.random.key_data(leaf) if is_key else leaf)
    return Leaf(value, is_key, bool(getattr(leaf, "weak_type", False)))


def _loaded(present: Any, stored: Leaf | Any) -> Any:
    if not isinstance(stored, Leaf):
        return stored
    if not isinstance(present, jax.Array):
        return jnp.asarray(stored.value)
    if stored.is_key:
        loaded = jax.random.wrap_key_data(stored.value, impl=jax.random.key_impl(present))
    elif stored.is_weak and stored.value.ndim == 0:
        loaded = jnp.asarray(stored.value.item())
    else:
        loaded = jnp.asarray(stored.value)
    if loaded.shape != present.shape:
        raise NotResumableError(
            f"the checkpoint is that of another training: an array of shape {present.shape} here has {loaded.shape} there"
        )
    # An array that is bound to a place stays there; binding another one would compile the update again.
    return jax.device_put(loaded, present.sharding) if present.committed else loaded


def _is_key(leaf: jax.Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))
