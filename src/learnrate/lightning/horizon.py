"""Lengths in percent and epochs, by the counts of a trainer; and schedules as a user gives them."""

import math
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import Horizon, Schedule, parse

Schedules = Schedule | str | Sequence[Schedule | str]
"""One schedule for all parameter groups of an optimizer, or one for each. A text is read with `learnrate.parse`."""

Resolved = Schedule | list[Schedule]
"""The same, with every length in updates."""


def as_schedule(name: str, value: Any) -> Schedule:
    """A schedule, or the text of one.

    Raises:
        ArgumentTypeError: if it is something else.
        ParseError: if the text is no schedule.
    """
    if isinstance(value, str):
        return parse(value)
    if not isinstance(value, Schedule):
        remedy = "make a constant of a number with learnrate.constant"
        checks.refuse_type(name, "a learnrate schedule or its text", value, remedy)
    schedule: Schedule = value
    return schedule


def as_schedules(name: str, value: Any) -> Resolved:
    """One schedule, or one for each parameter group, not resolved yet.

    Raises:
        ArgumentTypeError: if it is something else.
        ParseError: if a text is no schedule.
    """
    if isinstance(value, (list, tuple)):
        return [as_schedule(f"an entry of {name}", entry) for entry in value]
    return as_schedule(name, value)


def updates_per_epoch(trainer: Trainer) -> int | None:
    """Updates in one pass over the data; None if the data have no length.

    Lightning steps on the last batch of an epoch in any case, so that the micro-batches left there are an update too.
    """
    batches = trainer.num_training_batches
    return math.ceil(batches / trainer.accumulate_grad_batches) if math.isfinite(batches) else None


def run_length(trainer: Trainer) -> int | None:
    """Updates of the whole run by the trainer's own counts; None if it has no end.

    `trainer.estimated_stepping_batches`, except for two callbacks that it does not know: one that accumulates another number
    of micro-batches in later epochs, and stochastic weight averaging, which makes one more pass over the data, without
    updates, for the statistics of batch norms.
    """
    estimated = trainer.estimated_stepping_batches  # loads the data
    if not math.isfinite(estimated) or estimated < 0:
        return None
    per_epoch, epochs = updates_per_epoch(trainer), trainer.max_epochs
    if per_epoch is None or epochs is None or epochs < 0:
        return int(estimated)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, StochasticWeightAveraging) and math.isfinite(getattr(callback, "_max_epochs", math.inf)):
            epochs = min(epochs, callback.swa_end + 1)
    by_epochs = per_epoch * epochs
    accumulation = _accumulation(trainer)
    if accumulation is not None:
        batches = trainer.num_training_batches
        by_epochs = sum(math.ceil(batches / accumulation.get_accumulate_grad_batches(epoch)) for epoch in range(epochs))
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
    per_epoch = None if _accumulation(trainer) is not None else updates_per_epoch(trainer)
    if total is None:
        raise ArgumentError(
            f"{name} must have its lengths in updates where the run has no end (max_epochs=-1, or data without a length), "
            f"received {schedule!r}: give the Trainer max_steps=, or updates="
        )
    return schedule.resolve(Horizon(updates=total, updates_per_epoch=per_epoch))


def all_resolved(name: str, schedules: Resolved, trainer: Trainer | None, updates: int | None) -> Resolved:
    """The same for one schedule, or one for each parameter group."""
    if isinstance(schedules, Schedule):
        return resolved(name, schedules, trainer, updates)
    return [resolved(name, schedule, trainer, updates) for schedule in schedules]


def _accumulation(trainer: Trainer) -> GradientAccumulationScheduler | None:
    """The callback that changes the number of micro-batches from epoch to epoch, if it does."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    scheduling = [entry for entry in callbacks if isinstance(entry, GradientAccumulationScheduler)]
    return next((entry for entry in scheduling if len(set(entry.scheduling.values())) > 1), None)
