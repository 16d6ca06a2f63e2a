"""Step sizes that follow from gradients and weights, as formulas of sums: an adapter computes the sums in its framework."""

import math
from typing import ClassVar

from learnrate.trainable import ProbeMethod

FIRST_DISTANCE = 1e-6
"""The distance to the solution that Prodigy assumes at first, as in its implementation. It must be below the distance."""

FIRST_MOVE = 1e-4
"""The first distance from the start that DoWG assumes, as a share of 1 plus the norm of the weights, as DoG does (Ivgi,
Hinder and Carmon, arXiv 2302.12022, section 4.1): scale and number of the weights then do not matter."""


class Prodigy:
    """The distance to the solution, as the LR of an optimizer whose steps are as large as its LR, whatever the gradient is.

    d_{k+1} = max(d_k, r_{k+1} / ||s_{k+1}||_1), with r_{k+1} = b r_k + d_k^2 <g_k, x_0 - x_k>,
    s_{k+1} = b s_k + d_k^2 g_k and b = sqrt(beta2): Mishchenko and Defazio, arXiv 2306.06101, Algorithm 4. The user's own
    optimizer makes the steps, in place of the paper's Adam, whose averages weight the gradients by d_k; and the step along
    g_k takes d_{k+1}, which is known then. All weights are in units of the first distance squared.

    Args:
        beta2: Decay of the optimizer's average of squared gradients.
        first: The first distance.

    Attributes:
        decay: b.
    """

    method: ClassVar[ProbeMethod] = "prodigy"

    def __init__(self, beta2: float, first: float = FIRST_DISTANCE) -> None:
        self.decay = math.sqrt(beta2)
        self._numerator, self._distance, self._first = 0.0, first, first

    @property
    def weight(self) -> float:
        """The weight of the next gradient, d_k^2."""
        return (self._distance / self._first) ** 2

    @property
    def distance(self) -> float:
        """The distance so far."""
        return self._distance

    def lr(self, product: float, size: float) -> float:
        """The LR of an update.

        Args:
            product: <g_k, x_0 - x_k>, with the gradient g_k of this update at the weights x_k before it.
            size: ||s_{k+1}||_1, with `weight` and `decay` as they were before this call.
        """
        self._numerator = self.decay * self._numerator + self.weight * product
        if size > 0:
            self._distance = max(self._distance, self._numerator / size)
        return self._distance


class DoWG:
    """The distance from the start over the weighted gradients, for gradient descent without momentum.

    eta_k = r_k^2 / sqrt(v_k), with r_k = max(r_{k-1}, ||x_k - x_0||) and v_k = v_{k-1} + r_k^2 ||g_k||^2: Khaled,
    Mishchenko and Jin, arXiv 2305.16284, Algorithm 1.

    Args:
        square: ||x_0||^2.
        share: The first distance, as a share of 1 + ||x_0||.
    """

    method: ClassVar[ProbeMethod] = "dowg"

    def __init__(self, square: float, share: float = FIRST_MOVE) -> None:
        self._moved, self._weighted = share * (1 + math.sqrt(square)), 0.0

    def lr(self, moved: float, square: float) -> float:
        """The LR of an update.

        Args:
            moved: ||x_k - x_0||^2 of the weights before this update.
            square: ||g_k||^2 of its gradient.
        """
        self._moved = max(self._moved, math.sqrt(moved))
        self._weighted += self._moved**2 * square
        return self._moved**2 / math.sqrt(self._weighted) if self._weighted > 0 else 0.0
