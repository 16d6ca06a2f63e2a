"""How an update is made: accumulated, in mixed precision, clipped, with a closure."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError

Forward = Callable[[Any], "tuple[Tensor, dict[str, Any]]"]
"""From a micro-batch to the loss to descend, and all values to record, "loss" among them."""


@dataclass(frozen=True)
class Updating:
    """How an update is made of the gradient of a loss.

    Attributes:
        accumulate: Micro-batches in an update; the gradient is that of their mean loss. Where an epoch ends in the middle of
            an update, it is made of those that are left.
        autocast: The dtype in which `torch.autocast` runs the forward pass; None for full precision.
        scaler: The gradient scaler; updates that it skips are none. With several optimizers an update counts as skipped if
            one of them skips it, though the others have made it.
        clip_norm: The most that the norm of all gradients of an optimizer may be; None for no limit.
        clip_value: The most that an element of a gradient may be, in absolute value; None for no limit.
        closure: Whether `optimizer.step` needs a closure that computes the loss anew; always so for LBFGS.
        abandoned: Set when nothing may be changed any more, though a forward pass may still be under way in another thread.
    """

    accumulate: Annotated[int, checks.length] = 1
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None
    clip_norm: Annotated[float | None, checks.optional(checks.positive)] = None
    clip_value: Annotated[float | None, checks.optional(checks.positive)] = None
    closure: bool = False
    abandoned: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    def __post_init__(self) -> None:
        checks.check_fields(self)
        if self.autocast is not None and not (isinstance(self.autocast, torch.dtype) and self.autocast.is_floating_point):
            raise ArgumentTypeError(f"autocast must be a floating-point torch.dtype, received {self.autocast!r}")
        if self.scaler is not None and not isinstance(self.scaler, torch.amp.GradScaler):
            raise ArgumentTypeError(f"scaler must be a torch.amp.GradScaler, received {self.scaler!r}")
        if self.closure and self.scaler is not None:
            raise ArgumentError("scaler must be None where the optimizer needs a closure: torch's scaler takes none")

    def step(
        self, model: nn.Module, optimizers: Sequence[Optimizer], batches: Sequence[Any], forward: Forward
    ) -> tuple[dict[str, Any], bool]:
        """Make one update.

        Args:
            model: What is trained; asked whether it can leave out the exchange of gradients between processes.
            optimizers: Those that descend this loss.
            batches: The micro-batches.
            forward: The forward pass.

        Returns:
            The mean of the values that the forward passes gave, and whether the update was made (and not skipped).
        """
        if self.closure or any(isinstance(one, LBFGS) for one in optimizers):
            return self._with_closure(model, optimizers, batches, forward), True
        seen = self.backward(model, optimizers, batches, forward)
        scaler = self.scaler
        if scaler is None:
            for one in optimizers:
                self.clip(one)
                one.step()
            return seen, True
        for one in optimizers:
            if self.clip_norm is not None or self.clip_value is not None:
                scaler.unscale_(one)
                self.clip(one)
            scaler.step(one)
        # The scale falls when, and only when, a gradient was not finite: the one public sign that the update was skipped.
        before = scaler.get_scale()
        scaler.update()
        return seen, not scaler.get_scale() < before

    def _with_closure(
        self, model: nn.Module, optimizers: Sequence[Optimizer], batches: Sequence[Any], forward: Forward
    ) -> dict[str, Any]:
        first: dict[str, Any] = {}

        def closure() -> Tensor:
            seen = self.backward(model, optimizers, batches, forward)
            first.update(seen if not first else {})  # what is recorded is the loss before the update, as everywhere
            for one in optimizers:
                self.clip(one)
            loss: Tensor = seen["loss"]
            return loss

        for one in optimizers:
            one.step(closure)  # type: ignore[arg-type]
        return first

    def backward(
        self, model: nn.Module, optimizers: Sequence[Optimizer], batches: Sequence[Any], forward: Forward
    ) -> dict[str, Any]:
        """Compute the gradients of an update; what `step` does first. Returns the mean of what the forward passes gave."""
        for one in optimizers:
            one.zero_grad()
        rows = []
        for place, batch in enumerate(batches, 1):
            with _unsynchronised(model) if place < len(batches) else nullcontext():
                rows.append(self._descend(model, batch, forward, len(batches)))
        self._require_wanted()  # before any step, whichever way it is made
        return means(rows)

    def _descend(self, model: nn.Module, batch: Any, forward: Forward, share: int) -> dict[str, Any]:
        """Add the gradient of a micro-batch's share of the update."""
        with self.precision(model):
            loss, seen = forward(batch)
        self._require_wanted()
        if share > 1:
            loss = loss / share
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
        return {name: value.detach() if isinstance(value, Tensor) else value for name, value in seen.items()}

    def precision(self, model: nn.Module) -> AbstractContextManager[Any]:
        """The precision of a forward pass."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(next(model.parameters()).device.type, self.autocast)

    def _require_wanted(self) -> None:
        if self.abandoned.is_set():
            raise RuntimeError("this update was abandoned")

    def clip(self, one: Optimizer) -> None:
        """Clip the gradients of an optimizer's parameters."""
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(_parameters(one), self.clip_norm)
        if self.clip_value is not None:
            nn.utils.clip_grad_value_(_parameters(one), self.clip_value)


def means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each value over the micro-batches of an update."""
    return rows[0] if len(rows) == 1 else {name: _mean([row.get(name) for row in rows]) for name in set().union(*rows)}


def _mean(values: Sequence[Any]) -> Any:
    """The mean of a metric over the micro-batches; what is no number in each of them is left to be refused by its name."""
    if all(isinstance(value, (int, float, Tensor)) for value in values):
        return sum(values) / len(values)
    return next(value for value in values if not isinstance(value, (int, float, Tensor)))


def _unsynchronised(model: nn.Module) -> AbstractContextManager[Any]:
    """Without an exchange of gradients, which only the last micro-batch of an update needs (`DistributedDataParallel`)."""
    no_sync = getattr(model, "no_sync", None)
    return no_sync() if callable(no_sync) else nullcontext()


def _parameters(one: Optimizer) -> Iterator[Tensor]:
    groups: Iterable[dict[str, Any]] = one.param_groups
    return (parameter for group in groups for parameter in group["params"])
