"""Step sizes that follow from gradients and weights of torch: the sums of the formulas in `learnrate.tuner.step_sizes`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from learnrate.trainable import ProbeMethod
from learnrate.tuner import step_sizes as formulas
from learnrate.tuner.step_sizes import FIRST_DISTANCE, FIRST_MOVE

Gradients = Sequence[Tensor | None]
"""The gradient of each parameter; None for one that the loss does not depend on."""


@dataclass(frozen=True)
class Measure:
    """How long the steps of a parameter are.

    Attributes:
        unit: The size of a step at an LR of 1, now.
        nuclear: Whether the size is a spectral norm; otherwise it is that of a single weight.
    """

    unit: Callable[[], float] = lambda: 1.0
    nuclear: bool = False


class StepSize(Protocol):
    """Finds the step size of an update from its gradients, and from those before it."""

    method: ProbeMethod

    def lr(self, gradients: Gradients) -> float:
        """The step size of an update with these gradients, at the weights before it."""


class Prodigy:
    """The sums of `learnrate.tuner.step_sizes.Prodigy` over parameters.

    A parameter whose steps are u times the LR is as far from its solution as 1 / u times the distance says: its gradients
    count u times in the sum. For Muon, whose steps have a fixed spectral norm, the norm of the sum is the nuclear norm,
    which is to the spectral norm what the 1-norm is to the largest element.

    Args:
        parameters: Those that are trained.
        beta2: See `learnrate.tuner.step_sizes.Prodigy`.
        method: The name of the method, which decides the factor.
        measures: The measure of each parameter; by default steps of all have the size of the LR.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        beta2: float,
        method: ProbeMethod = "prodigy",
        measures: Sequence[Measure] | None = None,
    ) -> None:
        self.method, self._measures = method, measures or [Measure()] * len(parameters)
        self._parameters = parameters
        self._start = [_now(parameter).clone() for parameter in parameters]
        # In double precision, because the weights of gradients grow by a factor of 1e6 and more.
        self._sums = [torch.zeros_like(start, dtype=torch.float64) for start in self._start]
        units = [measure.unit() for measure in self._measures]
        self._formula = formulas.Prodigy(beta2, max(FIRST_DISTANCE, _resolution(self._start, units)))

    def lr(self, gradients: Gradients) -> float:
        """See `StepSize.lr`."""
        weight, products, sizes = self._formula.weight, [], []
        rows = zip(self._parameters, self._start, self._sums, gradients, self._measures, strict=True)
        for parameter, start, total, gradient, measure in rows:
            if gradient is not None:
                wide = as_real(gradient).double()
                products.append((wide * (start - _now(parameter)).double()).sum())
                total.mul_(self._formula.decay).add_(wide, alpha=weight * measure.unit())
                sizes.append(_nuclear_norm(total) if measure.nuclear else total.abs().sum())
        if not sizes:
            return self._formula.distance
        product, size = _totals(products, sizes)
        return self._formula.lr(product, size)


class DoWG:
    """The sums of `learnrate.tuner.step_sizes.DoWG` over parameters."""

    method: ProbeMethod = "dowg"

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = parameters
        self._start = [_now(parameter).clone() for parameter in parameters]
        [square] = _totals([start.double().square().sum() for start in self._start])
        self._formula = formulas.DoWG(square, max(FIRST_MOVE, *(_rounding(start) for start in self._start)))

    def lr(self, gradients: Gradients) -> float:
        """See `StepSize.lr`."""
        moves = zip(self._parameters, self._start, strict=True)
        squares = [as_real(gradient).double().square().sum() for gradient in gradients if gradient is not None]
        if not squares:
            return 0.0
        square, moved = _totals(squares, [(_now(parameter) - start).double().square().sum() for parameter, start in moves])
        return self._formula.lr(moved, square)


def _now(parameter: nn.Parameter) -> Tensor:
    return as_real(parameter.detach())


def as_real(tensor: Tensor) -> Tensor:
    """A view of a complex tensor as pairs of real numbers, as the optimizers of torch see it; others as they are."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _rounding(tensor: Tensor) -> float:
    """The largest share of a number of this precision that rounds away when it is added to it."""
    return torch.finfo(tensor.dtype).eps / 2


def _resolution(start: Sequence[Tensor], units: Sequence[float]) -> float:
    """The LR whose steps a mean weight takes, where there are weights of half precision: smaller steps round away."""
    halves = [(tensor, unit) for tensor, unit in zip(start, units, strict=True) if tensor.element_size() < 4 and unit > 0]
    if not halves:
        return 0.0
    [total] = _totals([_rounding(tensor) / unit * tensor.double().abs().sum() for tensor, unit in halves])
    return total / sum(tensor.numel() for tensor, _ in halves)


def _nuclear_norm(total: Tensor) -> Tensor:
    values: Tensor = torch.linalg.svdvals(_whole(total))
    return values.sum()


def _totals(*series: Sequence[Tensor]) -> list[float]:
    """The sum of each series of scalars, read together, because each reading waits for the device."""
    device = series[0][0].device
    sums = [torch.stack([_whole(value).to(device) for value in values]).sum() for values in series]
    return [float(total) for total in torch.stack(sums).tolist()]


def _whole(value: Tensor) -> Tensor:
    """A tensor, also one whose parts lie in several processes."""
    whole: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return whole
