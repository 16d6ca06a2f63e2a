"""A torch training loop, one update at a time: what range tests, races and comparisons drive."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentTypeError, LossError
from learnrate.finder.sweep import scalars
from learnrate.torch.batches import Batches, Stream, to_device
from learnrate.torch.drive import ratios, require_undriven, write
from learnrate.torch.inputs import check_pair
from learnrate.torch.snapshot import Snapshot, modes

Loss = nn.Module | Callable[[nn.Module, Any], Tensor | Mapping[str, Any]]
"""A criterion (an `nn.Module` such as `CrossEntropyLoss`, or a function of `torch.nn.functional`) for batches of inputs and
target; or any function from the model and a batch to the loss."""

Evaluate = Callable[[nn.Module], float]
"""From a model to how good it is, higher is better."""


class Loop:
    """A model in training. Fulfils `learnrate.tuner.Trainee`.

    Groups keep the ratios of their LRs: an update at some LR gives it to the group whose LR was largest at the start.

    Raises:
        ArgumentTypeError: if an argument is of the wrong kind.
        ArgumentError: if the model has no trainable parameters, or the optimizer holds none of them.
        AlreadyDrivenError: if a scheduler drives the optimizer.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, batches: Batches, loss: Loss, evaluate: Evaluate | None = None
    ) -> None:
        check_pair(model, optimizer)
        if not callable(loss):
            raise ArgumentTypeError(f"loss must be a criterion or a function (model, batch) -> loss, received {loss!r}")
        if evaluate is not None and not callable(evaluate):
            raise ArgumentTypeError(f"evaluate must be a function from a model to a number, received {evaluate!r}")
        # Momentum too: an attachment counts every update that is made here.
        require_undriven(optimizer, "lr", "momentum")
        self.model, self.optimizer, self.stream = model, optimizer, Stream(batches)
        self._batches, self._loss, self._evaluate = batches, loss, evaluate
        self._ratios = ratios([float(group["lr"]) for group in optimizer.param_groups])
        self._device = next(model.parameters()).device

    def update(self, lr: float) -> dict[str, float]:
        """One update at this LR, and the loss (and metrics) that it saw. None is made where the loss is not finite."""
        for group, ratio in zip(self.optimizer.param_groups, self._ratios, strict=True):
            write("lr", group, lr * ratio)
        if not self.model.training:
            # A model in train mode keeps its submodules' modes, frozen batch norms say, as the caller set them.
            self.model.train()
        self.optimizer.zero_grad()
        loss, seen = self._forward(to_device(self.stream.next(), self._device), lr)
        if math.isfinite(seen["loss"]):
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return seen

    def _forward(self, batch: Any, lr: float) -> tuple[Tensor, dict[str, float]]:
        returned = (
            criterion_loss(self._loss, self.model, batch) if is_criterion(self._loss) else self._loss(self.model, batch)
        )
        values = returned if isinstance(returned, Mapping) else {"loss": returned}
        loss = values.get("loss")
        if not isinstance(loss, Tensor):
            received = f"a mapping with the keys {sorted(map(str, values))}" if values is returned else repr(returned)
            raise LossError(f"the loss must be a scalar tensor, or a mapping with one under 'loss', received {received}")
        seen = scalars(values, lr)
        if not loss.requires_grad:
            raise LossError(
                "the loss must depend on a trainable parameter, received one without a gradient: "
                "compute it from the model's output, without detach(), item() or no_grad()"
            )
        return loss, seen

    def evaluate(self) -> float | None:
        """What the evaluation gives; modes of the submodules are put back after it."""
        return None if self._evaluate is None else evaluated(self.model, self._evaluate)

    def updates_per_epoch(self) -> int | None:
        """Batches in an epoch, where that is known."""
        return self.stream.epoch()

    def save(self) -> Snapshot:
        """A copy of everything that training changes."""
        return Snapshot(self.model, self.optimizer, self._batches, self._loss)

    def restore(self, state: Snapshot) -> None:
        """Put everything back, and start the data anew."""
        state.restore()
        self.stream.rewind()


def is_criterion(loss: Loss) -> bool:
    """Whether a loss takes (output, target) rather than (model, batch)."""
    return isinstance(loss, nn.Module) or getattr(loss, "__module__", None) == "torch.nn.functional"


def criterion_loss(criterion: Callable[..., Any], model: nn.Module, batch: Any) -> Any:
    """The loss of a criterion on a batch of one or more inputs and, last, the target.

    Raises:
        LossError: if the batch is not of that form.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise LossError(
            f"a criterion needs batches of (inputs, target), received a {type(batch).__name__}: "
            "give a function loss(model, batch) instead"
        )
    *inputs, target = batch
    return criterion(model(*inputs), target)


def evaluated(model: nn.Module, evaluate: Evaluate) -> float:
    """The number that an evaluation gives, with the train/eval modes as they were before it.

    Raises:
        ArgumentTypeError: if it gives no number.
    """
    put_back = modes(model)
    with torch.no_grad():
        value = evaluate(model)
    put_back()
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentTypeError(
            f"evaluate must return a number, received {value!r} of type {type(value).__name__}"
        ) from None


def seed_everything(seed: int) -> None:
    """Seed the random numbers of Python, NumPy and torch, on every device.

    Raises:
        ArgumentError: if the seed is below 0, or above 2 ** 32 - 1, the most that NumPy takes.
    """
    if checks.whole("seed", seed, at_least=0) >= 2**32:
        checks.refuse("seed", "below 2 ** 32", seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
