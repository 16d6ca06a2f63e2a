"""The training of a trainer as torch's own pieces, for tuning and range tests in place."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from learnrate.errors import ArgumentError, LossError
from learnrate.lightning.horizon import accumulated, accumulation_changes
from learnrate.torch.training import UpdateOptions

REPLACED_HOOKS = ("backward", "optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping")
"""Methods by which a module makes its updates in another way."""

UNCALLED_HOOKS = (
    *("on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad"),
    *("on_before_backward", "on_after_backward", "on_before_optimizer_step"),
)
"""Methods of a module that the trainer calls before or at an update, and trials do not."""


@dataclass(frozen=True)
class InPlace:
    """What torch's range test and tuner need of a trainer that is about to train.

    Attributes:
        model: The module, wrapped for many processes where the trainer does so.
        optimizer: Its optimizer.
        batches: The training data, as the module receives them; can be iterated again and again.
        loss: The training step as a function (model, batch) -> loss.
        loaders: What decides the order of the data, to be given back.
        options: How the trainer makes an update.
        uncalled: Methods of the module that trials do not call.
    """

    model: nn.Module
    optimizer: Optimizer
    batches: Iterable[Any]
    loss: Callable[[nn.Module, Any], Tensor]
    loaders: list[Any]
    options: UpdateOptions
    uncalled: list[str] = field(default_factory=list)


def in_place(what: str, trainer: Trainer, module: LightningModule) -> InPlace:
    """The training that a trainer is about to begin.

    Args:
        what: What wants it, for messages.
        trainer: The trainer, which has set up data and optimizers.
        module: The module.

    Raises:
        ArgumentError: if updates are made in a way that torch's pieces do not know; names the reason and the remedy.
    """
    reason = _reason_against(trainer, module)
    if reason is not None:
        raise ArgumentError(f"{what} must train by the trainer's own steps: {reason}")
    combined = trainer.fit_loop._combined_loader  # Lightning has no public name for the loaders that it has set up
    if combined is None:
        raise ArgumentError(f"{what} must have training data, the trainer has none")
    options: UpdateOptions = {"accumulate": accumulated(trainer)}
    precision = trainer.precision_plugin
    if isinstance(precision, MixedPrecision) and precision.scaler is not None:
        options["scaler"] = precision.scaler
    if trainer.gradient_clip_val:
        by_value = str(getattr(trainer.gradient_clip_algorithm, "value", trainer.gradient_clip_algorithm)) == "value"
        options["clip_value" if by_value else "clip_norm"] = float(trainer.gradient_clip_val)
    model = trainer.model if isinstance(trainer.model, nn.Module) else module
    return InPlace(
        model=model,
        optimizer=trainer.optimizers[0],
        batches=_Batches(trainer, module, combined),
        loss=_training_step(trainer, module),
        loaders=list(combined.flattened),
        options=options,
        uncalled=[hook for hook in UNCALLED_HOOKS if is_overridden(hook, module)],
    )


def _reason_against(trainer: Trainer, module: LightningModule) -> str | None:
    """Why a training cannot be repeated in place, and what to do; None if it can."""
    by_hand = "tune your own loop with learnrate.torch.tune, and give the schedule to lr.lightning.Follow"
    if not module.automatic_optimization:
        return f"the module optimises manually; {by_hand}"
    if len(trainer.optimizers) != 1:
        return f"the module has {len(trainer.optimizers)} optimizers; {by_hand}"
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        return f"{type(trainer.strategy).__name__} makes its updates itself; use a single device or DDP, or {by_hand}"
    if replaced := [hook for hook in REPLACED_HOOKS if is_overridden(hook, module)]:
        return f"{type(module).__name__} overrides {', '.join(replaced)}; {by_hand}"
    if accumulation_changes(trainer):
        return f"GradientAccumulationScheduler makes other updates in later epochs; {by_hand}"
    if is_param_in_hook_signature(module.training_step, "dataloader_iter", explicit=True):
        return f"the training step takes an iterator of its own; {by_hand}"
    combined = trainer.fit_loop._combined_loader
    for loader in [] if combined is None else combined.flattened:
        if isinstance(loader, Iterator) or isinstance(getattr(loader, "dataset", None), Iterator):
            return (
                f"the data are a {type(loader).__name__} that cannot be started again; "
                "give a DataLoader over a data set whose __iter__ makes a new iterator"
            )
    return None


class _Batches:
    """The training data as the module receives them; each iteration is beside the one that the trainer has begun."""

    def __init__(self, trainer: Trainer, module: LightningModule, combined: CombinedLoader) -> None:
        self._trainer, self._module, self._combined = trainer, module, combined

    def __len__(self) -> int:
        batches = self._trainer.num_training_batches
        if not math.isfinite(batches):
            raise TypeError("the data have no length")
        return int(batches)

    def __iter__(self) -> Iterator[Any]:
        trainer, combined = self._trainer, self._combined
        fresh = CombinedLoader(_with_own_workers(combined.iterables), combined._mode)
        fresh.limits = combined.limits
        for batch, _, _ in iter(fresh):
            batch = trainer.precision_plugin.convert_input(batch)
            batch = self._module._on_before_batch_transfer(batch, dataloader_idx=0)
            yield trainer.strategy.batch_to_device(batch, dataloader_idx=0)


def _with_own_workers(loaders: Any) -> Any:
    """The loaders; those whose workers live on are copied, because the trainer is using their iterators."""
    if isinstance(loaders, DataLoader) and loaders.persistent_workers:
        loader = copy.copy(loaders)
        loader._iterator = None
        return loader
    if isinstance(loaders, Mapping):
        return {key: _with_own_workers(loader) for key, loader in loaders.items()}
    if isinstance(loaders, (list, tuple)):
        return [_with_own_workers(loader) for loader in loaders]
    return loaders


def _training_step(trainer: Trainer, module: LightningModule) -> Callable[[nn.Module, Any], Tensor]:
    """The training step under the trainer's precision and strategy, as a function (model, batch) -> loss."""
    takes_number = is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)
    batches_in_epoch, calls = trainer.num_training_batches, 0

    def training_step(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        number = calls % int(batches_in_epoch) if math.isfinite(batches_in_epoch) else calls
        calls += 1
        arguments = (batch, number) if takes_number else (batch,)
        returned = trainer.strategy.training_step(*arguments)
        loss = returned.get("loss") if isinstance(returned, Mapping) else returned
        if loss is None:
            raise LossError("training_step must return a loss, received None: return it for every batch, or tune elsewhere")
        return loss

    training_step.takes_model = True  # type: ignore[attr-defined]
    return training_step


@contextmanager
def quiet(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """While trials train: what the module logs goes nowhere."""
    modules = [part for part in module.modules() if isinstance(part, LightningModule)]
    names = ("log", "log_dict")
    own: list[dict[str, Any]] = [{name: vars(part)[name] for name in names if name in vars(part)} for part in modules]
    loggers = trainer.loggers
    try:
        trainer.loggers = [DummyLogger() for _ in loggers]
        for part in modules:
            vars(part).update(dict.fromkeys(names, _log_nowhere))
        yield
    finally:
        for part, entries in zip(modules, own, strict=True):
            for name in names:
                vars(part).pop(name, None)
            vars(part).update(entries)
        trainer.loggers = loggers


def _log_nowhere(*arguments: Any, **options: Any) -> None:
    """Take what is logged."""
