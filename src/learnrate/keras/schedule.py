"""A learnrate schedule as a `LearningRateSchedule` of Keras."""

import sys
from collections.abc import Callable
from typing import Any

import keras

from learnrate import checks, schedules
from learnrate.errors import ArgumentError, LearnrateError, UnresolvedError
from learnrate.keras.optimizers import check_accumulation, check_backend, require_same_accumulation
from learnrate.schedules import parse
from learnrate.schedules.base import require_schedule

CALLERS = 4
"""Frames above `Schedule.__call__` in which its optimizer is looked for: Keras calls it from the first, torch's compiler
puts one or two of its own between them."""


@keras.saving.register_keras_serializable(package="learnrate")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learnrate schedule where Keras expects a `LearningRateSchedule`: `Adam(lr.keras.Schedule(schedule))`.

    It is saved and loaded with the model as its text; `learnrate.keras` must be imported before `keras.models.load_model`.
    Keras counts batches for a schedule, also where the optimizer accumulates the gradients of several batches to one update,
    so that its own schedules then run several times too fast. This one counts updates.

    Args:
        schedule: A schedule of learnrate with its lengths in updates, or its text.
        accumulation: Batches of an update; by default the `gradient_accumulation_steps` of the optimizer that asks.

    Raises:
        ArgumentError: if the text is no schedule, or accumulation is below 1; when the LR is asked for, if accumulation is
            not that of the optimizer.
        ArgumentTypeError: if it is no schedule.
        UnresolvedError: if a length is not in updates.

    Example:
        >>> import learnrate as lr
        >>> schedule = lr.keras.Schedule(lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 96))
        >>> schedule.get_config()["schedule"]
        'warmup(max_lr=0.1, length=4) >> cosine(start=0.1, end=0.0, length=96)'
    """

    def __init__(self, schedule: "schedules.Schedule | str", accumulation: int | None = None) -> None:
        super().__init__()
        check_backend()
        self.schedule = resolved(schedule_of(schedule))
        self.accumulation = check_accumulation(accumulation)

    def __call__(self, step: Any) -> Any:
        """The LR of the update that batch number `step` belongs to, counted from 0."""
        return _value(self.schedule, step, require_agreement(self.accumulation))

    def get_config(self) -> dict[str, Any]:
        """The text of the schedule, for saving.

        Raises:
            ArgumentError: if the text does not hold it, because the schedule has a function of the user.
        """
        return {"schedule": saved_text(self.schedule), "accumulation": self.accumulation}


def schedule_of(schedule: object, name: str = "schedule") -> schedules.Schedule:
    """A schedule, or the schedule of a text."""
    if isinstance(schedule, str):
        return parse(schedule)
    return require_schedule(name, schedule)


def resolved(schedule: schedules.Schedule) -> schedules.Schedule:
    """A schedule whose lengths are all in updates.

    Raises:
        UnresolvedError: otherwise.
    """
    if not schedule.is_resolved:
        raise UnresolvedError(
            f"schedule must have its lengths in updates, received {checks.shown(schedule)}: call schedule.resolve(updates), "
            "or compile with a number and give the schedule to the callback learnrate.keras.Follow, which knows the length "
            "of the run"
        )
    return schedule


def saved_text(schedule: schedules.Schedule) -> str:
    """The text of a schedule from which it can be rebuilt.

    Raises:
        ArgumentError: if there is none.
    """
    text = repr(schedule)
    try:
        is_same = parse(text) == schedule
    except LearnrateError:
        is_same = False
    if not is_same:
        raise ArgumentError(
            f"schedule must be one that its text rebuilds, so that it can be saved with the model, received {text}: "
            "save the weights alone (model.save_weights), or replace its functions by schedules of learnrate"
        )
    return text


def _caller_of_schedule() -> Any:
    """The optimizer that asks for an LR; None if something else asks.

    Keras tells a schedule the count and not who asks. The optimizer is the `self` of a frame above.
    """
    frame = sys._getframe(1)
    for _ in range(CALLERS + 2):
        if frame.f_back is None:
            return None
        frame = frame.f_back
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.optimizers.Optimizer):
            return owner
    return None


def _require_agreement(accumulation: int | None) -> int:
    optimizer = _caller_of_schedule()
    if optimizer is None:
        return accumulation or 1
    return require_same_accumulation(accumulation, optimizer)


def _value(schedule: schedules.Schedule, step: Any, accumulation: int) -> Any:
    """The value as a tensor of the backend.

    A count that can be looked at at no cost takes the formula for Python numbers, which is many times as fast as some ten
    operations on tensors of one element.
    """
    count = keras.ops.convert_to_tensor(step)
    if _in_main_memory(count):
        value = schedule(int(count) // accumulation)
        return keras.ops.convert_to_tensor(value, dtype=keras.config.floatx())
    return schedule(count if accumulation == 1 else count // accumulation)


def _in_main_memory(count: Any) -> bool:
    if keras.backend.backend() == "torch":
        return bool(count.device.type == "cpu")
    import jax

    return not isinstance(count, jax.core.Tracer) and all(device.platform == "cpu" for device in count.devices())


require_agreement: Callable[[int | None], int] = _require_agreement
if keras.backend.backend() == "torch":
    import torch

    # torch's compiler would trace a look at the frames and into the libraries that find the kind of an array. Keras calls
    # backward() in a compiled step, which ends its graph in any case.
    require_agreement = torch.compiler.disable(_require_agreement)  # type: ignore[no-untyped-call]
    _value = torch.compiler.disable(_value)  # type: ignore[no-untyped-call]
