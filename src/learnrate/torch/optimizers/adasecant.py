"""AdaSecant: a learning rate for each element, from the change of its gradient along the steps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from learnrate import checks
from learnrate.torch.optimizers.groups import (
    Rules,
    check_group,
    flag,
    flag_or_none,
    gradients_of,
    in_blocks,
    in_lists,
    learning_rate,
    with_gradients,
)

RULES: Rules = {
    "lr": learning_rate,
    "decay": checks.weight,
    "gamma_max": checks.rate,
    "eps": checks.positive,
    "normalized": flag,
    "adagrad": flag,
    "weight_decay": checks.rate,
    "maximize": flag,
    "foreach": flag_or_none,
}

TINY = 1e-7
"""What the authors' implementation adds to divisors."""

FIRST_MEMORY = 2.1
"""Length of the averages at the start, from the authors' implementation: the present value has about half of the weight."""

OUTLIER_MEMORY = 2.2
"""Length of the averages after an outlier, from the paper."""

MEMORY = (1.5, 1e8)
"""Bounds of the length, from the authors' implementation: without them it may grow without end."""

AVERAGES = (
    *("gradient", "gradient_square", "gamma_above", "gamma_below", "corrected", "previous"),
    *("curvature", "curvature_square", "change", "change_square", "covariance", "memory"),
)
"""The tensors of a parameter's state. Those with plain names are means."""


