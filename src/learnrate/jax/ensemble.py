"""An ensemble: the same training at several LRs, updated together by one call of `jax.vmap`.

Each member needs a copy of the parameters, of their gradients, of the state of the optimizer, and of the activations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from learnrate.errors import LearnrateError
from learnrate.jax.places import Tree, of_kind
from learnrate.trainable import NotBatchableError, scalars

Update = Callable[..., tuple[Tree, Tree, Any]]
"""A function (LRs, parameters, states, batch, key) -> (parameters, states, what the losses return) of all members."""


class JaxEnsemble:
    """Copies of a training that start from its present state and train together, each at its own LR.

    A member that has ended stays in the batch, at an LR of 0: to take it out, JAX would compile the update again.

    Args:
        count: Number of members.
        params: The parameters to start from.
        opt_state: The state of the optimizer to start from.
        update: Updates all members.
        inputs: The next batch and its key.
        evaluate: How good parameters are; None for no evaluation.

    Raises:
        NotBatchableError: if the copies do not fit into the memory.
    """

    def __init__(
        self,
        count: int,
        params: Tree,
        opt_state: Tree,
        update: Update,
        inputs: Callable[[], tuple[Any, Any]],
        evaluate: Callable[[Tree], Any] | None,
    ) -> None:
        self._update, self._inputs, self._evaluate = update, inputs, evaluate
        self._running = [True] * count
        self._accumulates = bool(of_kind(opt_state, optax.MultiStepsState))
        self._params, self._states = (_copies(tree, count) for tree in (params, opt_state))

    def update(self, lrs: Sequence[float | None]) -> list[dict[str, float]]:
        """See `learnrate.trainable.Ensemble.update`."""
        self._running = [ran and lr is not None for ran, lr in zip(self._running, lrs, strict=True)]
        if not any(self._running):
            return [{} for _ in lrs]
        numbers = np.array([lr if runs else 0.0 for lr, runs in zip(lrs, self._running, strict=True)])
        taken = [self._step(numbers)]
        while self._accumulates and any(int(part.mini_step[0]) for part in of_kind(self._states, optax.MultiStepsState)):
            taken.append(self._step(numbers))
        return [
            _mean([scalars(_row(values, number)) for values in taken]) if runs else {}
            for number, runs in enumerate(self._running)
        ]

    def evaluate(self) -> list[float | Mapping[str, float] | None]:
        """See `learnrate.trainable.Ensemble.evaluate`."""
        if self._evaluate is None:
            return [None] * len(self._running)
        return [self._evaluate(_row(self._params, number)) if runs else None for number, runs in enumerate(self._running)]

    def _step(self, lrs: np.ndarray[Any, Any]) -> Any:
        batch, key = self._inputs()
        try:
            self._params, self._states, values = self._update(lrs, self._params, self._states, batch, key)
            return jax.device_get(values)
        except LearnrateError:
            raise
        except Exception as error:  # what of the user's own code vmap cannot trace, and memory that does not suffice
            raise NotBatchableError(f"jax.vmap fails ({_first_line(error)})") from error


def _copies(tree: Tree, count: int) -> Tree:
    try:
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), tree)
    except jax.errors.JaxRuntimeError as error:
        raise NotBatchableError(f"{count} copies do not fit into the memory ({_first_line(error)})") from error


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def _row(tree: Tree, number: int) -> Tree:
    return jax.tree.map(lambda leaf: leaf[number], tree)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def worthwhile(params: Tree, count: int) -> bool:
    """Whether `count` members are likely to train faster as one batch.

    On an accelerator, most of which is idle under small work: if parameters, gradients and two moments of each member fit
    into half of the free memory. Never on a CPU: an update of three members takes 0.7 of the time of three updates of a
    small network there, and more than these for a larger one; and the batched update is compiled for each number of members,
    which takes as long as thousands of updates, more than trials have (benchmarks/jax_trials.py).
    """
    device = next(iter(jax.tree.leaves(params)[0].devices()))
    if count < 2 or device.platform == "cpu":
        return False
    stats = device.memory_stats() or {}
    free = stats.get("bytes_limit", 0) - stats.get("bytes_in_use", 0)
    return bool(4 * count * sum(int(leaf.nbytes) for leaf in jax.tree.leaves(params)) <= free / 2)
