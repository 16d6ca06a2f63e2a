"""Checks of what users hand over, before anything is touched."""

from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import LBFGS, Optimizer

from learnrate.errors import ArgumentError, ArgumentTypeError


def check_model(model: object) -> None:
    """Refuse what is no model, or one that cannot learn.

    Raises:
        ArgumentTypeError: if it is no module.
        ArgumentError: if it has no trainable parameters.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(f"model must be a torch.nn.Module, received {model!r} of type {type(model).__name__}")
    if not any(p.requires_grad for p in model.parameters()):
        raise ArgumentError(
            f"model must have trainable parameters, {type(model).__name__} has none: set requires_grad on what should learn"
        )
    if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise ArgumentError(
            f"model must have all its weights, {type(model).__name__} has lazy ones: run one forward pass first"
        )


def check_optimizer(optimizer: object) -> None:
    """Refuse what is no optimizer.

    Raises:
        ArgumentTypeError: if it is none.
    """
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(
            f"optimizer must be a torch.optim.Optimizer, received {optimizer!r} of type {type(optimizer).__name__}"
        )


def check_pair(model: nn.Module, optimizer: Optimizer) -> None:
    """Refuse a model and an optimizer that cannot train together.

    Raises:
        ArgumentTypeError: if one of them is something else.
        ArgumentError: if the model has no trainable parameters, or the optimizer holds none of them.
    """
    check_model(model)
    check_optimizer(optimizer)
    if isinstance(optimizer, LBFGS):
        raise ArgumentError("the optimizer must update without a closure, LBFGS needs one: use another for the range test")
    if not all("lr" in group for group in optimizer.param_groups):
        raise ArgumentError(f"the optimizer must have an LR in every group under 'lr', {type(optimizer).__name__} has not")
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    if not any(id(p) in trainable for group in optimizer.param_groups for p in group["params"]):
        raise ArgumentError(
            "the optimizer must hold trainable parameters of the model, it holds none: build it from model.parameters()"
        )
