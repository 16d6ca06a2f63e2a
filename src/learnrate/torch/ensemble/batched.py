"""An ensemble: the same model at several LRs, updated together by one forward and one backward pass.

Each member needs a copy of the trained parameters, of their gradients, of the optimizer's state, of the buffers that change,
and of the activations. The model and optimizer themselves stay in memory too, with the state that the check of the first
update leaves in the optimizer until it is restored.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate.torch.driving import SweptGroups
from learnrate.torch.ensemble import conditions
from learnrate.torch.ensemble.conditions import first_sentence
from learnrate.torch.ensemble.stack import SLOW, Names, PassResult, Stack
from learnrate.torch.snapshot import same_random_numbers
from learnrate.torch.training import TorchTrainable
from learnrate.trainable import NotBatchableError, scalars


def ensemble_of(trainable: TorchTrainable, count: int, together: bool | None = None) -> "TorchEnsemble":
    """An ensemble of a trainable's model, from its present state.

    Args:
        trainable: What is trained.
        count: Number of members.
        together: Whether to train as one batch; None decides by `conditions.worthwhile`.

    Raises:
        NotBatchableError: if the trainable cannot be batched, or should not be.
    """
    if together is False:
        raise NotBatchableError("together=False")
    device = next(trainable.model.parameters()).device
    if together is None and not conditions.worthwhile(trainable.model, device, count):
        raise NotBatchableError(f"as one batch, {count} such models would hardly train faster on this device")
    return TorchEnsemble(trainable, count)


@dataclass(frozen=True)
class _Member:
    parameters: list[nn.Parameter]
    optimizers: dict[str, Optimizer]
    groups: SweptGroups


class TorchEnsemble:
    """Copies of a trainable's model that start from its present state and train together, each at its own LR.

    The first update is also made by the trainable's own model and optimizers, and both results must agree; `evaluate` uses
    the model too. Afterwards, also after a `NotBatchableError` (which any update may raise), call `trainable.restore` with
    what `trainable.save` returned before: it puts back the model, its optimizers, the order of the data and the random
    numbers.

    Dropout masks are the same for all members. Masks inside attention differ from those that a single model would draw.

    Args:
        trainable: What is trained, in its start state.
        count: Number of members.

    Raises:
        NotBatchableError: if the trainable cannot be batched.
    """

    def __init__(self, trainable: TorchTrainable, count: int) -> None:
        conditions.require_plain(trainable)
        self._trainable, self._stack = trainable, Stack(trainable, count)
        self._members = {number: self._member(number) for number in range(count)}  # in the order of the stack
        self._count = count
        self._checked = False

    def update(self, lrs: Sequence[float | None]) -> list[dict[str, float]]:
        """One update of each member at its LR, all on the same batches.

        Args:
            lrs: One per member; None removes the member for good.

        Returns:
            The metrics of each member, with its loss under "loss"; an empty mapping for removed ones.

        Raises:
            NotBatchableError: if the trainable cannot be batched.
            LossError: if the loss is not a scalar tensor with a gradient.
        """
        self._remove({number for number, lr in enumerate(lrs) if lr is None})
        metrics: list[dict[str, float]] = [{} for _ in lrs]
        running = [(number, lr) for number, lr in enumerate(lrs) if lr is not None and number in self._members]
        if not running:
            return metrics
        batches, lr = self._trainable.draw(), running[0][1]
        if not self._checked:
            self._check_passes(batches)
        result = self._stack.passes(batches)
        self._distribute(result.gradients)
        with nullcontext() if self._checked else self._checking_step(lr):
            for number, lr in running:
                self._step(self._members[number], lr)
        self._checked = True
        self._trainable.updates += 1
        for (number, _), row in zip(running, _rows(result.metrics, len(running)), strict=True):
            metrics[number] = scalars(row)
        return metrics

    def evaluate(self) -> list[Mapping[str, float] | None]:
        """The evaluation of each member, from the same random numbers; None for removed ones, and without an evaluation.

        The model has the weights of the last member afterwards.
        """
        scores: list[Mapping[str, float] | None] = [None] * self._count
        for row, number in enumerate(self._members):
            self._stack.load(row)
            scores[number] = self._trainable.evaluate()
        return scores

    def _member(self, row: int) -> _Member:
        own, replicas = self._stack.own, [nn.Parameter(stack.detach()[row]) for stack in self._stack.parameters]
        optimizers = self._trainable.optimizers
        optimized = [p for optimizer in optimizers.values() for group in optimizer.param_groups for p in group["params"]]
        # A deep copy as the optimizer's class defines it, with its state, but with the replica in place of each parameter.
        memo: dict[int, Any] = {id(p): p for p in optimized}
        memo |= {id(p): replica for p, replica in zip(own, replicas, strict=True)}
        try:
            copies = copy.deepcopy(optimizers, memo)
        except Exception as error:
            raise NotBatchableError(f"the optimizer cannot be copied ({first_sentence(error)})") from error
        return _Member(replicas, copies, SweptGroups(copies, self._trainable.only))

    def _remove(self, numbers: set[int]) -> None:
        """Take members out of the stack, because weights that are not finite may raise an error in the loss."""
        rows = [row for row, number in enumerate(self._members) if number not in numbers]
        if len(rows) == len(self._members):
            return
        self._members = {number: member for number, member in self._members.items() if number not in numbers}
        self._stack.keep(rows)
        for row, member in enumerate(self._members.values()):
            for replica, stack in zip(member.parameters, self._stack.parameters, strict=True):
                replica.data = stack.detach()[row]

    def _distribute(self, gradients: Sequence[Tensor | None]) -> None:
        for place, gradient in enumerate(gradients):
            # In the parameters' memory layout, as autograd would make it, because fused optimizers rely on it.
            rows = [None] * len(self._members) if gradient is None else gradient.contiguous().unbind()
            for member, row in zip(self._members.values(), rows, strict=True):
                member.parameters[place].grad = row

    def _step(self, member: _Member, lr: float) -> None:
        member.groups.write(lr)
        try:
            self._clip_and_step(member.optimizers)
        except Exception as error:
            raise NotBatchableError(f"copies of the optimizer fail ({first_sentence(error)})") from error
        for replica in member.parameters:
            replica.grad = None

    def _clip_and_step(self, optimizers: Mapping[str, Optimizer]) -> None:
        for optimizer in optimizers.values():
            self._trainable.updater.clip(optimizer)
            optimizer.step()

    def _check_passes(self, batches: Sequence[Any]) -> None:
        """Compare passes of the ensemble with those of the model itself, and find out which buffers change."""
        stack = self._stack
        before = {names: buffer.detach().clone() for names, buffer in stack.present_buffers().items()}
        with same_random_numbers(self._trainable.model), conditions.MasksOfOnes():
            single = self._single(batches, before)
        start = {names: before[names] for names in single.buffers}
        stack.start_buffers(start)
        stack.hide()
        with (
            same_random_numbers(self._trainable.model),
            conditions.MasksOfOnes(),
            conditions.no_new_tensors(stack.module),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            batched = stack.passes(batches)
        stack.quiet = any(str(warning.message).startswith(SLOW) for warning in caught)
        conditions.require_same_loss(batched.metrics["loss"], single.metrics["loss"])
        conditions.require_same_gradients(batched.gradients, single.gradients)
        for names, buffer in single.buffers.items():
            conditions.require_same_buffer(batched.buffers[names], buffer)
        stack.start_buffers(start)
        stack.load(0)

    def _single(self, batches: Sequence[Any], before: Mapping[Names, Tensor]) -> PassResult:
        """The passes of an update as the model itself makes them."""
        trainable, own = self._trainable, self._stack.own
        forward = partial(trainable.forward, self._stack.module.loss)
        metrics = scalars(trainable.updater.backward(trainable.model, list(trainable.optimizers.values()), batches, forward))
        gradients = [parameter.grad for parameter in own]
        for parameter in own:
            parameter.grad = None
        if any(gradient is not None and gradient.is_sparse for gradient in gradients):
            raise NotBatchableError("the gradients are sparse")
        present = self._stack.present_buffers()
        if not all(names in present and conditions.alike(old, present[names]) for names, old in before.items()):
            raise NotBatchableError("a buffer of the model changes its shape or dtype")
        changed = {names: present[names].clone() for names, old in before.items() if not torch.equal(old, present[names])}
        return PassResult(metrics, gradients, changed)

    @contextmanager
    def _checking_step(self, lr: float) -> Iterator[None]:
        """Compare the first member's step with that of the model's own optimizers, from the same weights and gradients."""
        own, first = self._stack.own, next(iter(self._members.values())).parameters
        before = [parameter.detach().clone() for parameter in own]
        for parameter, replica in zip(own, first, strict=True):
            parameter.grad = None if replica.grad is None else torch.empty_like(parameter).copy_(replica.grad)
        self._trainable.swept.write(lr)
        self._clip_and_step(self._trainable.optimizers)
        for parameter in own:
            parameter.grad = None
        yield
        for replica, parameter, start in zip(first, own, before, strict=True):
            conditions.require_same_step(replica, parameter, start)


def _rows(metrics: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The metrics of each member; tensors of one number each are read at once."""
    columns = {
        name: (value.tolist() if value.dim() == 1 else value.unbind()) if isinstance(value, Tensor) else [value] * count
        for name, value in metrics.items()
    }
    return [{name: column[row] for name, column in columns.items()} for row in range(count)]
