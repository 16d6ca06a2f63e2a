"""How an update is made: accumulated, in mixed precision, clipped, with a closure."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.torch.inputs import has_two_calls, stepping
from learnrate.torch.optimizers import ESGD

Forward = Callable[[Any], "tuple[Tensor, dict[str, Any]]"]
"""From a micro-batch to the loss to minimise, and all values to record, "loss" among them."""


class UpdateOptions(TypedDict, total=False):
    """How an update (optimizer step) is made: keyword arguments of range_test, accuracy_test, tune and Recipe alike.

    Give the options of your own training, so that the same training is tested and tuned.

    Attributes:
        accumulate: Number of micro-batches in an update; the gradient is that of their mean loss. The micro-batches left at
            the end of an epoch make an update of their own.
        autocast: The dtype in which `torch.autocast` runs the forward pass; None (the default) for full precision.
        scaler: The gradient scaler. An update that it skips does not count and is made again at the same LR. With several
            optimizers an update counts as skipped if one of them skips it, although the others have made it.
        clip_norm: Maximum norm of all gradients of an optimizer, above 0; None (the default) for no limit.
        clip_value: Maximum absolute value of an element of a gradient, above 0; None (the default) for no limit.
        closure: Whether `optimizer.step` needs a closure that computes the loss again; always true for LBFGS, SAM and
            ESGD.
    """

    accumulate: int
    autocast: torch.dtype | None
    scaler: torch.amp.GradScaler | None
    clip_norm: float | None
    clip_value: float | None
    closure: bool


@dataclass(frozen=True)
class Updater:
    """Makes updates as `UpdateOptions` says; the attributes are its keys.

    Raises:
        ArgumentError: if a value breaks its rule.
        ArgumentTypeError: if a value is of the wrong type.
    """

    accumulate: int = 1
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    closure: bool = False

    def __post_init__(self) -> None:
        checks.length("accumulate", self.accumulate)
        for name, limit in {"clip_norm": self.clip_norm, "clip_value": self.clip_value}.items():
            if limit is not None:
                checks.positive_single(name, limit)
        checks.flag("closure", self.closure)
        if self.autocast is not None and not (isinstance(self.autocast, torch.dtype) and self.autocast.is_floating_point):
            checks.refuse_type("autocast", "a floating-point torch.dtype", self.autocast)
        if self.scaler is not None and not isinstance(self.scaler, torch.amp.GradScaler):
            checks.refuse_type("scaler", "a torch.amp.GradScaler", self.scaler)
        if self.closure and self.scaler is not None:
            refuse_scaler_with_closure()

    @classmethod
    def of(cls, options: Mapping[str, Any], function: Callable[..., Any] | None = None) -> "Updater":
        """The options of a call, checked.

        Args:
            options: The keyword arguments that the function has no parameter for.
            function: The function that was called; one of its parameters may have been meant.

        Raises:
            ArgumentError: if a value breaks its rule.
            ArgumentTypeError: if there is no option of that name, or a value is of the wrong kind.
        """
        names = [field.name for field in fields(cls)]
        for name in options:
            if name not in names:
                parameters = () if function is None else inspect.signature(function).parameters.values()
                others = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
                options_are = f"the options of an update are {', '.join(names)}"
                remedy = checks.did_you_mean(name, [*names, *others], options_are)
                raise ArgumentTypeError(f"there is no argument {checks.shown(name)}: {remedy}")
        return cls(**options)

    def shared(self) -> dict[str, Any]:
        """What must be the same in every process, in values that can be pickled."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "autocast": str(self.autocast), "scaler": self.scaler is not None}

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped."""
        return self.clip_norm is not None or self.clip_value is not None

    def needs_closure(self, optimizers: Iterable[Optimizer]) -> bool:
        """Whether the step of one of these optimizers needs a closure."""
        return self.closure or any(isinstance(stepping(o), (LBFGS, ESGD)) or has_two_calls(o) for o in optimizers)

    def step(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        batches: Sequence[Any],
        forward: Forward,
        before_step: Callable[[], object],
        needs_closure: bool,
    ) -> tuple[dict[str, Any], bool]:
        """Make one update.

        Args:
            model: What is trained; `no_sync` of a distributed model is used for all micro-batches but the last.
            optimizers: The optimizers that minimise this loss.
            batches: The micro-batches.
            forward: The forward pass.
            before_step: Called before weights are changed; may raise.
            needs_closure: What `needs_closure` says of the optimizers, which looks into them: too slow for every update.

        Returns:
            The mean of the values that the forward passes returned, and whether the update was made (not skipped).
        """
        if needs_closure:
            return self._step_with_closure(model, optimizers, batches, forward, before_step), True
        values = self.backward(model, optimizers, batches, forward)
        before_step()
        scaler = self.scaler
        if scaler is None:
            for optimizer in optimizers:
                self.clip(optimizer)
                optimizer.step()
            return values, True
        for optimizer in optimizers:
            if self.clips:
                scaler.unscale_(optimizer)
                self.clip(optimizer)
            scaler.step(optimizer)
        # The scale falls if and only if a gradient was not finite: the one public sign that the update was skipped.
        scale = scaler.get_scale()
        scaler.update()
        return values, not scaler.get_scale() < scale

    def _step_with_closure(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        batches: Sequence[Any],
        forward: Forward,
        before_step: Callable[[], object],
    ) -> dict[str, Any]:
        first: dict[str, Any] = {}

        def closure() -> Tensor:
            with_graph = any(_reads_graph(optimizer) for optimizer in optimizers)
            values, loss = self._backward(model, optimizers, batches, forward, with_graph)
            before_step()
            first.update(values if not first else {})  # the loss before the update is recorded, as for other optimizers
            for optimizer in optimizers:
                self.clip(optimizer)
            return loss

        for optimizer in optimizers:
            if has_two_calls(optimizer):  # its step begins with the gradients that there are, and then calls the closure
                closure()
            optimizer.step(closure)  # type: ignore[arg-type]
        return first

    def backward(
        self, model: nn.Module, optimizers: Sequence[Optimizer], batches: Sequence[Any], forward: Forward
    ) -> dict[str, Any]:
        """Compute the gradients of an update, the first half of `step`; returns the mean of the values of all passes."""
        return self._backward(model, optimizers, batches, forward, with_graph=False)[0]

    def _backward(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        batches: Sequence[Any],
        forward: Forward,
        with_graph: bool,
    ) -> tuple[dict[str, Any], Tensor]:
        """The values of `backward`, and the loss: the sum over the micro-batches, each divided by their number.

        Args:
            model: What is trained.
            optimizers: Those whose gradients are computed.
            batches: The micro-batches.
            forward: The forward pass.
            with_graph: Whether the loss keeps the graphs of all passes, which then are in memory together.
        """
        for optimizer in optimizers:
            optimizer.zero_grad()
        rows, losses = [], []
        for number, batch in enumerate(batches, 1):
            with _unsynchronised(model) if number < len(batches) else nullcontext():
                values, loss = self._add_gradient(model, batch, forward, len(batches), with_graph)
            rows.append(values)
            losses.append(loss)
        return means(rows), losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _add_gradient(
        self, model: nn.Module, batch: Any, forward: Forward, micro_batches: int, with_graph: bool
    ) -> tuple[dict[str, Any], Tensor]:
        with self.precision(model):
            loss, values = forward(batch)
        if micro_batches > 1:
            loss = loss / micro_batches
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward(retain_graph=with_graph)  # type: ignore[no-untyped-call]
        detached = {name: value.detach() if isinstance(value, Tensor) else value for name, value in values.items()}
        return detached, loss if with_graph else loss.detach()

    def precision(self, model: nn.Module) -> AbstractContextManager[Any]:
        """The precision of a forward pass."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(next(model.parameters()).device.type, self.autocast)

    def clip(self, optimizer: Optimizer) -> None:
        """Clip the gradients of an optimizer's parameters."""
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(_parameters(optimizer), self.clip_norm)
        if self.clip_value is not None:
            nn.utils.clip_grad_value_(_parameters(optimizer), self.clip_value)


