"""Local response normalisation within a channel, as Caffe has it."""

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
        scale = 1 + self.alpha * functional.avg_pool2d(x.square(), self.size, 1, self.size // 2)
        return x * scale.pow(-self.beta)
