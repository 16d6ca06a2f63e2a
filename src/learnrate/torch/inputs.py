"""Checks of models and optimizers, before anything is changed."""

import reprlib
from collections.abc import Mapping, Sequence

from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from learnrate.errors import ArgumentError, ArgumentTypeError

Optimizers = Optimizer | Sequence[Optimizer] | Mapping[str, Optimizer]
"""One optimizer, or several: a list, or a mapping from names."""


def _shown(value: object) -> str:
    """A value in one short line: a model or an optimizer in place of the other prints many."""
    return " ".join(reprlib.repr(value).split())


def check_model(model: object) -> None:
    """Refuse an object that is not a model, or a model that cannot be trained.

    Raises:
        ArgumentTypeError: if it is not a module.
        ArgumentError: if it has no trainable parameters, lazy ones, or some on the meta device.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(f"model must be a torch.nn.Module, received {_shown(model)} of type {type(model).__name__}")
    name = type(model).__name__
    if not any(p.requires_grad for p in model.parameters()):
        raise ArgumentError(
            f"model must have trainable parameters, {name} has none: set requires_grad on what should be trained"
        )
    tensors = (*model.parameters(), *model.buffers())
    if any(tensor.is_meta for tensor in tensors):
        raise ArgumentError(f"model must have all its weights, {name} has some on the meta device: initialise it")
    if any(is_lazy(tensor) for tensor in tensors):
        raise ArgumentError(f"model must have all its weights, {name} has lazy ones: run one forward pass first")


def check_optimizer(optimizer: object) -> None:
    """Refuse an object that is not an optimizer.

    Raises:
        ArgumentTypeError: if it is not a `torch.optim.Optimizer`.
    """
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(
            f"optimizer must be a torch.optim.Optimizer, received {_shown(optimizer)} of type {type(optimizer).__name__}"
        )


def optimizers_by_name(optimizer: object) -> dict[str, Optimizer]:
    """One or several optimizers by name: the keys of a mapping, otherwise "0", "1" and so on.

    Raises:
        ArgumentTypeError: if one of them is not an optimizer.
        ArgumentError: if there are none.
    """
    if isinstance(optimizer, Mapping):
        optimizers = {str(name): entry for name, entry in optimizer.items()}
    elif isinstance(optimizer, (list, tuple)):
        optimizers = {str(number): entry for number, entry in enumerate(optimizer)}
    else:
        optimizers = {"0": optimizer}
    if not optimizers:
        raise ArgumentError("optimizer must be at least one, received none")
    for entry in optimizers.values():
        check_optimizer(entry)
    return optimizers


def check_pair(model: nn.Module, optimizers: Mapping[str, Optimizer]) -> None:
    """Refuse a model and optimizers that cannot train together.

    Raises:
        ArgumentTypeError: if `model` is not a module.
        ArgumentError: if the model has no trainable parameters, or an optimizer holds none of them or has no LR.
    """
    check_model(model)
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    for optimizer in optimizers.values():
        groups = optimizer.param_groups
        if not all("lr" in group for group in groups):
            raise ArgumentError(
                f"the optimizer must have an LR in every group under 'lr', {type(optimizer).__name__} does not"
            )
        if not any(id(p) in trainable for group in groups for p in group["params"]):
            raise ArgumentError(
                "the optimizer must hold trainable parameters of the model, it holds none: build it from model.parameters()"
            )
