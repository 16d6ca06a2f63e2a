"""The range test and tuning of what an accelerator has prepared; afterwards all is as it was."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator
from accelerate.state import GradientState
from torch import nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.accelerate.prepare import require_accelerator
from learnrate.batches import check_rewindable
from learnrate.errors import ArgumentError
from learnrate.finder import Curve
from learnrate.interrupts import within
from learnrate.torch.inputs import check_optimizer, stepping
from learnrate.torch.range_test import range_test as torch_range_test
from learnrate.torch.training import Losses
from learnrate.torch.tune import tune as torch_tune
from learnrate.tuner import Plan


def range_test(
    accelerator: Accelerator, model: nn.Module, optimizer: Optimizer, loader: Iterable[Any], loss: Losses, **options: Any
) -> Curve:
    """Run an LR range test of what `accelerator.prepare` returned, and give everything back as it was.

    Call it in every process. Mixed precision is that of the prepared model, and the scaler and the accumulation are those of
    the accelerator. Batches are drawn from the prepared loader, from its first epoch on.

    Args:
        accelerator: The accelerator.
        model: The prepared model.
        optimizer: The prepared optimizer.
        loader: The prepared loader.
        loss: A criterion (outputs, target) -> loss, or a function (model, batch) -> loss, without `accelerator.backward`.
        **options: What `learnrate.torch.range_test` takes beside these.

    Returns:
        The curve.

    Raises:
        ArgumentError: if the model is not prepared although there are several processes; see also
            `learnrate.torch.range_test`.
        ArgumentTypeError: if an argument is of the wrong kind.
    """

    def sweep(_: None) -> Curve:
        return torch_range_test(model, stepping(optimizer), Epochs(loader), loss, **arguments)

    arguments = _arguments(accelerator, model, optimizer, loader, options)
    return within(loader_kept(loader), sweep)


def tune(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Optimizer,
    loader: Iterable[Any],
    loss: Losses,
    *,
    updates: int,
    **options: Any,
) -> Plan:
    """Choose a schedule for a run of what `accelerator.prepare` returned, and give everything back as it was.

    Call it in every process; all return the same plan. `lr.accelerate.prepare(accelerator, optimizer, plan.schedule,
    relative=True)` sets it.

    Args:
        accelerator: The accelerator.
        model: The prepared model.
        optimizer: The prepared optimizer.
        loader: The prepared loader.
        loss: A criterion (outputs, target) -> loss, or a function (model, batch) -> loss, without `accelerator.backward`.
        updates: Length of the whole run.
        **options: What `learnrate.torch.tune` takes beside these: `budget`, `family`, `evaluate`, `clip_norm`, ...

    Returns:
        The plan.

    Raises:
        ArgumentError: if the model is not prepared although there are several processes; see also `learnrate.torch.tune`.
        ArgumentTypeError: if an argument is of the wrong kind.
        NoAnswerError: if there is no answer.
    """

    def plan(_: None) -> Plan:
        return torch_tune(model, stepping(optimizer), Epochs(loader), loss, updates=updates, **arguments)

    arguments = _arguments(accelerator, model, optimizer, loader, options)
    return within(loader_kept(loader), plan)


def _arguments(
    accelerator: Accelerator, model: nn.Module, optimizer: Optimizer, loader: Iterable[Any], options: dict[str, Any]
) -> dict[str, Any]:
    require_accelerator(accelerator)
    check_optimizer(optimizer)
    check_rewindable(loader)
    also_keep = options.get("also_keep", ())
    if not isinstance(also_keep, (list, tuple)):
        checks.refuse_type("also_keep", "a list of objects to keep", also_keep)
    if accelerator.num_processes > 1 and not hasattr(model, "no_sync") and not _is_sharded(model):
        raise ArgumentError(
            "model must be the one that accelerator.prepare returned, received one that does not average its gradients over "
            f"the processes, a {type(model).__name__}"
        )
    defaults = {"accumulate": accelerator.gradient_accumulation_steps, "scaler": accelerator.scaler}
    return defaults | options | {"also_keep": [loader, *also_keep]}


def _is_sharded(model: nn.Module) -> bool:
    return any(hasattr(module, "unshard") for module in model.modules())


class Epochs:
    """The batches of a prepared loader, whose order in each epoch is the same in every trial.

    A prepared loader counts its passes, and shuffles each of them otherwise.

    Attributes:
        loader: The loader.
        epoch: Number of the next pass. A snapshot sets it back.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(self.epoch)
        self.epoch += 1
        return iter(self.loader)


@contextmanager
def loader_kept(loader: object) -> Iterator[None]:
    """Give back which loaders are being iterated, and how far a prepared loader is; without its random numbers.

    A pass that is not finished leaves its loader in Accelerate's list of active loaders.
    """
    state = GradientState()
    active, synchronises = state.dataloader_references, state.sync_gradients
    names = ("iteration", "end_of_dataloader", "remainder")
    attributes = {name: vars(loader)[name] for name in names if name in getattr(loader, "__dict__", {})}
    try:
        yield
    finally:
        state.dataloader_references = active
        state._set_sync_gradients(synchronises)
        for name in names:
            getattr(loader, "__dict__", {}).pop(name, None)
        for name, value in attributes.items():
            setattr(loader, name, value)
