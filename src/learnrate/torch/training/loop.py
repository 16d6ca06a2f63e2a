"""A torch training loop, one update at a time: what range tests, races and comparisons drive."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError, LossError
from learnrate.finder.recording import MOST_SKIPPED, SKIPPED, scalars
from learnrate.torch.driving import Only, SweptGroups
from learnrate.torch.inputs import Optimizers, check_pair, optimizers_by_name
from learnrate.torch.snapshot import Snapshot, modes
from learnrate.torch.training.batches import Batches, Stream, to_device
from learnrate.torch.training.update import Updating

T = TypeVar("T")

Loss = nn.Module | Callable[[nn.Module, Any], Tensor | Mapping[str, Any]]
"""A criterion (an `nn.Module` such as `CrossEntropyLoss`, or a function of `torch.nn.functional`) for batches of inputs and
target; or any function from the model and a batch to the loss."""

Losses = Loss | Mapping[str, Loss] | Sequence[Loss]
"""One loss that all optimizers descend, or one for each optimizer, by its name or in their order."""

Evaluate = Callable[[nn.Module], float]
"""From a model to how good it is, higher is better."""


Turn = tuple[str, Callable[[nn.Module, Any], Any], list[Optimizer]]
"""A name, empty for the only one; a function (model, batch) -> loss; and the optimizers that descend it."""


class Loop:
    """A model in training. Fulfils `learnrate.tuner.Trainee`.

    Args:
        model: What is trained.
        optimizer: One optimizer, or several by name.
        batches: See `Stream`.
        loss: One loss; or one for each optimizer, which then take turns, in their order, on the same batches.
        evaluate: How good the model is.
        updating: How an update is made.
        only: What the LR is given to.
        others: What training changes besides, to be saved and restored with the rest.

    Raises:
        ArgumentTypeError: if an argument is of the wrong kind.
        ArgumentError: if the model has no trainable parameters, or an optimizer holds none of them.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizers,
        batches: Batches,
        loss: Losses,
        evaluate: Evaluate | None = None,
        *,
        updating: Updating | None = None,
        only: Only = None,
        others: Sequence[Any] = (),
    ) -> None:
        self.optimizers = optimizers_by_name(optimizer)
        check_pair(model, self.optimizers)
        self.turns = _turns(self.optimizers, loss)
        if evaluate is not None and not callable(evaluate):
            raise ArgumentTypeError(f"evaluate must be a function from a model to a number, received {evaluate!r}")
        self.model, self.stream = model, Stream(batches)
        criteria = loss.values() if isinstance(loss, Mapping) else loss if isinstance(loss, (list, tuple)) else [loss]
        self.kept = (batches, *(one for one in criteria if isinstance(one, nn.Module)), *others)
        self._evaluate, self.updating, self.only = evaluate, updating or Updating(), only
        self.scaled = self.updating.scaler is not None
        if self.scaled:
            self.kept += (self.updating.scaler,)
        self.swept = SweptGroups(self.optimizers, only)
        if self.updating.scaler is not None and any(isinstance(one, LBFGS) for one in self.optimizers.values()):
            raise ArgumentError("scaler must be None where the optimizer needs a closure: torch's scaler takes none")
        if not isinstance(others, (list, tuple)):
            raise ArgumentTypeError(f"also_keep must be a list of things to keep, received {others!r}")
        self._device = next(model.parameters()).device
        self.made = 0
        self._seen: dict[str, float] = {}
        self.restarts: list[int] = []

    def update(self, lr: float) -> dict[str, float]:
        """One update at this LR, and the loss (and metrics) that it saw.

        All are NaN where the gradient scaler skips the update again and again: earlier LRs have driven the model there.

        Raises:
            LossError: if it does so at the first update.
        """
        for _ in range(MOST_SKIPPED):
            seen = self.step(lr)
            if seen is not SKIPPED:
                self._seen = scalars(seen, lr)
                return self._seen
        if self.made:
            return dict.fromkeys(self._seen, math.nan)
        raise LossError(f"the gradients are not finite at LR {lr:.1e}: the scaler skipped {MOST_SKIPPED} updates in a row")

    def step(self, lr: float) -> Any:
        """One update at this LR, and what it saw, as it came: reading it may be a wait. `SKIPPED` where none was made."""
        self.swept.write(lr)
        batches = self.draw()
        seen: dict[str, Any] = {}
        whole = True
        for name, loss, optimizers in self.turns:
            values, made = self.updating.step(self.model, optimizers, batches, partial(self.forward, loss, lr))
            whole = whole and made
            seen |= {f"{name} {key}" if key != "loss" else name: v for key, v in values.items()} if name else values
        self.swept.require_untouched(lr)
        if not whole:
            return SKIPPED
        self.made += 1
        if "loss" not in seen:
            # Of those that are swept: what the others' losses do is an effect, and not what their LR is at fault for.
            seen["loss"] = sum(seen[name] for name, _, optimizers in self.turns if self.swept.drives(optimizers))
        return seen

    def draw(self) -> list[Any]:
        """The micro-batches of the next update, with the model in train mode."""
        if not self.model.training:
            # A model in train mode keeps its submodules' modes, frozen batch norms say, as the caller set them.
            self.model.train()
        begun = len(self.stream.restarts)
        batches = self.stream.some(self.updating.accumulate)
        if len(self.stream.restarts) > begun:
            self.restarts.append(self.made)
        return batches

    def forward(self, loss: Callable[[nn.Module, Any], Any], lr: float, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        """The loss to descend on a micro-batch, and all values to record, "loss" among them.

        Raises:
            LossError: if the loss is no scalar tensor with a gradient.
        """
        value, values = self.values(loss, lr, batch)
        if not value.requires_grad:
            raise LossError(
                "the loss must depend on a trainable parameter, received one without a gradient: "
                "compute it from the model's output, without detach(), item() or no_grad()"
            )
        return value, values

    def values(self, loss: Callable[[nn.Module, Any], Any], lr: float, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        """The same, but for the look at the gradient, which cannot be seen inside of `torch.func.vmap`."""
        returned = loss(self.model, to_device(batch, self._device))
        if isinstance(returned, Tensor):
            values = {"loss": returned}
        elif isinstance(returned, Mapping):
            values = {str(name): one for name, one in returned.items()}
        else:
            values = {"loss": returned}
        value = values.get("loss")
        if not isinstance(value, Tensor):
            received = f"a mapping with the keys {sorted(values)}" if isinstance(returned, Mapping) else repr(returned)
            raise LossError(f"the loss must be a scalar tensor, or a mapping with one under 'loss', received {received}")
        if value.numel() != 1:
            scalars({"loss": value}, lr)  # says what is wrong
        return value, values

    def evaluate(self) -> float | None:
        """What the evaluation gives; modes of the submodules are put back after it."""
        return None if self._evaluate is None else evaluated(self.model, self._evaluate)

    def updates_per_epoch(self) -> int | None:
        """Updates in an epoch, where that is known."""
        batches = self.stream.epoch()
        return None if batches is None else math.ceil(batches / self.updating.accumulate)

    def save(self) -> Snapshot:
        """A copy of everything that training changes."""
        return Snapshot(self.model, self.optimizers, *self.kept)

    def restore(self, state: Snapshot) -> None:
        """Put everything back, and start the data anew."""
        state.restore()
        self.rewind()

    def abandon(self) -> None:
        """Let an update that is under way in another thread change nothing more."""
        self.updating.abandoned.set()

    def rewind(self) -> None:
        """Start the data anew."""
        self.stream.rewind()
        self.made = 0
        self.restarts = []


def _turns(optimizers: Mapping[str, Any], loss: Losses) -> list[Turn]:
    """Who descends which loss: all the same one, or each its own. The name is empty for the only one."""
    if isinstance(loss, (list, tuple)):
        loss = {str(number): one for number, one in enumerate(loss)}
    if not isinstance(loss, Mapping):
        return [("", of_batch(_checked("loss", loss)), list(optimizers.values()))]
    if "loss" in optimizers:
        raise ArgumentError("an optimizer must have another name than 'loss', which is what is recorded for all of them")
    if loss.keys() != optimizers.keys():
        raise ArgumentError(
            f"loss must hold one loss for each optimizer, by its name, received {sorted(map(str, loss))} for "
            f"{sorted(optimizers)}"
        )
    return [(name, of_batch(_checked(f"loss[{name!r}]", one)), [optimizers[name]]) for name, one in loss.items()]


def _checked(name: str, loss: Any) -> Loss:
    rule = f"{name} must be a criterion or a function (model, batch) -> loss, received"
    if isinstance(loss, type) and issubclass(loss, nn.Module):
        raise ArgumentTypeError(f"{rule} the class {loss.__name__}: make one of it, {loss.__name__}()")
    if not callable(loss):
        raise ArgumentTypeError(f"{rule} {loss!r}")
    found: Loss = loss
    return found


def of_batch(loss: Loss) -> Callable[[nn.Module, Any], Any]:
    """A loss as a function (model, batch) -> loss: a criterion takes (output, target) instead."""
    criterion = isinstance(loss, nn.Module) or getattr(loss, "__module__", None) == "torch.nn.functional"
    return partial(criterion_loss, loss) if criterion else loss


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


def measured(model: nn.Module, evaluate: Callable[[nn.Module], T]) -> T:
    """What an evaluation gives, with the train/eval modes as they were before it."""
    put_back = modes(model)
    try:
        with torch.no_grad():
            return evaluate(model)
    finally:
        put_back()


def evaluated(model: nn.Module, evaluate: Evaluate) -> float:
    """The number that an evaluation gives, with the train/eval modes as they were before it.

    Raises:
        ArgumentTypeError: if it gives no number.
    """
    value = measured(model, evaluate)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentTypeError(
            f"evaluate must return a number, received {value!r} of type {type(value).__name__}"
        ) from None


def check_seed(seed: object) -> int:
    """A seed as an int.

    Raises:
        ArgumentError: if it is below 0, or above 2 ** 32 - 1, the most that NumPy takes.
    """
    checked = checks.whole("seed", seed, at_least=0)
    if checked >= 2**32:
        checks.refuse("seed", "below 2 ** 32", seed)
    return checked


def seed_everything(seed: int) -> None:
    """Seed the random numbers of Python, NumPy and torch, on every device.

    Raises:
        ArgumentError: if the seed is below 0, or above 2 ** 32 - 1, the most that NumPy takes.
    """
    check_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
