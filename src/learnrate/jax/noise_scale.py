"""The noise scale of the gradient: the batch size at which its noise is as large as the gradient itself."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from learnrate.jax.places import Tree
from learnrate.noise_scale import noise_scale_of


def noise_scale(gradients: Callable[[Any], Tree], batches: Iterable[Any]) -> float | None:
    """tr(S) / |G|^2 from the gradients of half-batches, in examples; S is the covariance of the gradients of examples.

    The simple noise scale of McCandlish et al. (arXiv 1812.06162, section 2.2 and appendix A.1). With m half-batches of b
    examples, tr(S) is b times the variance of their gradients, and |G|^2 the mean of the products of all pairs of them. Both
    are unbiased.

    Args:
        gradients: The gradients of the loss of a batch.
        batches: Batches; those of another size than the first are left out.

    Returns:
        The noise scale, at most the number of examples that were used: a larger one cannot be told from an infinite one.
        None if the first batch cannot be split in halves along the first dimension of its arrays, if there are fewer than
        two half-batches, or if a gradient is 0 everywhere or not finite.

    Example:
        >>> batches = [jnp.array([1.0, 3.0]), jnp.array([0.0, 4.0])]  # the gradients of the examples: mean 2
        >>> round(noise_scale(lambda batch: batch.mean(), batches), 4)  # variance 3.3333
        1.0526
    """
    size, number, squares, total = None, 0, 0.0, None
    for batch in batches:
        half = (examples(batch) or 0) // 2
        size = half if size is None else size
        if size == 0:
            return None
        if half != size:
            continue
        for start in (0, half):
            part = gradients(_part(batch, start, half))
            total, square = _added(part if total is None else total, part, total is None)
            squares += float(square)
            number += 1
    if number < 2 or size is None:
        return None
    return noise_scale_of(squares, float(_square(total)), number, size)


def examples(batch: Any) -> int | None:
    """Examples in a batch: the length of the first dimension of all arrays in it; None if they differ, or have none.

    Example:
        >>> examples((np.ones((4, 2)), {"label": np.ones(4)})), examples((np.ones(3), 1.0))
        (4, None)
    """
    sizes = {int(np.shape(leaf)[0]) if np.ndim(leaf) else None for leaf in jax.tree.leaves(batch)}
    return sizes.pop() if len(sizes) == 1 else None


def _part(batch: Any, start: int, length: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[start : start + length], batch)


@jax.jit
def _added(total: Tree, gradients: Tree, is_first: bool) -> tuple[Tree, jax.Array]:
    """The sum of gradients with one more of them, and its squared norm."""

    def added(before: jax.Array, gradient: jax.Array) -> jax.Array:
        wide = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
        return jnp.where(is_first, wide, before.astype(wide.dtype) + wide)

    return jax.tree.map(added, total, gradients), _square(gradients)


@jax.jit
def _square(tree: Tree) -> jax.Array:
    leaves = [leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in jax.tree.leaves(tree)]
    return jnp.stack([jnp.square(jnp.abs(leaf)).sum() for leaf in leaves]).sum()
