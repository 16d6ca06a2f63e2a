"""A recipe: everything about a training run in JAX except its learning rate."""

from collections.abc import Callable
from typing import Any

import jax

from learnrate import checks
from learnrate.batches import Batches, check_rewindable
from learnrate.checks import check_fields, checked, frozen
from learnrate.jax.optimizers import Optimizer
from learnrate.jax.places import Tree
from learnrate.jax.trainable import Evaluate, Loss, Training
from learnrate.origin import mark
from learnrate.user_code import call_user


def _function(name: str, value: object) -> Any:
    if not callable(value):
        checks.refuse_type(name, "a function", value)
    return value


def _metric(name: str, value: object) -> str:
    metric = checks.text(name, value)
    if metric == "loss":
        checks.refuse(name, "another word than 'loss', because a higher metric is better", metric)
    return metric


@frozen
class Recipe:
    """How to build and train parameters: everything except the learning rate; for `learnrate tune` and comparisons.

    Attributes:
        params: From a key of `jax.random` to new parameters.
        optimizer: A function from an LR to an `optax.GradientTransformation`; or a transformation made with
            `optax.inject_hyperparams` and a number.
        batches: From a seed to the source of the training batches: anything that can be iterated again and again.
        loss: A function (params, batch) -> loss; or (params, batch, key) -> loss with `with_key`.
        evaluate: How good parameters are on validation data, higher is better: a function (params) -> number or mapping of
            numbers, of which the first decides. It decides between trials.
        test: The same on data that decides nothing, for the comparison at the end; by default `evaluate`.
        lr: The LR that the optimizer would have without learnrate, for the comparison; None if it is injected, or unknown.
        with_key: Whether the loss takes a key, for dropout for example.
        updates: Length of a training run.
        metric: Name of what `evaluate` and `test` measure, for the reports.
        name: Name of the recipe; by default the name of its file.

    Raises:
        ArgumentError: if `updates` is below 1, or `metric` is "loss".
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> x = jnp.linspace(-1.0, 1.0, 64).reshape(8, 8)
        >>> recipe = lr.jax.Recipe(
        ...     params=lambda key: jnp.zeros(()),
        ...     optimizer=optax.adam,
        ...     batches=lambda seed: list(x),
        ...     loss=lambda w, batch: ((w * batch - 3 * batch) ** 2).mean(),
        ...     lr=1e-3,
        ... )
        >>> recipe.trainable(seed=0).current_lr()
        0.001
    """

    params: Callable[[jax.Array], Tree] = checked(_function)
    optimizer: Optimizer
    batches: Callable[[int], Batches] = checked(_function)
    loss: Loss = checked(_function)
    evaluate: Evaluate | None = checked(checks.optional(_function), default=None)
    test: Evaluate | None = checked(checks.optional(_function), default=None)
    lr: float | None = checked(checks.optional(checks.rate), default=None)
    with_key: bool = False
    updates: int = checked(checks.length, default=1000)
    metric: str = checked(_metric, default="accuracy")
    name: str = checked(checks.text, default="")

    def __post_init__(self) -> None:
        check_fields(self)
        checks.flag("with_key", self.with_key)

    def trainable(self, seed: int, *, test: bool = False) -> Training:
        """A new training as range test, tuner and comparisons drive it; everything random in it follows from the seed.

        Args:
            seed: From 0 to 2 ** 32 - 1.
            test: Whether it is evaluated by `test`, which measures a finished training, instead of `evaluate`.

        Raises:
            RecipeError: if one of the recipe's functions fails.
        """
        checks.flag("test", test)
        for_params, for_updates = jax.random.split(jax.random.key(checks.numpy_seed("seed", seed)))
        params = call_user(lambda: self.params(for_params), "Recipe.params(key) failed")
        batches = call_user(lambda: self.batches(seed), "Recipe.batches(seed) failed")
        check_rewindable(batches)
        training = Training(
            *(params, self.optimizer, batches, self.loss, self.evaluate if self.test is None or not test else self.test),
            key=for_updates if self.with_key else None,
            lr=self.lr,
            metric=self.metric,
        )
        mark(training, self, seed, test)
        return training
