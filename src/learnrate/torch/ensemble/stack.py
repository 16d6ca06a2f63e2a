"""Many copies of a model's weights in one tensor each, and the forward and backward passes of all of them at once."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from learnrate.torch.ensemble.conditions import said
from learnrate.torch.training.trainable import TorchTrainable as Loop
from learnrate.torch.training.update import means
from learnrate.trainable import NotBatchableError as ApartError

SLOW = "There is a performance drop"
"""How `vmap` warns of an operation that it makes for one racer after the other, which is no slower than apart."""

Names = tuple[str, ...]
"""All the names by which the modules hold a tensor: several where it is tied."""


@dataclass(frozen=True)
class Found:
    """What forward and backward passes gave.

    Attributes:
        seen: The values to record; of several racers a tensor of one each, or what is the same for all.
        gradients: One a trained parameter, None where it was not used.
        buffers: Those that changed.
    """

    seen: dict[str, Any]
    gradients: list[Tensor | None]
    buffers: dict[Names, Tensor]


class _Whole(nn.Module):
    """Model and criteria as one module, whose call is the loss: all that `functional_call` may be asked to replace."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.parts = nn.ModuleList([loop.model, *(one for one in loop.kept if isinstance(one, nn.Module))])
        [objective] = loop.objectives
        self.loss = objective.loss
        self.values = loop.values

    def forward(self, lr: float, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        return self.values(self.loss, batch)


class Stack:
    """The trained parameters, and the buffers that change, of racers that start from a loop's present state.

    Attributes:
        own: The loop's trained parameters.
        parameters: For each, a tensor of one row a racer.
        buffers: The same of the buffers that change; there are none until `start_buffers`.
        quiet: Whether there are operations of which `vmap` warns.

    Raises:
        ApartError: if an optimizer holds parameters that are neither the model's nor a criterion's.
    """

    def __init__(self, loop: Loop, count: int) -> None:
        self._loop, self.whole = loop, _Whole(loop)
        held = {id(p): p for one in loop.optimizers.values() for group in one.param_groups for p in group["params"]}
        parameters = _by_names(self.whole.named_parameters(remove_duplicate=False))
        trained = {names: one for names, one in parameters.items() if one.requires_grad and id(one) in held}
        if len(trained) < sum(one.requires_grad for one in held.values()):
            raise ApartError("the optimizer holds parameters that are not the model's")
        self._names, self.own = list(trained), list(trained.values())
        self._count = count
        self.parameters = [_stacked(one, count).requires_grad_() for one in self.own]
        self.buffers: dict[Names, Tensor] = {}
        self._shared: dict[str, Tensor] = {}
        self.quiet = False

    def start_buffers(self, values: Mapping[Names, Tensor]) -> None:
        """Let each racer have these buffers from here on; the others stay the model's own, which all share.

        A mask is not needed so many times, and may be asked for its values.
        """
        self.buffers = {names: _stacked(one, self._count) for names, one in values.items()}
        shared = {names: one for names, one in self.present_buffers().items() if names not in values}
        self._shared = _each_name(shared, shared.values())

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the racers in these places."""
        self._count = len(places)
        self.parameters = [stack.detach()[places].requires_grad_() for stack in self.parameters]
        self.buffers = {names: stack[places] for names, stack in self.buffers.items()}

    def passes(self, lr: float, batches: Sequence[Any]) -> Found:
        """The forward and backward passes of an update, for all racers.

        Raises:
            ApartError: if they fail.
        """
        rows: list[dict[str, Any]] = []
        gradients: list[Tensor | None] = [None] * len(self.parameters)
        try:
            with warnings.catch_warnings() if self.quiet else nullcontext():
                if self.quiet:
                    warnings.filterwarnings("ignore", SLOW)
                for batch in batches:
                    losses, seen = self._forward(lr, batch)
                    found = torch.autograd.grad(losses.sum() / len(batches), self.parameters, allow_unused=True)
                    gradients = [_sum(*pair) for pair in zip(gradients, found, strict=True)]
                    rows.append(seen)
        except ApartError:
            raise
        except Exception as error:
            raise ApartError(f"torch cannot batch this model ({said(error)})") from error
        return Found(means(rows), gradients, self.buffers)

    def _forward(self, lr: float, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        plain: dict[str, Any] = {}
        names = list(self.buffers)

        def one(parameters: list[Tensor], buffers: list[Tensor]) -> tuple[Tensor, dict[str, Tensor], dict[int, Tensor]]:
            own = self._shared | _each_name(self._names, parameters) | _each_name(names, buffers)
            loss, values = functional_call(self.whole, own, (lr, batch), tie_weights=False)
            if any(own[name] is not value for name, value in self._shared.items()):
                raise ApartError("a buffer that all racers shared was replaced")
            plain.update({name: value for name, value in values.items() if not isinstance(value, Tensor)})
            tensors = {name: _flat(value.detach()) for name, value in values.items() if isinstance(value, Tensor)}
            # A buffer changed in place changes the stack. Of another in its place, `functional_call` tells in `own`.
            after = [own[some[0]] for some in names]
            new = {place: t for place, (t, old) in enumerate(zip(after, buffers, strict=True)) if t is not old}
            return _flat(loss), tensors, new

        with self._loop.updater.precision(self._loop.model):
            stacks = (self.parameters, [self.buffers[some] for some in names])
            losses, seen, new = vmap(one, randomness="same")(*stacks)
        self.buffers = self.buffers | {names[place]: value.detach() for place, value in new.items()}
        return losses, plain | seen

    def present_buffers(self) -> dict[Names, Tensor]:
        """The buffers that the model and its criteria have now."""
        return _by_names(self.whole.named_buffers(remove_duplicate=False))

    def load(self, place: int) -> None:
        """Put the weights and buffers of the racer in this place into the model."""
        present = self.present_buffers()
        with torch.no_grad():
            for own, stack in zip(self.own, self.parameters, strict=True):
                own.copy_(stack[place])
            for names, stack in self.buffers.items():
                present[names].copy_(stack[place])

    def hide(self) -> None:
        """Let nobody take the model's own weights for a racer's unnoticed: they are no numbers until the next `load`."""
        present = self.present_buffers()
        with torch.no_grad():
            for own in (*self.own, *(present[names] for names in self.buffers)):
                if own.is_floating_point():
                    own.fill_(math.nan)


def _by_names(named: Iterable[tuple[str, Tensor]]) -> dict[Names, Tensor]:
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, one in named:
        names.setdefault(id(one), []).append(name)
        tensors[id(one)] = one
    return {tuple(names[key]): one for key, one in tensors.items()}


def _each_name(names: Iterable[Names], tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    return {name: one for some, one in zip(names, tensors, strict=True) for name in some}


def _stacked(one: Tensor, count: int) -> Tensor:
    return one.detach().expand(count, *one.shape).clone(memory_format=torch.contiguous_format)


def _flat(one: Tensor) -> Tensor:
    return one.reshape(()) if one.numel() == 1 else one


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other
