"""Optimizers of optax whose LR is given at every update."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import optax

from learnrate import checks
from learnrate.errors import ArgumentTypeError

Tree: TypeAlias = Any
"""A pytree of arrays."""

Optimizer: TypeAlias = Callable[[Any], optax.GradientTransformation] | optax.GradientTransformation
"""A function from an LR to a transformation, such as `optax.adam`; or one made with `optax.inject_hyperparams`."""

INJECTED = (optax.InjectStatefulHyperparamsState, optax.InjectHyperparamsState)
"""States that hold hyper-parameters as arrays."""


class Adjustable:
    """An optimizer that makes each step at an LR of its own.

    Raises:
        ArgumentTypeError: if the argument is neither form of `Optimizer`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        transformation = None
        if isinstance(optimizer, optax.GradientTransformation):
            transformation = optimizer
        elif not callable(optimizer) or isinstance(optimizer, type):
            checks.refuse_type("optimizer", "a function from an LR to an optax.GradientTransformation", optimizer)
        elif not isinstance(optimizer(1.0), optax.GradientTransformation):
            checks.refuse_type("the result of the function optimizer", "an optax.GradientTransformation", optimizer(1.0))
        self._optimizer, self._transformation = optimizer, transformation

    def init(self, params: Tree) -> Tree:
        """The state before the first update.

        Raises:
            ArgumentTypeError: if there is no LR in it that can be written.
        """
        if self._transformation is None:
            return self._optimizer(1.0).init(params)
        state = self._transformation.init(params)
        self.require_lr(state)
        return state

    def require_lr(self, state: Tree) -> None:
        """Refuse the state of a transformation without an LR that can be written."""
        if self._transformation is not None and not _injected_lrs(state):
            raise ArgumentTypeError(
                "optimizer must be a function from an LR to an optax.GradientTransformation, or a transformation made with "
                "optax.inject_hyperparams whose learning_rate is a number, received a transformation whose LR cannot be "
                "changed: give a function, lambda lr: optax.adam(lr), for example"
            )

    def lr(self, state: Tree) -> float | None:
        """The largest LR in a state; None if it is not written there."""
        lrs = [] if self._transformation is None else _injected_lrs(state)
        return max((float(lr) for lr in lrs), default=None)

    def update(self, lr: Any, gradients: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        """What is added to the parameters at this LR, and the new state."""
        if self._transformation is None:
            transformation = self._optimizer(lr)
        else:
            transformation = self._transformation
            state = optax.tree_utils.tree_set(state, _is_array, learning_rate=lr)
        steps: Tree
        steps, state = transformation.update(gradients, state, params)
        return steps, state


def _injected_lrs(state: Tree) -> list[jax.Array]:
    """The LRs that are arrays of the state; a schedule has a state of its own in their place."""
    return [lr for _, lr in optax.tree_utils.tree_get_all_with_path(state, "learning_rate") if _is_lr(lr)]


def _is_lr(value: Any) -> bool:
    return isinstance(value, jax.Array) and value.ndim == 0


def _is_array(path: Any, value: Any) -> bool:
    return isinstance(value, jax.Array)
