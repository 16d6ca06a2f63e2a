"""The noise scale of the gradient: the batch size at which its noise is as large as the gradient itself."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from learnrate.noise_scale import noise_scale_of
from learnrate.torch.training.batches import examples, mapped


def noise_scale(parameters: Sequence[nn.Parameter], batches: Iterable[Any], loss: Callable[[Any], Tensor]) -> float | None:
    """tr(S) / |G|^2 from the gradients of half-batches, in examples; S is the covariance of the gradients of examples.

    The simple noise scale of McCandlish et al. (arXiv 1812.06162, section 2.2 and appendix A.1). With m half-batches of b
    examples, tr(S) is b times the variance of their gradients, and |G|^2 the mean of the products of all pairs of them. Both
    are unbiased; the paper's two batch sizes, b and 2 b, give the same with the pairs of one batch only. A factor on the
    loss does not matter, so that a sum over a batch is as good as a mean.

    Args:
        parameters: Those of the gradient.
        batches: Batches; those of another size than the first are left out.
        loss: The loss of a batch, with a gradient.

    Returns:
        The noise scale, at most the number of examples that were used: a larger one cannot be told from an infinite one.
        None if the first batch cannot be split in halves along the first dimension of its tensors, if there are fewer than
        two half-batches, or if a gradient is 0 everywhere or not finite.

    Example:
        >>> weight = nn.Parameter(torch.zeros(1))
        >>> batches = [torch.tensor([1.0, 3.0]), torch.tensor([0.0, 4.0])]  # the gradients of the examples: mean 2
        >>> round(noise_scale([weight], batches, lambda batch: (weight * batch).mean()), 4)  # variance 3.3333
        1.0526
    """
    size, number, squares = None, 0, 0.0
    sums: list[Tensor | None] = [None] * len(parameters)
    for batch in batches:
        half = (examples(batch) or 0) // 2
        size = half if size is None else size
        if size == 0:
            return None
        if half != size:
            continue
        for start in (0, half):
            gradients = torch.autograd.grad(loss(_part(batch, start, half)), parameters, allow_unused=True)
            squares += _add(sums, gradients)
            number += 1
    if number < 2 or size is None:
        return None
    return noise_scale_of(squares, sum(_square(total) for total in sums if total is not None), number, size)


def _add(sums: list[Tensor | None], gradients: Sequence[Tensor | None]) -> float:
    """Add gradients to their sums. Returns their squared norm."""
    square = 0.0
    for place, gradient in enumerate(gradients):
        if gradient is None:
            continue
        dense = gradient.to_dense() if gradient.is_sparse else gradient
        wide = dense.float() if dense.dtype in (torch.float16, torch.bfloat16) else dense
        total = sums[place]
        sums[place] = wide.clone() if total is None else total.add_(wide)
        square += _square(wide)
    return square


def _square(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector)) ** 2


def _part(batch: Any, start: int, length: int) -> Any:
    """Examples `start` to `start + length` of a batch."""
    return mapped(batch, lambda tensor: tensor[start : start + length])