def _reads_graph(optimizer: Optimizer) -> bool:
    """Whether its next step differentiates the loss of the closure."""
    inner = stepping(optimizer)
    return isinstance(inner, ESGD) and inner.needs_closure


def refuse_scaler_with_closure() -> None:
    """Raise the error for a scaler with an optimizer that needs a closure.

    Raises:
        ArgumentError: always.
    """
    raise ArgumentError(
        "scaler must be None if the optimizer needs a closure, received a GradScaler, which does not support closures: "
        "train in full precision, or with autocast=torch.bfloat16"
    )


def means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each value over the micro-batches of an update."""
    return rows[0] if len(rows) == 1 else {name: _mean([row.get(name) for row in rows]) for name in set().union(*rows)}


def _mean(values: Sequence[Any]) -> Any:
    """The mean of a metric. A value that is not a number is returned unchanged: it is refused later, with its name."""
    if all(isinstance(value, (int, float, Tensor)) for value in values):
        return sum(values) / len(values)
    return next(value for value in values if not isinstance(value, (int, float, Tensor)))


def _unsynchronised(model: nn.Module) -> AbstractContextManager[Any]:
    """No exchange of gradients (`DistributedDataParallel`), which only the last micro-batch of an update needs."""
    no_sync = getattr(model, "no_sync", None)
    return no_sync() if callable(no_sync) else nullcontext()


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    groups: Iterable[dict[str, Any]] = optimizer.param_groups
    return (parameter for group in groups for parameter in group["params"])
