"""The gradients of an optimizer's parameters, as a whole."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.optim import Optimizer


def gradient_norm(optimizer: Optimizer) -> Tensor:
    """The norm over the gradients of all parameters, as the optimizer will use them: a scalar tensor on their device.

    With fused optimizers a `GradScaler` leaves the gradients scaled until the step itself; the scale is taken out here.
    """
    norm = torch.nn.utils.get_total_norm(list(_gradients(optimizer)))
    norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    scale = getattr(optimizer, "grad_scale", None)
    return norm if scale is None else norm / scale.to(norm.device)


def drop_gradients(optimizer: Optimizer) -> None:
    """Leave the update out: optimizers of torch leave parameters without a gradient, and their state, as they are."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def _gradients(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                yield parameter.grad
