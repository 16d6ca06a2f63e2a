"""Local response normalisation within a channel, as Caffe has it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class WithinChannelNorm(nn.Module):
    """x / (1 + alpha * mean of the squares of a size x size window) ** beta, with zeros beyond the border.

    Caffe's LRN layer with `norm_region: WITHIN_CHANNEL`: a window at the border counts the zeros there as well. Unlike
    across channels (`torch.nn.LocalResponseNorm`), the window is in the plane of a channel.

    Args:
        size: Side of the window; odd.
        alpha: Weight of the mean of the squares.
        beta: Exponent.
    """

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        super().__init__()
        if size % 2 == 0:
            raise ValueError(f"size must be odd, so that a window has a middle, received {size}")
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        """The normalised planes."""
        normalised: Tensor = _Normalise.apply(x, self.size, self.alpha, self.beta)[0]  # type: ignore[no-untyped-call]
        return normalised


class _Normalise(torch.autograd.Function):
    """The formula with its gradient in six passes; autograd's own gradient of powers and means takes twice as long.

    With s = 1 + alpha * mean(x ** 2): y = x * s ** -beta, and as the sum over a window is its own transpose,
    dx = s ** -beta * dy - 2 * alpha * beta * x * mean(x * s ** (-beta - 1) * dy).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, size: int, alpha: float, beta: float) -> tuple[Tensor, Tensor, Tensor]:
        scale = _window_mean(x.square(), size).mul_(alpha).add_(1)
        factor = _power(scale, beta)
        return x * factor, scale, factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        x, ctx.size, ctx.alpha, ctx.beta = inputs
        _, scale, factor = output
        ctx.mark_non_differentiable(scale, factor)
        ctx.save_for_backward(x, scale, factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, None, None]:
        x, scale, factor = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient will be differentiated: for that, scale and factor depend on x
            return _differentiable_gradient(x, gradient, ctx.size, ctx.alpha, ctx.beta), None, None, None
        mean = _window_mean((gradient * x).mul_(factor).div_(scale), ctx.size)
        return torch.addcmul(gradient * factor, x, mean, value=-2 * ctx.alpha * ctx.beta), None, None, None


def _differentiable_gradient(x: Tensor, gradient: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """The gradient as autograd can follow it, for products with the Hessian."""
    scale = 1 + alpha * _window_mean(x.square(), size)
    root = scale.rsqrt()
    factor = root.sqrt() * root if beta == 0.75 else scale.pow(-beta)
    mean = _window_mean(gradient * x * factor / scale, size)
    return gradient * factor - 2 * alpha * beta * x * mean


def _window_mean(x: Tensor, size: int) -> Tensor:
    return functional.avg_pool2d(x, size, 1, size // 2)


def _power(scale: Tensor, beta: float) -> Tensor:
    """The factor, scale ** -beta. Caffe's exponent of 3/4 from square roots takes a third of the time of a power."""
    if beta != 0.75:
        return scale.pow(-beta)
    root = scale.rsqrt()
    return root.sqrt().mul_(root)
