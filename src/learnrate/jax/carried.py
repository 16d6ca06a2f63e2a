"""What the state of an optimizer under control carries: states of controllers, factors, flags, and rows of what happened."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from learnrate import checks
from learnrate.control.controller import Action
from learnrate.errors import ArgumentTypeError

Tree = Any
"""A pytree of arrays."""


class Cooling(NamedTuple):
    """A cooldown: a linear fall of the schedule, before factors.

    Attributes:
        begin: Its first update; -1 if there is none.
        start: The LR at its first update.
        end: The LR after its last one.
        length: Its length in updates.
    """

    begin: Any
    start: Any
    end: Any
    length: Any


class Older(NamedTuple):
    """The snapshot before the last one."""

    params: Tree
    inner: Tree


class Snapshot(NamedTuple):
    """The weights and the state of the optimizer that a rollback puts back.

    Attributes:
        params: The weights.
        inner: The state of the optimizer.
        update: The number of the update before which it was taken.
        used: Whether it was put back already.
        older: The one before it, which may be from before an explosion of which the last one is a part.
    """

    params: Tree
    inner: Tree
    update: Any
    used: Any
    older: Older


class Row(NamedTuple):
    """What happened in one call, for the record.

    Attributes:
        is_evaluation: Whether it was an evaluation, and not an update.
        update: Number of the update; of the last one for an evaluation.
        lr: The LR that the update used, or would have used if it was left out.
        loss: Its loss.
        gradient_norm: The norm of its gradient.
        has_loss: Whether the loss was given. Otherwise it is NaN.
        has_norm: Whether the norm was measured. Otherwise it is NaN.
        finite: Whether loss and gradients are finite.
        restarts: Whether a cycle begins with the update.
        hand: The factor set by hand.
        metrics: The scores of an evaluation by name; NaN for an update.
        actions: What the controllers wanted, by their names.
        controllers: Their states afterwards.
    """

    is_evaluation: Any
    update: Any
    lr: Any
    loss: Any
    gradient_norm: Any
    has_loss: Any
    has_norm: Any
    finite: Any
    restarts: Any
    hand: Any
    metrics: Mapping[str, Any]
    actions: Mapping[str, Action]
    controllers: Mapping[str, Any]


class ControlledState(NamedTuple):
    """The state of `learnrate.jax.controlled`. All but the last three are scalars.

    Attributes:
        count: Number of updates so far. Those that were left out do not count.
        calls: Number of rows so far: updates, those that were left out, and evaluations.
        lr: The LR of the last update; before the first one, that of the first one.
        factor: What the schedule is multiplied with from the next update on: the product of all factors.
        hand: The factor set by hand; see `learnrate.jax.scale`.
        factors: The factors of the controllers by their names.
        controllers: The states of the controllers by their names.
        cooling: The cooldown.
        skipped: Whether the last call was left out.
        rolled_back: Whether the last call put the snapshot back.
        stopped: Whether a controller has ended the run. Every later update is left out.
        inner: The state of the optimizer.
        snapshot: What a rollback puts back; None if no controller may ask for one.
        history: The last rows, packed; None if none are kept.
    """

    count: Any
    calls: Any
    lr: Any
    factor: Any
    hand: Any
    factors: Mapping[str, Any]
    controllers: Mapping[str, Any]
    cooling: Cooling
    skipped: Any
    rolled_back: Any
    stopped: Any
    inner: Tree
    snapshot: Snapshot | None
    history: Any


def as_arrays(values: Tree) -> Tree:
    """Python numbers as scalar arrays, floats in the default dtype."""
    return jax.tree.map(lambda value: jnp.asarray(value, _dtype(value)), values)


def _dtype(value: object) -> Any:
    if isinstance(value, bool):
        return jnp.bool_
    return jnp.int32 if isinstance(value, int) else jnp.asarray(0.0).dtype


def like_before(name: str, before: Tree, after: Tree) -> Tree:
    """A new state of a controller in the dtypes of the old one, which a loop inside of `jax.jit` requires.

    Raises:
        ArgumentTypeError: if it has another form, or a number with a fraction where there was an integer.
    """
    if type(before) is not type(after) or len(jax.tree.leaves(before)) != len(jax.tree.leaves(after)):
        raise ArgumentTypeError(
            f"update of the controller {name} must return a state of the form that init returns, "
            f"{type(before).__name__} of {len(jax.tree.leaves(before))} numbers, received {checks.shown(after)}"
        )

    def cast(path: Any, old: Any, new: Any) -> jax.Array:
        new = jnp.asarray(new)
        if jnp.issubdtype(new.dtype, jnp.floating) and not jnp.issubdtype(old.dtype, jnp.floating):
            raise ArgumentTypeError(
                f"the state{jax.tree_util.keystr(path)} of the controller {name} must begin as a float, because it becomes "
                "one: write 0.0 for 0 in init"
            )
        if new.shape != old.shape:
            checks.refuse_type(f"the state{jax.tree_util.keystr(path)} of the controller {name}", "a number", new)
        kept: jax.Array = new.astype(old.dtype)
        return kept

    return jax.tree_util.tree_map_with_path(cast, before, after)


def packed(row: Tree) -> jax.Array:
    """A tree of scalars as one array of 32-bit words: one write an update instead of one for each scalar."""
    return jnp.concatenate([_words(leaf) for leaf in jax.tree.leaves(row)])


def _words(leaf: jax.Array) -> jax.Array:
    if leaf.dtype == jnp.bool_:
        leaf = leaf.astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(leaf, jnp.uint32).reshape(-1)


def unpacked(words: np.ndarray, like: Tree) -> Tree:
    """What `packed` was called with, as Python numbers.

    Args:
        words: One row.
        like: A tree of the same form, with the same dtypes.
    """
    leaves, form = jax.tree.flatten(like)
    values, first = [], 0
    for leaf in leaves:
        size = max(np.dtype(leaf.dtype).itemsize // 4, 1)
        kind = np.uint32 if leaf.dtype == np.bool_ else leaf.dtype
        value = words[first : first + size].view(kind)[0].item()
        values.append(bool(value) if leaf.dtype == np.bool_ else value)
        first += size
    return jax.tree.unflatten(form, values)
