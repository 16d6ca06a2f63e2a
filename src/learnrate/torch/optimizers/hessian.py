"""Products of the Hessian of a loss with random vectors."""

import numpy as np
import torch
from torch import Tensor

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.user_code import own_line

REMEDY = (
    "make the gradients by loss.backward(retain_graph=optimizer.needs_closure), "
    "and the update by optimizer.step(lambda: loss)"
)

OTHER_FORM = (
    "use another form of that layer, such as attention by torch.nn.attention.sdpa_kernel(SDPBackend.MATH), "
    "or another optimizer"
)


def require_one_process() -> None:
    """Refuse several processes: each would measure the curvature of its own batch, and copies of a model would differ.

    Raises:
        ArgumentError: if there are several.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        raise ArgumentError(
            f"ESGD must run in one process, there are {distributed.get_world_size()}: the Hessian products of several "
            "processes are not averaged. Train in one process, or with another optimizer"
        )


def gradients_with_graph(loss: Tensor, inputs: list[Tensor]) -> tuple[Tensor | None, ...]:
    """The gradients, and the graph that makes them.

    Raises:
        ArgumentError: if the graph of the loss is not there any more.
    """
    try:
        with torch.enable_grad():
            return torch.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ArgumentError(
            f"the graph of the loss must be kept, torch says {checks.short(own_line(error), 80)!r}: {REMEDY}"
        ) from error


def require_curved(gradients: list[Tensor]) -> None:
    """Refuse layers that cannot be differentiated twice, which torch would silently take for linear ones.

    A function marked with `once_differentiable` leaves a node of its own in the graph of its gradient. The node raises an
    error when a graph is followed to its ends, but not when it is followed to given inputs.

    Raises:
        ArgumentError: if there is one.
    """
    if not gradients:
        raise ArgumentError(
            "the loss must be differentiable twice, no gradient depends on the weights: it is linear in all of them, or "
            f"made by a layer without a second derivative: {OTHER_FORM}"
        )
    nodes = {gradient.grad_fn for gradient in gradients}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if type(node).__name__ == "Error":
            raise ArgumentError(
                f"the loss must be differentiable twice, it has a function that is marked once_differentiable: {OTHER_FORM}"
            )
        following = {after for after, _ in node.next_functions if after is not None} - nodes if node is not None else set()
        nodes |= following
        waiting += following


def products_with(outputs: list[Tensor], inputs: list[Tensor], vectors: list[Tensor]) -> list[Tensor]:
    """H v: the derivative of the scalar product of gradients and vectors.

    Raises:
        ArgumentError: if an operation has no second derivative.
    """
    if not outputs:
        return [torch.zeros_like(entry) for entry in inputs]
    try:
        products = torch.autograd.grad(outputs, inputs, vectors, retain_graph=True, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ArgumentError(
            f"the loss must be differentiable twice, torch says {checks.short(own_line(error), 80)!r}: {OTHER_FORM}"
        ) from error
    return [torch.zeros_like(entry) if product is None else product for entry, product in zip(inputs, products, strict=True)]


def normal_vectors(inputs: list[Tensor], seed: int, number: int) -> list[Tensor]:
    """Vectors of normal random numbers: the same for the same seed, number of the product, device and parameters."""
    state = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    generators: dict[torch.device, torch.Generator] = {}
    for entry in inputs:
        if entry.device not in generators:
            generators[entry.device] = torch.Generator(entry.device).manual_seed(state)
    return [
        torch.randn(entry.shape, generator=generators[entry.device], device=entry.device, dtype=entry.dtype)
        for entry in inputs
    ]


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no element is infinite or NaN."""
    device = tensors[0].device
    return bool(torch.stack([tensor.isfinite().all().to(device) for tensor in tensors]).all())
