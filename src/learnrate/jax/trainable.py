"""A training in JAX as a `learnrate.Trainable`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import optax

from learnrate import checks
from learnrate.batches import Batches, Stream, restarts_note
from learnrate.errors import ArgumentError, LossError
from learnrate.jax.optimizers import Adjustable, Optimizer, Tree
from learnrate.jax.probing import probing
from learnrate.trainable import Probing, Trainable

Loss = Callable[..., Any]
"""A function (params, batch) -> loss, or (params, batch, key) -> loss where a key is given: a scalar, or a mapping with the
key "loss" and further metrics."""


class Training(Trainable):
    """Parameters, an optimizer of optax and batches, as `learnrate.tune`, `range_test` and `probe` train them.

    Arrays of JAX do not change, so that there is nothing to copy and nothing to give back: the parameters of the caller are
    those from before.

    Args:
        params: The parameters: a pytree of floating-point arrays.
        optimizer: A function from an LR to an `optax.GradientTransformation`, such as `optax.adam` or
            `lambda lr: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(lr))`; or a transformation made with
            `optax.inject_hyperparams`.
        batches: Anything that can be iterated, or a function that returns a new iterator. All batches should have one shape,
            because JAX compiles an update for each shape.
        loss: A function (params, batch) -> loss that JAX can trace, or (params, batch, key) -> loss if there is a key. The
            loss is a scalar, or a mapping with the key "loss" and further metrics.
        evaluate: A function (params) -> number or mapping of numbers, higher is better.
        opt_state: The state of the optimizer; by default that of its beginning.
        key: A key of `jax.random`, from which each update gets its own.

    Attributes:
        params: The present parameters.
        opt_state: The present state of the optimizer.

    Raises:
        ArgumentError: if there are no parameters.
        ArgumentTypeError: if an argument is of the wrong kind.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> x = jnp.linspace(-1.0, 1.0, 64)
        >>> batches = list(zip(x.reshape(4, 16), 3 * x.reshape(4, 16)))
        >>> training = lr.jax.Training(jnp.zeros(()), optax.sgd, batches, lambda w, b: ((w * b[0] - b[1]) ** 2).mean())
        >>> curve = lr.range_test(training)
        >>> bool(curve.losses[0] > curve.losses.min())
        True
    """

    def __init__(
        self,
        params: Tree,
        optimizer: Optimizer,
        batches: Batches,
        loss: Loss,
        evaluate: Callable[[Tree], Any] | None = None,
        *,
        opt_state: Tree | None = None,
        key: jax.Array | None = None,
    ) -> None:
        _check_params(params)
        checks.function_or_none("evaluate", evaluate, "(params) -> number")
        if not callable(loss):
            checks.refuse_type("loss", "a function (params, batch) -> loss", loss)
        self.optimizer, self.stream = Adjustable(optimizer), Stream(batches)
        self.params = jax.tree.map(jnp.asarray, params)
        self.opt_state = self.optimizer.init(self.params) if opt_state is None else opt_state
        self.optimizer.require_lr(self.opt_state)
        self.updates = 0
        self._loss, self._evaluate, self._key = loss, evaluate, key
        self._updated, self._answered = jax.jit(self._update), jax.jit(self.optimizer.update)
        self._gradients, self._stepped = jax.jit(self._differentiate), jax.jit(self._step)

    def update(self, lr: float) -> Any:
        """See `Trainable.update`."""
        self.params, self.opt_state, values = self._updated(lr, self.params, self.opt_state, *self._inputs())
        self.updates += 1
        return values

    def gradients(self) -> tuple[Any, Tree]:
        """What the loss of the next batch returns, and its gradients, the first half of `update`."""
        return self._gradients(self.params, *self._inputs())  # type: ignore[no-any-return]

    def step(self, lr: float, gradients: Tree) -> None:
        """Make a step with these gradients, the second half of `update`."""
        self.params, self.opt_state = self._stepped(lr, gradients, self.opt_state, self.params)
        self.updates += 1

    def answer(self, lr: float, gradients: Tree) -> Tree:
        """What a step with these gradients would add to the parameters."""
        return self._answered(lr, gradients, self.opt_state, self.params)[0]

    def save(self) -> Any:
        """See `Trainable.save`."""
        return self.params, self.opt_state

    def restore(self, state: Any) -> None:
        """See `Trainable.restore`. The batches start from their beginning."""
        self.params, self.opt_state = state
        self.stream.rewind()
        self.updates = 0

    def evaluate(self) -> float | Mapping[str, float] | None:
        """See `Trainable.evaluate`."""
        return None if self._evaluate is None else self._evaluate(self.params)

    def updates_per_epoch(self) -> int | None:
        """See `Trainable.updates_per_epoch`."""
        return self.stream.epoch()

    def current_lr(self) -> float | None:
        """See `Trainable.current_lr`."""
        return self.optimizer.lr(self.opt_state)

    def notes(self, updates: int) -> Sequence[str]:
        """See `Trainable.notes`."""
        return restarts_note(restart for restart in self.stream.restarts if restart < updates)

    def probing(self) -> AbstractContextManager[Probing]:
        """See `Trainable.probing`."""
        return probing(self)

    def _inputs(self) -> tuple[Any, jax.Array | None]:
        [batch] = self.stream.take(1)
        return batch, None if self._key is None else jax.random.fold_in(self._key, self.updates)

    def _update(self, lr: Any, params: Tree, state: Tree, batch: Any, key: jax.Array | None) -> tuple[Tree, Tree, Any]:
        values, gradients = self._differentiate(params, batch, key)
        return *self._step(lr, gradients, state, params), values

    def _differentiate(self, params: Tree, batch: Any, key: jax.Array | None) -> tuple[Any, Tree]:
        def loss(trained: Tree) -> tuple[jax.Array, Any]:
            returned = self._loss(trained, batch) if key is None else self._loss(trained, batch, key)
            return _scalar(returned), returned

        (_, returned), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return returned, gradients

    def _step(self, lr: Any, gradients: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        steps, state = self.optimizer.update(lr, gradients, state, params)
        return optax.apply_updates(params, steps), state


def _check_params(params: Tree) -> None:
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise ArgumentError("params must hold arrays, received a tree without any")
    for leaf in leaves:
        if not (hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)):
            checks.refuse_type("a leaf of params", "an array of floats", leaf, "give what is trained alone")


def _scalar(returned: Any) -> jax.Array:
    """The loss to minimise.

    Raises:
        LossError: if it is no scalar.
    """
    loss = returned.get("loss") if isinstance(returned, Mapping) else returned
    if not isinstance(loss, jax.Array) or loss.size != 1:
        shape = getattr(loss, "shape", None)
        raise LossError(
            f"the loss must be a scalar, or a mapping with one under 'loss', received a {type(loss).__name__}"
            + (f" of shape {shape}: reduce it, for example with .mean()" if shape is not None else "")
        )
    return loss.reshape(())
