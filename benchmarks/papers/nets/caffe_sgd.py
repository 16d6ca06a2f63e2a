"""SGD with Caffe's momentum: the LR of an update is inside the velocity.

v' = momentum * v + lr * (gradient + weight_decay * w); w' = w - v', or with Nesterov's momentum
w' = w - (1 + momentum) * v' + momentum * v (Caffe's sgd_solver.cpp and nesterov_solver.cpp)

torch's SGD keeps the sum of the gradients and multiplies it by the LR of the present update. Both are equal as long as the
LR is constant. Where it falls to a tenth, torch's steps are a tenth at once, and Caffe's approach that in about
1 / (1 - momentum) updates; where it rises fast, Caffe's steps rise later.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD
from torch.optim.optimizer import ParamsT


class CaffeSGD(SGD):
    """SGD with the LR inside the velocity.

    It is an `SGD`, so that learnrate knows its kind. Only the options below have an effect.

    Args:
        params: Parameters or groups.
        lr: LR.
        momentum: Share of the velocity that is left after an update; from 0 to below 1.
        weight_decay: L2 penalty: this times the weight is added to the gradient.
        nesterov: Whether the momentum is Nesterov's.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr, momentum, weight_decay=weight_decay, nesterov=nesterov)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make one update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            velocities = [self._velocity(parameter) for parameter in parameters]
            gradients: list[Tensor] = [parameter.grad for parameter in parameters]  # type: ignore[misc]
            lr, momentum, weight_decay = float(group["lr"]), group["momentum"], group["weight_decay"]
            weights_before = [parameter.clone() for parameter in parameters] if group["nesterov"] else parameters
            if group["nesterov"]:
                torch._foreach_add_(parameters, velocities, alpha=momentum)
            torch._foreach_mul_(velocities, momentum)
            torch._foreach_add_(velocities, gradients, alpha=lr)
            if weight_decay:
                torch._foreach_add_(velocities, weights_before, alpha=lr * weight_decay)
            torch._foreach_add_(parameters, velocities, alpha=-(1 + momentum) if group["nesterov"] else -1)
        return loss

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]
