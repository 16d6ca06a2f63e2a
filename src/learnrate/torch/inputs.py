"""Checks of what users hand over, before anything is touched."""

from collections.abc import Mapping

from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

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
    _require_elements(model)
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


def _require_elements(model: nn.Module) -> None:
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ArgumentError(
            f"model must have all its weights, {type(model).__name__} has some on the meta device: initialise it"
        )


def named(optimizer: object) -> dict[str, Optimizer]:
    """One or several optimizers by name: by their own in a mapping, else by their number.

    Raises:
        ArgumentTypeError: if one of them is none.
        ArgumentError: if there are none.
    """
    if isinstance(optimizer, Mapping):
        found = {str(name): one for name, one in optimizer.items()}
    elif isinstance(optimizer, (list, tuple)):
        found = {str(number): one for number, one in enumerate(optimizer)}
    else:
        found = {"0": optimizer}
    if not found:
        raise ArgumentError("optimizer must be at least one, received none")
    for one in found.values():
        check_optimizer(one)
    return found


def check_pair(model: nn.Module, optimizers: Mapping[str, Optimizer]) -> None:
    """Refuse a model and optimizers that cannot train together.

    Raises:
        ArgumentTypeError: if one of them is something else.
        ArgumentError: if the model has no trainable parameters, or an optimizer holds none of them.
    """
    check_model(model)
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    for one in optimizers.values():
        if not all("lr" in group for group in one.param_groups):
            raise ArgumentError(f"the optimizer must have an LR in every group under 'lr', {type(one).__name__} has not")
        if not any(id(p) in trainable for group in one.param_groups for p in group["params"]):
            raise ArgumentError(
                "the optimizer must hold trainable parameters of the model, it holds none: build it from model.parameters()"
            )
