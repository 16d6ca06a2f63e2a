"""The optimizers of Tables 1 and 3 for weights of many members, each with an LR of its own in a tensor.

The formulas are those of torch's optimizers and of `CaffeSGD`. All numbers that change from update to update are in tensors,
so that an update can be recorded as a CUDA graph and repeated.
"""

from collections.abc import Callable

import torch
from torch import Tensor

State = dict[str, Tensor]
"""What an optimizer keeps of a parameter."""

Step = Callable[[Tensor, Tensor, Tensor, State], None]
"""Changes weights in place, by their gradients (weight decay included), LRs that fit their shape, and the state."""


def caffe(weights: Tensor, gradients: Tensor, lrs: Tensor, state: State) -> None:
    """SGD with the LR inside the velocity, momentum 0.9."""
    velocity = state["velocity"]
    velocity.mul_(0.9).add_(lrs * gradients)
    weights.sub_(velocity)


def nesterov(weights: Tensor, gradients: Tensor, lrs: Tensor, state: State) -> None:
    """The same with Nesterov's momentum."""
    velocity = state["velocity"]
    weights.add_(velocity, alpha=0.9)
    velocity.mul_(0.9).add_(lrs * gradients)
    weights.sub_(velocity, alpha=1.9)


def adam(weights: Tensor, gradients: Tensor, lrs: Tensor, state: State) -> None:
    """Adam with torch's defaults."""
    mean, square, count = state["mean"], state["square"], state["count"]
    count.add_(1)
    mean.lerp_(gradients, 0.1)
    square.mul_(0.999).addcmul_(gradients, gradients, value=0.001)
    divisor = (square / (1 - 0.999**count)).sqrt_().add_(1e-8)
    weights.sub_(lrs / (1 - 0.9**count) * mean / divisor)


def rmsprop(weights: Tensor, gradients: Tensor, lrs: Tensor, state: State) -> None:
    """RMSprop with torch's defaults."""
    square = state["square"]
    square.mul_(0.99).addcmul_(gradients, gradients, value=0.01)
    weights.sub_(lrs * gradients / square.sqrt().add_(1e-8))


def adagrad(weights: Tensor, gradients: Tensor, lrs: Tensor, state: State) -> None:
    """AdaGrad with the eps of Caffe."""
    square = state["square"].addcmul_(gradients, gradients)
    weights.sub_(lrs * gradients / square.sqrt().add_(1e-8))


def adadelta(weights: Tensor, gradients: Tensor, lrs: Tensor, state: State) -> None:
    """AdaDelta with rho 0.95."""
    square, change_square = state["square"], state["change_square"]
    square.mul_(0.95).addcmul_(gradients, gradients, value=0.05)
    change = (change_square + 1e-6).sqrt_().div_((square + 1e-6).sqrt_()).mul_(gradients)
    change_square.mul_(0.95).addcmul_(change, change, value=0.05)
    weights.sub_(lrs * change)


STEPS: dict[str, tuple[Step, tuple[str, ...]]] = {
    "SGD": (caffe, ("velocity",)),
    "Nesterov": (nesterov, ("velocity",)),
    "Adam": (adam, ("mean", "square", "count")),
    "RMSprop": (rmsprop, ("square",)),
    "AdaGrad": (adagrad, ("square",)),
    "AdaDelta": (adadelta, ("square", "change_square")),
}
"""Each with the tensors that it keeps of a parameter."""


def new_state(kind: str, weights: Tensor) -> State:
    """Zeros; a count is one number, in double precision, as torch's optimizers have it."""
    return {
        name: torch.zeros((), dtype=torch.float64, device=weights.device) if name == "count" else torch.zeros_like(weights)
        for name in STEPS[kind][1]
    }
