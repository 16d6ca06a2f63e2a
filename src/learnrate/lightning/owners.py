"""What else in a Lightning run sets an LR: schedulers of the module, and callbacks."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, Callback, LearningRateFinder, StochasticWeightAveraging
from torch.optim import Optimizer

from learnrate.errors import AlreadyDrivenError, OverruledWarning
from learnrate.torch.driving import STEP_MARK
from learnrate.torch.inputs import optimizers_within
from learnrate.user_code import warn


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """The callbacks of a trainer, which sets this attribute without declaring it."""
    return list(trainer.callbacks)  # type: ignore[attr-defined]


def schedulers_of(trainer: Trainer, optimizers: Sequence[Optimizer]) -> list[Any]:
    """The schedulers that `configure_optimizers` returned for these optimizers."""
    schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
    return [entry for entry in schedulers if any(getattr(entry, "optimizer", None) is optimizer for optimizer in optimizers)]


def named(schedulers: Sequence[Any]) -> str:
    """The kinds of schedulers, as their user would name them."""
    return ", ".join(type(scheduler).__name__ for scheduler in schedulers)


def require_undriven(owner: Callback, trainer: Trainer, optimizers: Sequence[Optimizer]) -> None:
    """Refuse a module whose configure_optimizers returned a scheduler for one of these optimizers.

    Raises:
        AlreadyDrivenError: if it did; names both.
    """
    schedulers = schedulers_of(trainer, optimizers)
    if schedulers:
        module = type(trainer.lightning_module).__name__
        raise AlreadyDrivenError(
            f"the LR must have one owner, and both {type(owner).__name__} and the {named(schedulers)} that "
            f"{module}.configure_optimizers returns would set it: return the optimizer alone, or remove the callback"
        )


def remove_schedulers(trainer: Trainer, optimizers: Sequence[Optimizer]) -> None:
    """Let the trainer step no scheduler of these optimizers any more."""
    removed = schedulers_of(trainer, optimizers)
    trainer.strategy.lr_scheduler_configs = [
        config for config in trainer.lr_scheduler_configs if not any(config.scheduler is entry for entry in removed)
    ]
    for scheduler in removed:
        if hasattr(scheduler, "detach"):
            scheduler.detach()
    forget_schedulers(optimizers)


def forget_schedulers(optimizers: Sequence[Optimizer]) -> None:
    """Take back what schedulers of torch did to the `step` of these optimizers, and by which they count as driven."""
    for optimizer in (inner for outer in optimizers for inner in optimizers_within(outer)):
        # A scheduler of torch replaces `step` in the optimizer itself, by a function that counts for a warning of its own.
        if hasattr(vars(optimizer).get("step"), STEP_MARK):
            del optimizer.step


def averaging(trainer: Trainer) -> StochasticWeightAveraging | None:
    """The callback that sets the LR itself from one epoch on."""
    return next((entry for entry in callbacks_of(trainer) if isinstance(entry, StochasticWeightAveraging)), None)


def tell_of_averaging(owner: Callback, swa: StochasticWeightAveraging) -> None:
    """Say who sets the LR when."""
    warn(
        f"StochasticWeightAveraging sets the LR from epoch {swa.swa_start} on: the schedule of {type(owner).__name__} ends "
        "there",
        OverruledWarning,
    )


def tell_of_callbacks(owner: Callback, trainer: Trainer, *, relative: bool) -> None:
    """Name LRs of other callbacks that a schedule replaces.

    Warns:
        OverruledWarning: for a suggestion that LearningRateFinder has written into the optimizer; for the LR that
            BackboneFinetuning gives the groups it adds, unless groups keep their ratios.
    """
    name = type(owner).__name__
    for callback in callbacks_of(trainer):
        if isinstance(callback, LearningRateFinder) and callback.optimal_lr is not None:
            forget_schedulers(trainer.optimizers)  # of the finder's own scheduler, which has ended
            lr = callback.optimal_lr.suggestion()
            if lr is not None and any(group["lr"] == lr for o in trainer.optimizers for group in o.param_groups):
                warn(
                    f"LearningRateFinder has set the LR to {lr:.3g}, which the schedule of {name} replaces: give the "
                    "schedule this LR, and the finder update_attr=False",
                    OverruledWarning,
                )
        elif isinstance(callback, BackboneFinetuning) and not relative:
            warn(
                f"BackboneFinetuning gives the groups that it adds an LR of their own, which the schedule of {name} "
                "replaces: keep their ratios with relative=True",
                OverruledWarning,
            )
