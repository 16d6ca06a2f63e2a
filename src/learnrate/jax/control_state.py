"""Reading and changing the state of an optimizer under control: `control_of`, `scale`, `put_back`."""

import functools
import operator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from learnrate import checks
from learnrate.control.requests import Scale
from learnrate.errors import ArgumentError
from learnrate.jax.carried import ControlledState, Tree
from learnrate.jax.places import array, like, mapped, of_kind, plain, state_of, with_state

State = TypeVar("State")


def control_of(opt_state: Tree) -> ControlledState:
    """What the state of `learnrate.jax.controlled` says: `.lr`, `.factor`, `.factors`, `.skipped`, `.stopped` and more.

    Args:
        opt_state: The state, a tree that contains it (flax's `TrainState`), or an `nnx.Optimizer`.

    Returns:
        The part that belongs to the control; see `learnrate.jax.carried.ControlledState`. Inside of `jax.jit` it is traced.

    Raises:
        ArgumentError: if the optimizer is not, or not once, under control.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> state = lr.jax.controlled(optax.adam, lr.constant(0.1)).init(jnp.ones(3))
        >>> bool(lr.jax.control_of(state).stopped)
        False
    """
    part = _part(opt_state)
    small = {name: plain(value) for name, value in part._asdict().items() if name not in ("inner", "snapshot")}
    return part._replace(**small)


def _part(opt_state: Tree) -> ControlledState:
    parts: list[ControlledState] = of_kind(state_of(opt_state), ControlledState)
    if len(parts) != 1:
        raise ArgumentError(
            f"opt_state must hold one state of learnrate.jax.controlled, received {checks.shown(type(opt_state).__name__)} "
            f"with {len(parts)}"
        )
    return parts[0]


def scale(opt_state: State, factor: float) -> State:
    """The state with the LR multiplied by a factor, by hand, from the next update on. Nothing is compiled again.

    It is multiplied with what was set by hand before: `scale(state, 0.5)` and `scale(state, 2.0)` cancel each other. In a
    run that `learnrate.jax.Monitor` records, use its `request(Scale(0.5))` instead.

    Args:
        opt_state: The state; or an `nnx.Optimizer`, which is changed in place.
        factor: Above 0, and between a millionth and a million.

    Returns:
        The state; the same optimizer for an `nnx.Optimizer`.

    Raises:
        ArgumentError: if the factor is out of range, or the optimizer is not under control.
        ArgumentTypeError: if it is no number.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> optimizer, params = lr.jax.controlled(optax.sgd, lr.constant(0.5)), jnp.ones(1)
        >>> state = lr.jax.scale(optimizer.init(params), 0.5)
        >>> optimizer.update(params, state)[0].tolist()
        [-0.25]
    """
    factor = Scale(factor).factor
    _part(opt_state)
    scaled: State = changed(opt_state, lambda part: with_hand(part, array(part.hand) * factor))
    return scaled


def with_hand(part: ControlledState, hand: Any) -> ControlledState:
    """A state with this factor by hand."""
    number = jnp.asarray(hand, array(part.hand).dtype)
    factor = product([number, *map(array, part.factors.values())])
    return part._replace(hand=like(part.hand, number), factor=like(part.factor, factor))


def product(factors: list[Any]) -> Any:
    """Factors multiplied in their order, which decides how they are rounded."""
    return functools.reduce(operator.mul, factors)


def changed(opt_state: Any, change: Any) -> Any:
    """A state with its `ControlledState` changed, in the form in which it was given."""

    def visit(part: Any) -> Any:
        if isinstance(part, ControlledState):
            return change(part)
        return part._replace(**{name: mapped(value, visit) for name, value in part._asdict().items()})

    return with_state(opt_state, mapped(state_of(opt_state), visit))


def put_back(params: Tree, opt_state: Tree) -> Tree:
    """The weights of the snapshot if the last call rolled back, and otherwise the weights as they are.

    Call it after `optax.apply_updates`, or after an evaluation whose controllers may ask for a rollback. The steps of a
    rollback already lead to the snapshot, but up to rounding, and not from weights that are not finite.

    Args:
        params: The weights.
        opt_state: The state of the optimizer after the update.

    Returns:
        The weights.

    Raises:
        ArgumentError: if the optimizer is not under control.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> optimizer, params = lr.jax.controlled(optax.sgd, lr.constant(0.5)), jnp.ones(1)
        >>> lr.jax.put_back(params, optimizer.init(params)).tolist()
        [1.0]
    """
    part = _part(opt_state)
    if part.snapshot is None:
        return params
    back = array(part.rolled_back)
    leaves, form = jax.tree.flatten(params)
    kept = jax.tree.leaves(part.snapshot.params)
    return jax.tree.unflatten(form, [jnp.where(back, old, now) for old, now in zip(kept, leaves, strict=True)])
