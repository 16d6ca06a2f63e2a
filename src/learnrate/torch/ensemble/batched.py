"""Races in one batch: the same model at several LRs, updated together by one forward and one backward pass.

Each racer needs a copy of the trained parameters, of their gradients, of the optimizer's state, of the buffers that change,
and of the activations. Beside these lie model and optimizer themselves, with the state that checking the first update leaves
in the optimizer until it is restored.
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

from learnrate.trainable import scalars
from learnrate.torch.driving.selection import Swept
from learnrate.torch.ensemble import conditions
from learnrate.torch.ensemble.conditions import said
from learnrate.torch.ensemble.stack import SLOW, Found, Names, Stack
from learnrate.torch.snapshot.parts import same_random_numbers
from learnrate.torch.training.trainable import TorchTrainable as Loop
from learnrate.trainable import NotBatchableError as ApartError


def ensemble_of(together: bool | None, loop: Loop, count: int) -> "Batched":
    """Racers of a loop, from its present state.

    Args:
        loop: What is trained.
        together: None leaves it to `conditions.worthwhile`.
        count: Number of racers.

    Raises:
        ApartError: if the loop cannot be batched, or should not.
    """
    if together is False:
        raise ApartError("together=False")
    device = next(loop.model.parameters()).device
    if together is None and not conditions.worthwhile(loop.model, device, count):
        raise ApartError(f"as one batch, {count} such models would hardly train quicker on this device")
    return Batched(loop, count)


@dataclass(frozen=True)
class _Racer:
    parameters: list[nn.Parameter]
    optimizers: dict[str, Optimizer]
    swept: Swept


class Batched:
    """Racers that start from a loop's present state and train together.

    The first update is made by the loop's own model and optimizers as well, and must come out the same; `evaluate` borrows
    the model. So the loop is used up: whoever goes on with it, after the race or after an `ApartError` (which may come at
    any update), calls `loop.restore` with what `loop.save` gave before the race. That puts back the model, its optimizers,
    the data's order and the random numbers.

    Dropout masks are the same for all racers. Those inside of attention are others than a racer alone would draw.

    Args:
        loop: What is trained, in its start state.
        count: Number of racers.

    Raises:
        ApartError: if the loop cannot be batched.
    """

    def __init__(self, loop: Loop, count: int) -> None:
        conditions.require_plain(loop)
        self._loop, self._stack = loop, Stack(loop, count)
        self._racers = {number: self._racer(number) for number in range(count)}  # those not retired, as in the stack
        self._count = count
        self._checked = False

    def update(self, lrs: Sequence[float | None]) -> list[dict[str, float]]:
        """One update of each racer at its LR, all on the same batches.

        Args:
            lrs: One a racer; None retires it for good.

        Returns:
            What each saw, with its loss under "loss"; nothing for those retired.

        Raises:
            ApartError: if the loop cannot be batched.
            LossError: if the loss is no scalar tensor with a gradient.
        """
        self._retire({number for number, lr in enumerate(lrs) if lr is None})
        seen: list[dict[str, float]] = [{} for _ in lrs]
        running = [(number, lr) for number, lr in enumerate(lrs) if lr is not None and number in self._racers]
        if not running:
            return seen
        batches, lr = self._loop.draw(), running[0][1]
        if not self._checked:
            self._check_pass(lr, batches)
        found = self._stack.passes(lr, batches)
        self._hand_out(found.gradients)
        with nullcontext() if self._checked else self._checking_step(lr):
            for number, lr in running:
                self._step(self._racers[number], lr)
        self._checked = True
        self._loop.updates += 1
        for (number, lr), row in zip(running, _rows(found.seen, len(running)), strict=True):
            seen[number] = scalars(row)
        return seen

    def evaluate(self) -> list[float | None]:
        """The score of each racer, from the same random numbers; None for those retired, and where nothing is evaluated.

        The model has the last one's weights afterwards.
        """
        scores: list[float | None] = [None] * self._count
        for place, number in enumerate(self._racers):
            self._stack.load(place)
            with same_random_numbers(self._loop.model):
                scores[number] = self._loop.evaluate()
        return scores

    def _racer(self, place: int) -> _Racer:
        own, replicas = self._stack.own, [nn.Parameter(stack.detach()[place]) for stack in self._stack.parameters]
        held = [p for one in self._loop.optimizers.values() for group in one.param_groups for p in group["params"]]
        # A copy as the optimizer's class makes copies, state and all, but with the replica in each parameter's place.
        memo: dict[int, Any] = {id(p): p for p in held} | {id(p): twin for p, twin in zip(own, replicas, strict=True)}
        try:
            optimizers = copy.deepcopy(self._loop.optimizers, memo)
        except Exception as error:
            raise ApartError(f"the optimizer cannot be copied ({said(error)})") from error
        return _Racer(replicas, optimizers, Swept(optimizers, self._loop.only))

    def _retire(self, numbers: set[int]) -> None:
        """Take racers out of the stack: weights that are no longer finite may well raise in the loss."""
        places = [place for place, number in enumerate(self._racers) if number not in numbers]
        if len(places) == len(self._racers):
            return
        self._racers = {number: racer for number, racer in self._racers.items() if number not in numbers}
        self._stack.keep(places)
        for place, racer in enumerate(self._racers.values()):
            for replica, stack in zip(racer.parameters, self._stack.parameters, strict=True):
                replica.data = stack.detach()[place]

    def _hand_out(self, gradients: Sequence[Tensor | None]) -> None:
        for place, gradient in enumerate(gradients):
            # In the parameters' layout, as autograd would put it there: fused optimizers rely on it.
            rows = [None] * len(self._racers) if gradient is None else gradient.contiguous().unbind()
            for racer, row in zip(self._racers.values(), rows, strict=True):
                racer.parameters[place].grad = row

    def _step(self, racer: _Racer, lr: float) -> None:
        racer.swept.write(lr)
        try:
            self._clip_and_step(racer.optimizers)
        except Exception as error:
            raise ApartError(f"copies of the optimizer fail ({said(error)})") from error
        for replica in racer.parameters:
            replica.grad = None

    def _clip_and_step(self, optimizers: Mapping[str, Optimizer]) -> None:
        for one in optimizers.values():
            self._loop.updater.clip(one)
            one.step()

    def _check_pass(self, lr: float, batches: Sequence[Any]) -> None:
        """Compare passes of the racers with those of the model itself, and learn which buffers change."""
        stack = self._stack
        before = {names: one.detach().clone() for names, one in stack.present_buffers().items()}
        with same_random_numbers(self._loop.model), conditions.MasksOfOnes():
            alone = self._alone(lr, batches, before)
        start = {names: before[names] for names in alone.buffers}
        stack.start_buffers(start)
        stack.hide()
        with (
            same_random_numbers(self._loop.model),
            conditions.MasksOfOnes(),
            conditions.nothing_kept(stack.whole),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            together = stack.passes(lr, batches)
        stack.quiet = any(str(one.message).startswith(SLOW) for one in warned)
        conditions.require_same_loss(together.seen["loss"], alone.seen["loss"])
        conditions.require_same_gradients(together.gradients, alone.gradients)
        for names, one in alone.buffers.items():
            conditions.require_same_buffer(together.buffers[names], one)
        stack.start_buffers(start)
        stack.load(0)

    def _alone(self, lr: float, batches: Sequence[Any], before: Mapping[Names, Tensor]) -> Found:
        """What the passes of an update give as they are made for a single racer, by the model itself."""
        loop, own = self._loop, self._stack.own
        forward = partial(loop.forward, self._stack.whole.loss)
        seen = scalars(loop.updater.backward(loop.model, list(loop.optimizers.values()), batches, forward))
        gradients = [one.grad for one in own]
        for one in own:
            one.grad = None
        if any(one is not None and one.is_sparse for one in gradients):
            raise ApartError("the gradients are sparse")
        present = self._stack.present_buffers()
        if not all(names in present and conditions.alike(one, present[names]) for names, one in before.items()):
            raise ApartError("a buffer of the model becomes one of another kind")
        changed = {names: present[names].clone() for names, one in before.items() if not torch.equal(one, present[names])}
        return Found(seen, gradients, changed)

    @contextmanager
    def _checking_step(self, lr: float) -> Iterator[None]:
        """Compare the first racer's step with that of the loop's own optimizers, from the same weights and gradients."""
        own, first = self._stack.own, next(iter(self._racers.values())).parameters
        before = [one.detach().clone() for one in own]
        for one, replica in zip(own, first, strict=True):
            one.grad = None if replica.grad is None else torch.empty_like(one).copy_(replica.grad)
        self._loop.swept.write(lr)
        self._clip_and_step(self._loop.optimizers)
        for one in own:
            one.grad = None
        yield
        for replica, one, start in zip(first, own, before, strict=True):
            conditions.require_same_step(replica, one, start)


def _rows(seen: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """What each racer saw; tensors of one number each are read at once."""
    columns = {
        name: (value.tolist() if value.dim() == 1 else value.unbind()) if isinstance(value, Tensor) else [value] * count
        for name, value in seen.items()
    }
    return [{name: column[place] for name, column in columns.items()} for place in range(count)]