class AdaSecant(Optimizer):
    """AdaSecant (Gulcehre and Bengio 2014, arXiv 1412.7419; Gulcehre, Sotelo, Moczulski and Bengio 2017, arXiv 1703.00788).

    Each element has its own LR, an estimate of 1 / curvature by the secant method: the change of the weight over the change
    of the gradient. With d the change of a weight in an update, a the change of its gradient since the last one, and E[]
    averages:

        eta = sqrt(E[d ** 2] + eps) / sqrt(E[a ** 2] + eps) - E[a d] / (E[a ** 2] + eps)
        d = -lr eta h,    h = (g + gamma E[g]) / (1 + gamma)

    - g is the gradient over its norm in the same tensor (block normalisation).
    - gamma, from 0 to `gamma_max`, reduces the variance of h: sqrt(E[((g - h') (h' - E[g])) ** 2]) over
      sqrt(E[((E[g] - g) (h' - E[g])) ** 2]), where h' is the h of the last update.
    - The averages have a length tau for each element: tau <- (1 - E[d] ** 2 / E[d ** 2]) tau + 1, so that they are short
      where a weight moves steadily. It is set to 2.2 after an outlier: a g or an a more than two standard deviations from
      its mean. The averages of g have the constant `decay`.

    The paper leaves open what is done where the estimates are negative or 0, and the authors' own implementation
    (github.com/caglar/adasecant_wshp_paper) decides here: gamma is the ratio of root mean squares, the averages are updated
    before tau is, and the terms in `eps` keep steps from shrinking to 0. The method has no LR; `lr` multiplies its steps,
    and the averages see the steps that are really made. At 1 it is the method itself. Values far below 1 act twice, because
    shorter steps also give smaller estimates where the noise of the gradients is larger than their change.

    Args:
        params: Parameters, or parameter groups, which may have settings of their own.
        lr: Factor on the steps; 1 is the method of the paper.
        decay: Decay of the averages of gradients, from 0 to below 1.
        gamma_max: Upper limit of gamma; 0 turns the reduction of variance off.
        eps: Added to the mean squares of steps and of changes of the gradient, above 0: it decides how fast weights move
            whose gradients are only noise. The authors' implementation has 1e-7.
        normalized: Whether gradients are divided by their norm in their tensor.
        adagrad: Whether steps are divided by max(1, the root of the sum of all squared h), so that training converges in the
            end ("Improving Convergence" in the paper).
        weight_decay: L2 penalty: adds weight_decay * p to the gradient.
        maximize: Whether to maximise.
        foreach: Whether to update all parameters by one call of each operation; None (the default) on accelerators only.

    Raises:
        ArgumentError: if a setting breaks its rule, or a parameter is complex or of float16.
        ArgumentTypeError: if a setting is of the wrong type.

    Example:
        >>> import torch, learnrate as lr
        >>> weights = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = lr.torch.optimizers.AdaSecant([weights])
        >>> for _ in range(200):
        ...     optimizer.zero_grad()
        ...     (torch.tensor([100.0, 1.0]) * weights**2).sum().backward()
        ...     optimizer.step()
        >>> bool((weights.abs() < 0.1).all())
        True
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        *,
        decay: float = 0.95,
        gamma_max: float = 1.8,
        eps: float = 1e-5,
        normalized: bool = True,
        adagrad: bool = False,
        weight_decay: float = 0.0,
        maximize: bool = False,
        foreach: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "decay": decay,
                "gamma_max": gamma_max,
                "eps": eps,
                "normalized": normalized,
                "adagrad": adagrad,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
            },
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; see `torch.optim.Optimizer.add_param_group`.

        Raises:
            ArgumentError: if a setting breaks its rule, or a parameter is complex.
            ArgumentTypeError: if a setting is of the wrong type.
        """
        super().add_param_group(param_group)
        try:
            check_group("AdaSecant", self.param_groups[-1], RULES)
            for parameter in self.param_groups[-1]["params"]:
                if parameter.dtype == torch.float16:  # which holds neither `TINY` nor the longest average
                    checks.refuse("the parameters of AdaSecant", "of a dtype with a wider range", parameter.dtype)
        except (ValueError, TypeError):
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make an update.

        Args:
            closure: Makes the gradients and returns the loss; not needed.

        Returns:
            What the closure returned; None without one.

        Raises:
            ArgumentError: if a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameters in in_lists(with_gradients("AdaSecant", group), group["foreach"]):
                self._follow(group, parameters)
        return loss

    def _follow(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """One update of these parameters."""
        gradients = gradients_of(parameters, group)
        if group["normalized"]:
            norms = torch._foreach_norm(gradients)
            torch._foreach_add_(norms, TINY)
            gradients = list(torch._foreach_div(gradients, norms))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if not self.state[parameter]:
                self.state[parameter] |= _first_state(parameter, gradient, adagrad=group["adagrad"])
            self.state[parameter]["step"] += 1
        names = (*AVERAGES, "sum") if group["adagrad"] else AVERAGES
        rows = [
            [parameter, gradient, *(self.state[parameter][name] for name in names)]
            for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
        for targets, followed, *kept in in_blocks(rows):
            torch._foreach_add_(targets, _changes(group, dict(zip(names, kept, strict=True)), followed))


def _first_state(parameter: Tensor, gradient: Tensor, adagrad: bool) -> dict[str, Any]:
    """The state before the first update, whose gradient stands in for the change of the weight before it."""
    state: dict[str, Any] = {"step": 0, **{name: torch.zeros_like(parameter) for name in AVERAGES}}
    state["change"].copy_(gradient)
    state["change_square"].copy_(gradient.square())
    state["memory"].fill_(FIRST_MEMORY)
    return state | ({"sum": torch.zeros_like(parameter)} if adagrad else {})


def _changes(group: dict[str, Any], averages: dict[str, list[Tensor]], gradients: list[Tensor]) -> list[Tensor]:
    """The changes of the parameters; the averages are updated in place."""
    weights = torch._foreach_reciprocal(averages["memory"])
    _average(averages, "gradient", gradients, 1 - group["decay"])
    _average(averages, "gradient_square", torch._foreach_mul(gradients, gradients), 1 - group["decay"])
    corrected = _corrected(group, averages, gradients, weights)
    differences = torch._foreach_sub(gradients, averages["previous"])
    _average(averages, "curvature", differences, weights)
    _average(averages, "curvature_square", torch._foreach_mul(differences, differences), weights)
    changes = _learning_rates(averages, group["eps"])
    torch._foreach_mul_(changes, corrected)
    torch._foreach_mul_(changes, -float(group["lr"]))
    if group["adagrad"]:
        sums = averages["sum"]
        torch._foreach_addcmul_(sums, corrected, corrected)
        roots = torch._foreach_sqrt(sums)
        torch._foreach_clamp_min_(roots, 1.0)
        torch._foreach_div_(changes, roots)
    memory = _memory(averages, gradients, differences)
    _average(averages, "change", changes, weights)
    _average(averages, "change_square", torch._foreach_mul(changes, changes), weights)
    _average(averages, "covariance", torch._foreach_mul(changes, differences), weights)
    for name, values in {"memory": memory, "corrected": corrected, "previous": gradients}.items():
        torch._foreach_copy_(averages[name], values)
    return changes


def _average(averages: dict[str, list[Tensor]], name: str, values: Any, weights: Any) -> None:
    """Give the present values these weights in an average."""
    torch._foreach_lerp_(averages[name], values, weights)


def _corrected(
    group: dict[str, Any], averages: dict[str, list[Tensor]], gradients: list[Tensor], weights: Any
) -> list[Tensor]:
    """Gradients of reduced variance, h."""
    means = averages["gradient"]
    off = torch._foreach_sub(averages["corrected"], means)
    above = torch._foreach_sub(gradients, averages["corrected"])
    below = torch._foreach_sub(means, gradients)
    for name, factors in {"gamma_above": above, "gamma_below": below}.items():
        torch._foreach_mul_(factors, off)
        torch._foreach_mul_(factors, factors)
        _average(averages, name, factors, weights)
    gammas = torch._foreach_sqrt(averages["gamma_above"])
    divisors = torch._foreach_add(averages["gamma_below"], TINY)
    torch._foreach_sqrt_(divisors)
    torch._foreach_div_(gammas, divisors)
    torch._foreach_clamp_max_(gammas, group["gamma_max"])
    corrected = torch._foreach_addcmul(gradients, gammas, means)
    torch._foreach_add_(gammas, 1.0)
    torch._foreach_div_(corrected, gammas)
    return list(corrected)


def _learning_rates(averages: dict[str, list[Tensor]], eps: float) -> list[Tensor]:
    """The LR of each element, eta."""
    squares = torch._foreach_add(averages["curvature_square"], eps)
    covariances = torch._foreach_div(averages["covariance"], squares)
    rates = torch._foreach_add(averages["change_square"], eps)
    torch._foreach_div_(rates, squares)
    torch._foreach_sqrt_(rates)
    torch._foreach_sub_(rates, covariances)
    return list(rates)


def _memory(averages: dict[str, list[Tensor]], gradients: list[Tensor], differences: Any) -> list[Tensor]:
    """The lengths of the averages from the next update on."""
    steady = torch._foreach_mul(averages["change"], averages["change"])
    torch._foreach_div_(steady, torch._foreach_add(averages["change_square"], TINY))
    memory = torch._foreach_mul(averages["memory"], steady)
    memory = torch._foreach_sub(averages["memory"], memory)
    torch._foreach_add_(memory, 1.0)
    outliers = _outliers(gradients, averages["gradient"], averages["gradient_square"])
    torch._foreach_maximum_(outliers, _outliers(differences, averages["curvature"], averages["curvature_square"]))
    torch._foreach_mul_(memory, torch._foreach_add(torch._foreach_neg(outliers), 1.0))
    torch._foreach_add_(memory, outliers, alpha=OUTLIER_MEMORY)
    torch._foreach_clamp_min_(memory, MEMORY[0])
    torch._foreach_clamp_max_(memory, MEMORY[1])
    return list(memory)


def _outliers(values: Any, means: list[Tensor], squares: list[Tensor]) -> list[Tensor]:
    """1 where a value is more than two standard deviations from its mean, 0 elsewhere."""
    far = torch._foreach_sub(values, means)
    torch._foreach_mul_(far, far)
    variances = torch._foreach_sub(squares, torch._foreach_mul(means, means))
    torch._foreach_sub_(far, variances, alpha=4.0)
    torch._foreach_sign_(far)
    torch._foreach_clamp_min_(far, 0.0)
    return list(far)
