"""Stacked copies of a model's weights, and the forward and backward passes of all copies at once."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from learnrate.torch.ensemble.conditions import first_sentence
from learnrate.torch.training import TorchTrainable
from learnrate.torch.training.update import means
from learnrate.trainable import NotBatchableError

SLOW = "There is a performance drop"
"""How the warning starts that `vmap` gives for an operation that it computes for one member after the other."""

Names = tuple[str, ...]
"""All names under which the modules have a tensor: several if it is tied."""


@dataclass(frozen=True)
class PassResult:
    """The result of the forward and backward passes of an update.

    Attributes:
        metrics: The values to record, "loss" among them; for several members a tensor with one value each, or what is the
            same for all.
        gradients: One per trained parameter, None if it was not used.
        buffers: The buffers that changed.
    """

    metrics: dict[str, Any]
    gradients: list[Tensor | None]
    buffers: dict[Names, Tensor]


class _ModelAndCriteria(nn.Module):
    """Model and criteria as one module that computes the loss, because `functional_call` replaces tensors of one module."""

    def __init__(self, trainable: TorchTrainable) -> None:
        super().__init__()
        self.parts = nn.ModuleList([trainable.model, *(item for item in trainable.kept if isinstance(item, nn.Module))])
        [objective] = trainable.objectives
        self.loss = objective.loss
        self.values = trainable.values

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        return self.values(self.loss, batch)


class Stack:
    """The trained parameters, and the buffers that change, of the members of an ensemble.

    Attributes:
        own: The trainable's trained parameters.
        parameters: For each of them, a tensor with one row per member.
        buffers: The same for buffers that change; empty until `start_buffers`.
        module: Model and criteria.
        quiet: Whether to ignore the warnings of `vmap` about slow operations.

    Raises:
        NotBatchableError: if an optimizer holds parameters that belong neither to the model nor to a criterion.
    """

    def __init__(self, trainable: TorchTrainable, count: int) -> None:
        self._trainable, self.module = trainable, _ModelAndCriteria(trainable)
        groups = [group for optimizer in trainable.optimizers.values() for group in optimizer.param_groups]
        optimized = {id(p): p for group in groups for p in group["params"]}
        parameters = _by_names(self.module.named_parameters(remove_duplicate=False))
        trained = {names: p for names, p in parameters.items() if p.requires_grad and id(p) in optimized}
        if len(trained) < sum(p.requires_grad for p in optimized.values()):
            raise NotBatchableError("the optimizer holds parameters that are not the model's")
        self._names, self.own = list(trained), list(trained.values())
        self._count = count
        self.parameters = [_stacked(parameter, count).requires_grad_() for parameter in self.own]
        self.buffers: dict[Names, Tensor] = {}
        self._shared: dict[str, Tensor] = {}
        self.quiet = False

    def start_buffers(self, values: Mapping[Names, Tensor]) -> None:
        """Give each member its own copy of these buffers; all members share the model's other buffers.

        A constant mask, for example, need not be copied, and code that branches on its values works only if it is shared.
        """
        self.buffers = {names: _stacked(value, self._count) for names, value in values.items()}
        shared = {names: buffer for names, buffer in self.present_buffers().items() if names not in values}
        self._shared = _each_name(shared, shared.values())

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows only."""
        self._count = len(rows)
        self.parameters = [stack.detach()[rows].requires_grad_() for stack in self.parameters]
        self.buffers = {names: stack[rows] for names, stack in self.buffers.items()}

    def passes(self, batches: Sequence[Any]) -> PassResult:
        """The forward and backward passes of an update, for all members.

        Raises:
            NotBatchableError: if they fail.
        """
        rows: list[dict[str, Any]] = []
        gradients: list[Tensor | None] = [None] * len(self.parameters)
        try:
            with warnings.catch_warnings() if self.quiet else nullcontext():
                if self.quiet:
                    warnings.filterwarnings("ignore", SLOW)
                for batch in batches:
                    losses, metrics = self._forward(batch)
                    added = torch.autograd.grad(losses.sum() / len(batches), self.parameters, allow_unused=True)
                    gradients = [_sum(*pair) for pair in zip(gradients, added, strict=True)]
                    rows.append(metrics)
        except NotBatchableError:
            raise
        except Exception as error:
            raise NotBatchableError(f"torch cannot batch this model ({first_sentence(error)})") from error
        return PassResult(means(rows), gradients, self.buffers)

    def _forward(self, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        plain: dict[str, Any] = {}
        names = list(self.buffers)

        def member(parameters: list[Tensor], buffers: list[Tensor]) -> tuple[Tensor, dict[str, Tensor], dict[int, Tensor]]:
            own = self._shared | _each_name(self._names, parameters) | _each_name(names, buffers)
            loss, values = functional_call(self.module, own, (batch,), tie_weights=False)
            if any(own[name] is not value for name, value in self._shared.items()):
                raise NotBatchableError("a buffer that all members share was replaced")
            plain.update({name: value for name, value in values.items() if not isinstance(value, Tensor)})
            tensors = {name: _flat(value.detach()) for name, value in values.items() if isinstance(value, Tensor)}
            # A buffer that is changed in place changes the stack. If it was replaced, `functional_call` wrote it into `own`.
            after = [own[aliases[0]] for aliases in names]
            new = {place: t for place, (t, old) in enumerate(zip(after, buffers, strict=True)) if t is not old}
            return _flat(loss), tensors, new

        with self._trainable.updater.precision(self._trainable.model):
            stacks = (self.parameters, [self.buffers[aliases] for aliases in names])
            losses, tensors, new = vmap(member, randomness="same")(*stacks)
        self.buffers = self.buffers | {names[place]: value.detach() for place, value in new.items()}
        return losses, plain | tensors

    def present_buffers(self) -> dict[Names, Tensor]:
        """The buffers that the model and its criteria have now."""
        return _by_names(self.module.named_buffers(remove_duplicate=False))

    def load(self, row: int) -> None:
        """Copy the weights and buffers of this row into the model."""
        present = self.present_buffers()
        with torch.no_grad():
            for own, stack in zip(self.own, self.parameters, strict=True):
                own.copy_(stack[row])
            for names, stack in self.buffers.items():
                present[names].copy_(stack[row])

    def hide(self) -> None:
        """Fill the model's own weights with NaN until the next `load`, so that a pass that reads them is noticed."""
        present = self.present_buffers()
        with torch.no_grad():
            for own in (*self.own, *(present[names] for names in self.buffers)):
                if own.is_floating_point():
                    own.fill_(math.nan)


def _by_names(named: Iterable[tuple[str, Tensor]]) -> dict[Names, Tensor]:
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, tensor in named:
        names.setdefault(id(tensor), []).append(name)
        tensors[id(tensor)] = tensor
    return {tuple(names[key]): tensor for key, tensor in tensors.items()}


def _each_name(names: Iterable[Names], tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    return {name: tensor for aliases, tensor in zip(names, tensors, strict=True) for name in aliases}


def _stacked(tensor: Tensor, count: int) -> Tensor:
    return tensor.detach().expand(count, *tensor.shape).clone(memory_format=torch.contiguous_format)


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(()) if tensor.numel() == 1 else tensor


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
