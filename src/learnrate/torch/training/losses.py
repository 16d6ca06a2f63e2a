"""Losses as users write them: criteria of (outputs, target), functions of (model, batch), one for each optimizer."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError, LossError
from learnrate.user_code import own_line

Loss = nn.Module | Callable[[Any, Any], Tensor | Mapping[str, Any]]
"""A criterion (outputs, target) -> loss, such as `CrossEntropyLoss()` or a function, for batches of inputs and target; or
any function (model, batch) -> loss. Either may return a mapping with the key "loss" and further metrics."""

Losses = Loss | Mapping[str, Loss] | Sequence[Loss]
"""One loss that all optimizers minimise, or one for each optimizer, by its name or in their order."""


OUT_OF_MEMORY = (MemoryError, torch.OutOfMemoryError)
"""Running out of memory says nothing about the arguments of a loss."""


class BatchLoss:
    """A loss as a function (model, batch) -> loss, whichever of the two kinds it is.

    The kind of a function cannot be read off its signature. It shows at the first call: a function that fails on (model,
    batch) before it has called the model, and works on (outputs, target), is a criterion.
    """

    def __init__(self, name: str, loss: Any) -> None:
        self.loss = _require_loss(name, loss)
        criterion = isinstance(loss, nn.Module) or getattr(loss, "__module__", None) == "torch.nn.functional"
        # An adapter that knows the kind of its function says so: the errors of a training step are then its own.
        self.is_criterion: bool | None = True if criterion else (False if getattr(loss, "takes_model", False) else None)

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        """The loss of a model on a batch.

        Raises:
            LossError: at the first call, if the loss works neither on (model, batch) nor on (outputs, target).
        """
        if self.is_criterion is None:
            return self._first_call(model, batch)
        return criterion_loss(self.loss, model, batch) if self.is_criterion else self.loss(model, batch)

    def _first_call(self, model: nn.Module, batch: Any) -> Any:
        model_calls: list[object] = []
        hook = model.register_forward_pre_hook(lambda module, inputs: model_calls.append(None))
        try:
            value = self.loss(model, batch)
        except Exception as error:  # a criterion may check its arguments itself and raise anything
            hook.remove()
            # Many processes must not call a distributed model twice for one batch.
            if model_calls or isinstance(error, OUT_OF_MEMORY):
                raise
            if not is_pair(batch):
                raise LossError(
                    f"loss must work as loss(model, batch), because a {type(batch).__name__} is no batch of (inputs, "
                    f"target). It failed: {own_line(error)}"
                ) from error
            value = self._as_criterion(model, batch, error)
            self.is_criterion = True
        else:
            self.is_criterion = False
        finally:
            hook.remove()
        return value

    def _as_criterion(self, model: nn.Module, batch: Any, first_error: Exception) -> Any:
        *inputs, target = batch
        outputs = model(*inputs)
        try:
            return self.loss(outputs, target)
        except Exception as error:
            # Neither is an error about the arguments.
            if own_line(error) == own_line(first_error) or isinstance(error, OUT_OF_MEMORY):
                raise
            raise LossError(
                f"loss must work as loss(model, batch) or as loss(outputs, target). With (model, batch) it failed: "
                f"{own_line(first_error)}. With (outputs, target): {own_line(error)}"
            ) from first_error


def is_pair(batch: Any) -> bool:
    """Whether a batch holds one or more inputs and, last, the target."""
    return isinstance(batch, (tuple, list)) and len(batch) >= 2


def criterion_loss(criterion: Callable[..., Any], model: nn.Module, batch: Any) -> Any:
    """The loss of a criterion on a batch of one or more inputs and, last, the target.

    Raises:
        LossError: if the batch is not of that form.
    """
    if not is_pair(batch):
        raise LossError(
            f"a criterion needs batches of (inputs, target), received a {type(batch).__name__}: "
            "give a function loss(model, batch) instead"
        )
    *inputs, target = batch
    return criterion(model(*inputs), target)


@dataclass(frozen=True)
class Objective:
    """A loss and the optimizers that minimise it.

    Attributes:
        name: Name of the optimizer; empty if there is one loss for all optimizers.
        loss: The loss.
        optimizers: The optimizers.
    """

    name: str
    loss: BatchLoss
    optimizers: list[Optimizer]


def objectives(optimizers: Mapping[str, Optimizer], loss: Losses) -> list[Objective]:
    """Which optimizers minimise which loss: all of them the same one, or each its own, in turns.

    Raises:
        ArgumentError: if there is not one loss for each optimizer.
        ArgumentTypeError: if a loss is of the wrong kind.
    """
    if isinstance(loss, (list, tuple)):
        loss = {str(number): entry for number, entry in enumerate(loss)}
    if not isinstance(loss, Mapping):
        return [Objective("", BatchLoss("loss", loss), list(optimizers.values()))]
    if "loss" in optimizers:
        raise ArgumentError("an optimizer must not be named 'loss', which is the name of the loss of all of them")
    if loss.keys() != optimizers.keys():
        raise ArgumentError(
            f"loss must hold one loss for each optimizer, by its name, received {sorted(map(str, loss))} for "
            f"{sorted(optimizers)}"
        )
    return [
        Objective(name, BatchLoss(f"loss[{checks.shown(name)}]", entry), [optimizers[name]]) for name, entry in loss.items()
    ]


def _require_loss(name: str, loss: Any) -> Loss:
    """Refuse what cannot be a loss, before anything is trained.

    Raises:
        ArgumentTypeError: if it is no function of two arguments.
    """
    rule = "a criterion (outputs, target) -> loss or a function (model, batch) -> loss"
    if isinstance(loss, type):
        raise ArgumentTypeError(
            f"{name} must be {rule}, received the class {loss.__name__}: create an object, {loss.__name__}()"
        )
    if not callable(loss):
        checks.refuse_type(name, rule, loss)
    if not isinstance(loss, nn.Module) and not _takes_two(loss):
        checks.refuse_type(name, rule, loss, "it must take two arguments")
    function: Loss = loss
    return function


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # built-in functions have no signature
        return True
    return True
