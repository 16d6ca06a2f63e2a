"""Lengths in percent and epochs, by the counts of a trainer."""

import math

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging

from learnrate.errors import ArgumentError
from learnrate.schedules import Horizon, Schedule
from learnrate.schedules.given import Read


def accumulated(trainer: Trainer, epoch: int = 0) -> int:
    """Micro-batches in an update, in one of the epochs: a callback may set their number when an epoch begins."""
    scheduling = _accumulation(trainer)
    return int(scheduling.get_accumulate_grad_batches(epoch) if scheduling else trainer.accumulate_grad_batches)


def accumulation_changes(trainer: Trainer) -> bool:
    """Whether the number of micro-batches in an update changes from epoch to epoch."""
    scheduling = _accumulation(trainer)
    return scheduling is not None and len(set(scheduling.scheduling.values())) > 1


def updates_per_epoch(trainer: Trainer) -> int | None:
    """Updates in one pass over the data; None if the data have no length, or if it changes.

    Lightning steps on the last batch of an epoch in any case, so that the micro-batches left there are an update too.
    """
    batches = trainer.num_training_batches
    if accumulation_changes(trainer) or not math.isfinite(batches):
        return None
    return math.ceil(batches / accumulated(trainer))


def run_length(trainer: Trainer) -> int | None:
    """Updates of the whole run by the trainer's own counts; None if it has no end.

    `trainer.estimated_stepping_batches`, except for two callbacks that it does not know: one that accumulates another number
    of micro-batches in later epochs, and stochastic weight averaging, which makes one more pass over the data, without
    updates, for the statistics of batch norms.
    """
    estimated = trainer.estimated_stepping_batches  # loads the data
    if not math.isfinite(estimated) or estimated < 0:
        return None
    batches, epochs = trainer.num_training_batches, trainer.max_epochs
    if not math.isfinite(batches) or epochs is None or epochs < 0:
        return int(estimated)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, StochasticWeightAveraging) and math.isfinite(getattr(callback, "_max_epochs", math.inf)):
            epochs = min(epochs, callback.swa_end + 1)
    if accumulation_changes(trainer):
        by_epochs = sum(math.ceil(batches / accumulated(trainer, epoch)) for epoch in range(epochs))
    else:
        by_epochs = epochs * math.ceil(batches / accumulated(trainer))
    return min(by_epochs, trainer.max_steps) if trainer.max_steps != -1 else by_epochs


def resolved(name: str, schedule: Schedule, trainer: Trainer | None, updates: int | None) -> Schedule:
    """A schedule with every length in updates.

    Args:
        name: What the schedule is, for messages.
        schedule: The schedule.
        trainer: Its counts resolve percent and epochs; None if there is none.
        updates: Length of the run, in place of the trainer's.

    Raises:
        ArgumentError: if a length depends on the run, whose length is not known.
    """
    if schedule.is_resolved:
        return schedule
    if trainer is None and updates is None:
        raise ArgumentError(
            f"{name} must have its lengths in updates where the run is not known, received {schedule!r}: "
            "give module=self, trainer= or updates="
        )
    if trainer is None:
        return schedule.resolve(Horizon(updates=updates))
    module = trainer.lightning_module
    if updates is None and module is not None and not module.automatic_optimization:
        raise ArgumentError(
            f"{name} must have its lengths in updates in manual optimisation, where the trainer does not know how often "
            f"an optimizer steps, received {schedule!r}: give updates=, the number of updates of the optimizer"
        )
    total = run_length(trainer) if updates is None else updates
    per_epoch = updates_per_epoch(trainer)
    if total is None:
        raise ArgumentError(
            f"{name} must have its lengths in updates where the run has no end (max_epochs=-1, or data without a length), "
            f"received {schedule!r}: give the Trainer max_steps=, or updates="
        )
    return schedule.resolve(Horizon(updates=total, updates_per_epoch=per_epoch))


def all_resolved(name: str, schedules: Read, trainer: Trainer | None, updates: int | None) -> Read:
    """The same for one schedule, or one for each parameter group."""
    if isinstance(schedules, Schedule):
        return resolved(name, schedules, trainer, updates)
    return [resolved(name, schedule, trainer, updates) for schedule in schedules]


def _accumulation(trainer: Trainer) -> GradientAccumulationScheduler | None:
    """The callback that sets the number of micro-batches, if there is one."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((entry for entry in callbacks if isinstance(entry, GradientAccumulationScheduler)), None)
