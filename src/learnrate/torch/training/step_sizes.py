"""Step sizes that follow from gradients and weights: Prodigy's, for optimizers of Adam's kind, and DoWG's, for SGD."""

import math
from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from learnrate.trainable import ProbeMethod

FIRST_DISTANCE = 1e-6
"""The distance to the solution that Prodigy assumes at first, as in its implementation. It must be below the distance."""

FIRST_MOVE = 1e-4
"""The first distance from the start that DoWG assumes, as a share of 1 plus the norm of the weights, as DoG does (Ivgi,
Hinder and Carmon, arXiv 2302.12022, section 4.1): scale and number of the weights then do not matter."""

Gradients = Sequence[Tensor | None]
"""The gradient of each parameter; None for one that the loss does not depend on."""


class StepSize(Protocol):
    """Finds the LR of an update from its gradients, and from those before it."""

    method: ClassVar[ProbeMethod]

    def lr(self, gradients: Gradients) -> float:
        """The LR of an update with these gradients, at the weights before it."""


class Prodigy:
    """The distance to the solution, as the LR of an optimizer whose steps are as large as its LR, whatever the gradient is.

    d_{k+1} = max(d_k, r_{k+1} / ||s_{k+1}||_1), with r_{k+1} = b r_k + d_k^2 <g_k, x_0 - x_k>,
    s_{k+1} = b s_k + d_k^2 g_k and b = sqrt(beta2): Mishchenko and Defazio, arXiv 2306.06101, Algorithm 4. The user's own
    optimizer makes the steps, in place of the paper's Adam, whose averages weight the gradients by d_k; and the step along
    g_k takes d_{k+1}, which is known then.
    """

    method: ClassVar[ProbeMethod] = "prodigy"

    def __init__(self, parameters: Sequence[nn.Parameter], beta2: float) -> None:
        self._parameters, self._decay = parameters, math.sqrt(beta2)
        self._start = [parameter.detach().clone() for parameter in parameters]
        # In double precision, because the weights grow by a factor of 1e6 and more.
        self._sums = [torch.zeros_like(start, dtype=torch.float64) for start in self._start]
        self._numerator, self._distance = 0.0, FIRST_DISTANCE

    def lr(self, gradients: Gradients) -> float:
        """See `StepSize.lr`."""
        weight = (self._distance / FIRST_DISTANCE) ** 2
        products, sizes = [], []
        for parameter, start, total, gradient in zip(self._parameters, self._start, self._sums, gradients, strict=True):
            if gradient is not None:
                products.append((gradient.double() * (start - parameter.detach()).double()).sum())
                total.mul_(self._decay).add_(gradient.double(), alpha=weight)
                sizes.append(total.abs().sum())
        if sizes:
            product, size = _totals(products, sizes)
            self._numerator = self._decay * self._numerator + weight * product
            if size > 0:
                self._distance = max(self._distance, self._numerator / size)
        return self._distance


class DoWG:
    """The distance from the start over the weighted gradients, for gradient descent without momentum.

    eta_k = r_k^2 / sqrt(v_k), with r_k = max(r_{k-1}, ||x_k - x_0||) and v_k = v_{k-1} + r_k^2 ||g_k||^2: Khaled,
    Mishchenko and Jin, arXiv 2305.16284, Algorithm 1.
    """

    method: ClassVar[ProbeMethod] = "dowg"

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = parameters
        self._start = [parameter.detach().clone() for parameter in parameters]
        [square] = _totals([start.double().square().sum() for start in self._start])
        self._moved, self._weighted = FIRST_MOVE * (1 + math.sqrt(square)), 0.0

    def lr(self, gradients: Gradients) -> float:
        """See `StepSize.lr`."""
        moves = zip(self._parameters, self._start, strict=True)
        squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
        if not squares:
            return 0.0
        square, moved = _totals(squares, [(now.detach() - start).double().square().sum() for now, start in moves])
        self._moved = max(self._moved, math.sqrt(moved))
        self._weighted += self._moved**2 * square
        return self._moved**2 / math.sqrt(self._weighted) if self._weighted > 0 else 0.0


def _totals(*series: Sequence[Tensor]) -> list[float]:
    """The sum of each series of scalars, read together, because each reading waits for the device."""
    device = series[0][0].device
    sums = [torch.stack([_whole(value).to(device) for value in values]).sum() for values in series]
    return [float(total) for total in torch.stack(sums).tolist()]


def _whole(value: Tensor) -> Tensor:
    """A scalar, also of a tensor whose parts lie in several processes."""
    whole: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return whole
