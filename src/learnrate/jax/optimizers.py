"""Optimizers of optax whose LR is given at every update."""

from collections.abc import Callable
from typing import Any, TypeAlias

import optax

from learnrate import checks
from learnrate.errors import AlreadyDrivenError, ArgumentTypeError
from learnrate.jax.dependence import depends_on_first
from learnrate.jax.places import NAME, Tree, holds_lr, is_driven, own_schedules, parts_of, with_lr

Optimizer: TypeAlias = Callable[[Any], optax.GradientTransformation] | optax.GradientTransformation
"""A function from an LR to a transformation, such as `optax.adam`; or one made with `optax.inject_hyperparams`."""


class Adjustable:
    """An optimizer that makes each step at an LR of its own.

    Raises:
        ArgumentTypeError: if the argument is neither form of `Optimizer`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        transformation = _transformation(optimizer)
        if transformation is None:
            if not callable(optimizer) or isinstance(optimizer, type):
                checks.refuse_type("optimizer", "a function from an LR to an optax.GradientTransformation", optimizer)
            if _transformation(result := optimizer(1.0)) is None:
                checks.refuse_type("the result of the function optimizer", "an optax.GradientTransformation", result)
        self._optimizer, self._transformation = optimizer, transformation

    def init(self, params: Tree) -> Tree:
        """The state before the first update."""
        return self._at(1.0).init(params)

    def require_lr(self, state: Tree) -> None:
        """Refuse the state of a transformation without an LR that can be written.

        Raises:
            AlreadyDrivenError: if a schedule writes it.
            ArgumentTypeError: if there is none.
        """
        if self._transformation is None:
            return
        if any(is_driven(part) for _, part in parts_of(state)):
            raise AlreadyDrivenError(
                "optimizer must have no schedule of its own, received one made with optax.inject_hyperparams and a schedule "
                f"as {NAME}, which would overwrite every LR: give a number in its place, or a function from an LR, such as "
                "optax.adam"
            )
        if not any(holds_lr(part) for _, part in parts_of(state)):
            raise ArgumentTypeError(
                "optimizer must be a function from an LR to an optax.GradientTransformation, or a transformation made with "
                "optax.inject_hyperparams whose learning_rate is a number, received a transformation whose LR cannot be "
                "changed: give a function, optax.adam or lambda lr: optax.adamw(lr, weight_decay=0.1), for example"
            )

    def require_free(self, state: Tree, params: Tree) -> None:
        """Refuse an optimizer whose steps something else than the LR decides.

        Raises:
            AlreadyDrivenError: if it has a schedule of its own, or its steps do not depend on the LR that it is given.
        """
        if places := own_schedules(state):
            raise AlreadyDrivenError(
                f"optimizer must have no schedule of its own beside the LR, received one with the state {places[0]}: "
                "leave the schedule out, because it would multiply every LR that is tried"
            )
        gradients = params  # of the same form; nothing is computed
        depends, _ = depends_on_first(lambda lr, *inputs: self.update(lr, *inputs)[0], 1.0, gradients, state, params)
        if not depends:
            raise AlreadyDrivenError(
                "the steps of optimizer must depend on the LR that it is given, received one that uses an LR or schedule of "
                "its own: write lambda lr: optax.adam(lr), for example"
            )

    def lr(self, state: Tree) -> float | None:
        """The largest LR in a state; None if it is not written there."""
        lrs = (
            [] if self._transformation is None else [part.hyperparams[NAME] for _, part in parts_of(state) if holds_lr(part)]
        )
        return max((float(lr) for lr in lrs), default=None)

    def update(self, lr: Any, gradients: Tree, state: Tree, params: Tree, **more: Any) -> tuple[Tree, Tree]:
        """What is added to the parameters at this LR, and the new state."""
        steps: Tree
        before = state if self._transformation is None else with_lr(state, lr)
        transformation = self._at(lr)
        if more:
            transformation = optax.with_extra_args_support(transformation)
        steps, state = transformation.update(gradients, before, params, **more)
        return steps, state

    def _at(self, lr: Any) -> optax.GradientTransformation:
        transformation = self._transformation or _transformation(self._optimizer(lr))
        assert transformation is not None
        return transformation


def _transformation(value: object) -> optax.GradientTransformation | None:
    """A transformation, and `optax.MultiSteps` as one; None for anything else."""
    if isinstance(value, optax.MultiSteps):
        return value.gradient_transformation()
    return value if isinstance(value, optax.GradientTransformation) else None
