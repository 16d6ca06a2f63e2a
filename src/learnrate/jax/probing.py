"""An LR-free probe of a training in JAX: the user's own optimizer, at LRs that follow from its gradients."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from learnrate.jax.kinds import Kind, kind_of, without_momentum
from learnrate.jax.optimizers import Adjustable
from learnrate.jax.places import Tree
from learnrate.trainable import NotProbedError, ProbeMethod
from learnrate.tuner.step_sizes import FIRST_DISTANCE, FIRST_MOVE, DoWG, Prodigy


class Probed(Protocol):
    """A training whose updates can be made in two halves; see `learnrate.jax.Training`."""

    optimizer: Adjustable
    params: Tree
    opt_state: Tree

    def gradients(self) -> tuple[Any, Tree]:
        """What the loss of the next batch returns, and its gradients."""

    def step(self, lr: float, gradients: Tree) -> None:
        """Make a step with these gradients."""

    def answer(self, lr: float, gradients: Tree) -> Tree:
        """What such a step would add to the parameters."""


class JaxStepSize(Protocol):
    """Finds the LR of an update from its gradients, and from those before it."""

    method: ProbeMethod

    def lr(self, training: Probed, gradients: Tree) -> float:
        """The LR of an update of this training with these gradients."""


class JaxProbing:
    """See `learnrate.trainable.Probing`."""

    def __init__(self, training: Probed, step_size: JaxStepSize, scale: float) -> None:
        self.method, self.maximize = step_size.method, False
        self._training, self._step_size, self._scale, self._lr = training, step_size, scale, 0.0

    def update(self) -> Any:
        """See `Probing.update`."""
        values, gradients = self._training.gradients()
        self._lr = self._step_size.lr(self._training, gradients)
        self._training.step(self._lr, gradients)
        return values

    def lr(self) -> float:
        """See `Probing.lr`."""
        return self._lr

    def scale(self, updates: int) -> float:
        """See `Probing.scale`."""
        return self._scale


@contextmanager
def probing(training: Probed) -> Iterator[JaxProbing]:
    """The training without an LR, while the context lasts.

    Raises:
        NotProbedError: if there is no step size for its optimizer.
    """
    if any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(training.params)):
        raise NotProbedError("there is no LR-free step size for complex parameters")
    kind = kind_of(training.optimizer, training.params)
    step_size = DoWGOfTrees(training.params, kind) if kind.beta2 is None else ProdigyOfTrees(training.params, kind)
    yield JaxProbing(training, step_size, 1 - kind.momentum)


class ProdigyOfTrees:
    """The sums of `Prodigy` over the leaves of a tree.

    The gradients are those before clipping and whatever else the optimizer begins with. Prodigy's distance is a ratio of two
    sums of gradients, in which a common factor cancels.
    """

    method: ProbeMethod = Prodigy.method

    def __init__(self, params: Tree, kind: Kind) -> None:
        assert kind.beta2 is not None
        self._formula = Prodigy(kind.beta2, max(FIRST_DISTANCE, _resolution(params, kind.ratios)))
        self._ratios, self._start = kind.ratios, params
        self._sums = jax.tree.map(lambda leaf: jnp.zeros_like(leaf, dtype=_wide(leaf)), params)

    def lr(self, training: Probed, gradients: Tree) -> float:
        """See `JaxStepSize.lr`."""
        self._sums, product, size = _prodigy_sums(
            *(self._sums, self._start, training.params, gradients, self._ratios),
            *(self._formula.decay, self._formula.weight),
        )
        return self._formula.lr(float(product), float(size))


class DoWGOfTrees:
    """The sums of `DoWG` over the leaves of a tree.

    The gradients are the steps at an LR of 1: those that gradient descent goes along, clipped and decayed. Sums of gradients
    are emptied before each step, because DoWG diverges with momentum.
    """

    method: ProbeMethod = DoWG.method

    def __init__(self, params: Tree, kind: Kind) -> None:
        self._start, self._gain = params, kind.gain
        self._formula = DoWG(float(_square(params)), max(FIRST_MOVE, *map(_rounding, jax.tree.leaves(params))))

    def lr(self, training: Probed, gradients: Tree) -> float:
        """See `JaxStepSize.lr`."""
        training.opt_state = without_momentum(training.opt_state)
        steps = training.answer(1.0, gradients)
        moved = _square(jax.tree.map(jnp.subtract, training.params, self._start))
        return self._formula.lr(float(moved), float(_square(steps)) / self._gain**2) / self._gain


@jax.jit
def _prodigy_sums(
    sums: Tree, start: Tree, params: Tree, gradients: Tree, ratios: Tree, decay: float, weight: float
) -> tuple[Tree, jax.Array, jax.Array]:
    """The sums after an update, and what `Prodigy.lr` asks for."""

    def product(gradient: jax.Array, before: jax.Array, now: jax.Array) -> jax.Array:
        return jnp.sum(gradient.astype(_wide(now)) * (before - now).astype(_wide(now)))

    def added(total: jax.Array, gradient: jax.Array) -> jax.Array:
        return decay * total + weight * gradient.astype(total.dtype)

    products = jax.tree.leaves(jax.tree.map(product, gradients, start, params))
    sums = jax.tree.map(added, sums, gradients)
    sizes = jax.tree.leaves(jax.tree.map(lambda total, ratio: ratio * jnp.abs(total).sum(), sums, ratios))
    return sums, jnp.stack(products).sum(), jnp.stack(sizes).sum()


@jax.jit
def _square(tree: Tree) -> jax.Array:
    """The sum of all squares."""
    return jnp.stack([jnp.square(leaf.astype(_wide(leaf))).sum() for leaf in jax.tree.leaves(tree)]).sum()


def _rounding(leaf: jax.Array) -> float:
    """The largest share of a number of this precision that rounds away when it is added to it."""
    precision: Any = jnp.finfo(leaf.dtype)  # type: ignore[no-untyped-call]
    return float(precision.eps) / 2


def _resolution(params: Tree, ratios: Tree) -> float:
    """The LR whose steps a mean weight takes, where there are weights of half precision: smaller steps round away."""
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(ratios), strict=True)
    halves = [(leaf, ratio) for leaf, ratio in pairs if leaf.dtype.itemsize < 4 and ratio > 0]
    totals: list[float] = [
        _rounding(leaf) / ratio * float(jnp.abs(leaf.astype(_wide(leaf))).sum()) for leaf, ratio in halves
    ]
    return sum(totals) / max(1, sum(int(leaf.size) for leaf, _ in halves))


def _wide(leaf: jax.Array) -> Any:
    """Single precision for what has less; its range is sufficient, because the weights of gradients stay below 1e24."""
    return jnp.promote_types(leaf.dtype, jnp.float32)
