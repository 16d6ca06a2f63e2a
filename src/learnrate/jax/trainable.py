"""A training in JAX as a `learnrate.Trainable`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from learnrate import checks
from learnrate.batches import Batches, Stream, restarts_note
from learnrate.errors import ArgumentError, LossError
from learnrate.jax import checkpoint as checkpoints
from learnrate.jax.ensemble import JaxEnsemble, worthwhile
from learnrate.jax.kinds import traits_of
from learnrate.jax.noise_scale import examples, noise_scale
from learnrate.jax.optimizers import Adjustable, Optimizer
from learnrate.jax.places import Tree, of_kind
from learnrate.jax.probing import probing
from learnrate.trainable import NOISE_BATCHES, SKIPPED, Ensemble, ExhaustedError, NotBatchableError, Probing, Trainable
from learnrate.traits import OptimizerTraits

COUNTERS = ("updates", "_examples", "_batches")
"""Attributes of a training that belong to a checkpoint."""

Loss = Callable[..., Any]
"""A function (params, batch) -> loss, or (params, batch, key) -> loss where a key is given: a scalar, or a mapping with the
key "loss" and further metrics."""


Evaluate = Callable[[Tree], Any]
"""A function (params) -> number or mapping of numbers, of which the first decides; higher is better."""


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
        lr: The LR that the optimizer would have without learnrate, for reports; read off the state if it is injected.
        metric: Name of what `evaluate` measures if it returns a plain number.
        together: Whether trials of several LRs train as one batch (`jax.vmap`), which needs memory for the parameters and
            the state of each of them. By default if that is likely to be faster.

    An optimizer with `optax.MultiSteps` takes as many batches for an update as it accumulates. One with
    `optax.apply_if_finite` repeats an update that it skipped with the next batch.

    Attributes:
        params: The present parameters.
        opt_state: The present state of the optimizer.

    Raises:
        AlreadyDrivenError: if the optimizer has an LR or a schedule of its own.
        ArgumentError: if there are no parameters, or `optax.MultiSteps` may skip updates.
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
        evaluate: Evaluate | None = None,
        *,
        opt_state: Tree | None = None,
        key: jax.Array | None = None,
        lr: float | None = None,
        metric: str = "score",
        together: bool | None = None,
    ) -> None:
        _check_params(params)
        checks.function_or_none("evaluate", evaluate, "(params) -> number")
        if not callable(loss):
            checks.refuse_type("loss", "a function (params, batch) -> loss", loss)
        _check_key(key)
        checks.flag("together", together, or_none=True)
        self.optimizer, self.stream = Adjustable(optimizer), Stream(batches)
        self.params = jax.tree.map(jnp.asarray, params)
        self.opt_state = self.optimizer.init(self.params) if opt_state is None else opt_state
        self.optimizer.require_lr(self.opt_state)
        self.optimizer.require_free(self.opt_state, self.params)
        self.updates = 0
        self._lr, self._metric, self._together = (
            checks.optional(checks.rate)("lr", lr),
            checks.text("metric", metric),
            together,
        )
        self._accumulates, self._may_skip = (
            bool(of_kind(self.opt_state, kind)) for kind in (optax.MultiStepsState, optax.ApplyIfFiniteState)
        )
        if jax.tree.leaves([part.skip_state for part in of_kind(self.opt_state, optax.MultiStepsState)]):
            raise ArgumentError(
                "optimizer must make an update of every few batches, received optax.MultiSteps with should_skip_update_fn, "
                "which may make none: leave it out, or put optax.apply_if_finite into the optimizer"
            )
        self._examples: int | None = None
        self._batches = 1
        self._measures_norm = False
        self._loss, self._evaluate, self._key = loss, evaluate, key
        self._updated, self._answered = jax.jit(self._update), jax.jit(self.optimizer.update)
        self._gradients, self._stepped = jax.jit(self._differentiate), jax.jit(self._step)
        self._updated_together = jax.jit(jax.vmap(self._update, in_axes=(0, 0, 0, None, None)))

    def update(self, lr: float) -> Any:
        """See `Trainable.update`."""
        taken = [self._take(lr)]
        while self._accumulates and any(int(part.mini_step) for part in of_kind(self.opt_state, optax.MultiStepsState)):
            taken.append(self._take(lr))
        if self._may_skip and not all(bool(part.last_finite) for part in of_kind(self.opt_state, optax.ApplyIfFiniteState)):
            return SKIPPED
        self.updates += 1
        self._batches = len(taken)
        return taken[0] if len(taken) == 1 else jax.tree.map(lambda *values: sum(values) / len(values), *taken)

    def _take(self, lr: float) -> Any:
        """Take the step of one batch. Returns what the loss returned."""
        self.params, self.opt_state, values = self._updated(lr, self.params, self.opt_state, *self._inputs())
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

    def snapshot(self) -> Any:
        """See `Trainable.snapshot`."""
        return self.params, self.opt_state

    def put_back(self, snapshot: Any) -> None:
        """See `Trainable.put_back`."""
        self.params, self.opt_state = snapshot

    def measure_gradient_norm(self) -> bool:
        """See `Trainable.measure_gradient_norm`. Not where `optax.MultiSteps` adds the gradients up out of sight."""
        if not (self._accumulates or self._measures_norm):
            self._measures_norm = True
            self._updated = jax.jit(self._update)
        return self._measures_norm

    def evaluate(self) -> float | Mapping[str, float] | None:
        """See `Trainable.evaluate`."""
        return None if self._evaluate is None else self._evaluation(self.params)

    def _evaluation(self, params: Tree) -> Any:
        assert self._evaluate is not None
        value = self._evaluate(params)
        return value if isinstance(value, Mapping) or value is None else {self._metric: value}

    def updates_per_epoch(self) -> int | None:
        """See `Trainable.updates_per_epoch`."""
        batches = self.stream.epoch()
        return None if batches is None else max(1, batches // self._batches)

    def batch_size(self) -> int | None:
        """See `Trainable.batch_size`."""
        return None if self._examples is None else self._examples * self._batches

    def noise_scale(self, batches: int = NOISE_BATCHES) -> float | None:
        """See `Trainable.noise_scale`."""

        def drawn() -> Iterator[tuple[Any, jax.Array | None]]:
            for _ in range(batches):
                try:
                    yield self._inputs()
                except ExhaustedError:
                    return

        def gradients(batch: Any) -> Tree:
            return self._gradients(self.params, batch, self._key)[1]

        return noise_scale(gradients, (batch for batch, _ in drawn()))

    @cached_property
    def traits(self) -> OptimizerTraits:  # type: ignore[override]
        """See `Trainable.traits`."""
        return traits_of(self.optimizer, self.params)

    def current_lr(self) -> float | None:
        """See `Trainable.current_lr`."""
        return self.optimizer.lr(self.opt_state) if self._lr is None else self._lr

    def ensemble(self, count: int) -> Ensemble:
        """See `Trainable.ensemble`."""
        if self._together is False:
            raise NotBatchableError("together=False")
        if of_kind(self.opt_state, optax.ApplyIfFiniteState):
            raise NotBatchableError("optax.apply_if_finite decides which updates are made")
        if self._together is None and not worthwhile(self.params, count):
            raise NotBatchableError(f"as one batch, {count} such trainings would hardly be faster on this device")
        evaluate = None if self._evaluate is None else self._evaluation
        return JaxEnsemble(count, self.params, self.opt_state, self._updated_together, self._inputs, evaluate)

    def notes(self, updates: int) -> Sequence[str]:
        """See `Trainable.notes`."""
        return restarts_note(restart for restart in self.stream.restarts if restart < updates)

    def probing(self) -> AbstractContextManager[Probing]:
        """See `Trainable.probing`."""
        return probing(self)

    def checkpoint(self) -> checkpoints.Checkpoint:
        """See `Trainable.checkpoint`."""
        counters = {name: getattr(self, name) for name in COUNTERS}
        return checkpoints.taken((self.params, self.opt_state), self.stream, counters)

    def resume(self, checkpoint: checkpoints.Checkpoint) -> None:
        """See `Trainable.resume`."""
        checks.instance(checkpoints.Checkpoint, "a checkpoint of a training in JAX")("checkpoint", checkpoint)
        if self.updates:
            checks.refuse("resume", "called before the first update", f"a call after {self.updates} updates")
        self.params, self.opt_state = checkpoints.put(checkpoint, (self.params, self.opt_state), self.stream)
        for name, value in checkpoint.counters.items():
            setattr(self, name, value)

    def fingerprint(self) -> str:
        """See `Trainable.fingerprint`."""
        return checkpoints.fingerprint(self.params)

    def _inputs(self) -> tuple[Any, jax.Array | None]:
        number = self.stream.drawn
        [batch] = self.stream.take(1)
        if self._examples is None:
            check_batch(batch)
        self._examples = examples(batch)
        return batch, None if self._key is None else jax.random.fold_in(self._key, number)

    def _update(self, lr: Any, params: Tree, state: Tree, batch: Any, key: jax.Array | None) -> tuple[Tree, Tree, Any]:
        values, gradients = self._differentiate(params, batch, key)
        if self._measures_norm:
            row = values if isinstance(values, Mapping) else {"loss": values}
            values = {**row, "gradient_norm": optax.tree.norm(gradients)}
        return *self._step(lr, gradients, state, params), values

    def _differentiate(self, params: Tree, batch: Any, key: jax.Array | None) -> tuple[Any, Tree]:
        def loss(trained: Tree) -> tuple[jax.Array, Any]:
            returned = self._loss(trained, batch) if key is None else self._loss(trained, batch, key)
            return scalar_loss(returned), returned

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


def check_batch(batch: Any) -> None:
    """Refuse a batch that JAX cannot compute with, such as texts, or tensors of another framework.

    Raises:
        ArgumentTypeError: if a leaf is no array of numbers.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        is_array = isinstance(leaf, (jax.Array, np.ndarray, np.generic, bool, int, float, complex))
        if not is_array or (isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind in "OUSmM"):
            name = f"batches: batch{jax.tree_util.keystr(path)}"
            checks.refuse_type(name, "an array of numbers", leaf, "convert it, for example with np.asarray")


def _check_key(key: object) -> None:
    """Refuse what `jax.random` does not take: a seed is the most usual mistake."""
    if key is not None and not isinstance(key, jax.Array):
        checks.refuse_type("key", "a key of jax.random or None", key, "write jax.random.key(0), for example")


def scalar_loss(returned: Any) -> jax.Array:
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
