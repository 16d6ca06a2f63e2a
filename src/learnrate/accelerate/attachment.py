"""An attachment whose checkpoint decides, together with `on_change`, which schedule a resumed run follows."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from accelerate import Accelerator
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import Horizon, Schedule, parse
from learnrate.schedules.resume import OnChange, all_resumed
from learnrate.torch import driving
from learnrate.torch.control import ControlOptions
from learnrate.torch.driving.attachment import Schedules
from learnrate.torch.driving.state import given_text

Given = Schedules | str | Sequence[str]
"""A schedule, or one for each parameter group; as an object or as its text."""


class Attachment(driving.Attachment):
    """What `learnrate.torch.attach` returns, which goes on with a checkpoint's schedule, or refuses, or takes the new one.

    Attributes:
        on_change: What happens where the schedule of a checkpoint is another one; see `learnrate.schedules.resume`.
    """

    on_change: OnChange = "error"
    _accelerator: "weakref.ref[Accelerator] | None" = None
    _scale = 0.0

    def prepared_by(self, accelerator: Accelerator) -> None:
        """Note the accelerator, whose scaler says which updates it has skipped."""
        self._accelerator = weakref.ref(accelerator)

    def observe(self, loss: Any = None, *, gradient_norm: Any = None, **metrics: Any) -> None:
        """See `learnrate.torch.attach`. The loss of an update that the accelerator's scaler has skipped does not count.

        Args:
            loss: The loss of a micro-batch, as it is given to `accelerator.backward`, which divides it itself.
            gradient_norm: The norm of the gradient, as `accelerator.clip_grad_norm_` returns it.
            **metrics: Scores of an evaluation by name, in a call of their own.

        Raises:
            LossError: if something is not a number.
        """
        accelerator = None if self._accelerator is None else self._accelerator()
        if loss is not None and accelerator is not None and accelerator.scaler is not None:
            before, self._scale = self._scale, accelerator.scaler.get_scale()
            if self._scale < before:  # the one public sign of a skipped update that lasts until the next loss
                self.forget()
        super().observe(loss, gradient_norm=gradient_norm, **metrics)

    @property
    def is_attached(self) -> bool:
        """Whether it drives the optimizer still."""
        return self._attached

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the number of updates in `state_dict`, under the schedules that `on_change` allows.

        Args:
            state_dict: From `state_dict()`.

        Raises:
            ArgumentError: if it is no such state, or the schedules differ and `on_change` is "error".

        Warns:
            OtherScheduleWarning: if the schedules differ, or other hyper-parameters were driven.
        """
        texts = state_dict.get("schedules") if isinstance(state_dict, Mapping) else None
        if isinstance(texts, Mapping):
            updates = checks.whole("updates", state_dict.get("updates"), at_least=0, at_most=checks.LONGEST)
            present = {key: self._schedules[key] for key in texts if key in self._schedules}
            saved = {key: given_text(state_dict, text) if key == "lr" else text for key, text in texts.items()}
            chosen = {key: all_resumed(key, saved[key], given, updates, self.on_change) for key, given in present.items()}
            if chosen:
                self.exchange(**chosen)
            self.resume(state_dict)
        else:
            super().load_state_dict(state_dict)


def follow(
    optimizer: Optimizer,
    schedules: Mapping[str, Given],
    horizon: Horizon | None,
    *,
    relative: bool,
    start: int,
    on_change: OnChange,
    control: ControlOptions | None = None,
) -> Attachment:
    """Attach schedules that may be texts, and in percent and epochs.

    Args:
        optimizer: The optimizer, also a wrapped one.
        schedules: By hyper-parameter; None for those that keep their value.
        horizon: What is known about the run; None if nothing is.
        relative: Whether the groups keep the ratios of their LRs.
        start: Number of updates so far.
        on_change: See `Attachment`.
        control: What reacts while training.

    Raises:
        ArgumentError: if a length cannot be resolved, or see `learnrate.torch.attach`.
    """
    resolved = {key: resolve(given, horizon) for key, given in schedules.items()}
    attachment = Attachment(optimizer, resolved, relative, start, control)
    attachment.on_change = on_change
    return attachment


def resolve(given: Given, horizon: Horizon | None) -> Schedules:
    """Schedules with every length in updates."""
    if isinstance(given, (list, tuple)):
        return [_resolved(entry, horizon) for entry in given]
    schedule: Schedules = _resolved(given, horizon)
    return schedule


def _resolved(given: Any, horizon: Horizon | None) -> Any:
    schedule: Any = parse(given) if isinstance(given, str) else given
    if isinstance(schedule, Schedule) and not schedule.is_resolved and horizon is None:
        raise ArgumentError(
            f"a schedule with lengths in percent, epochs or tokens needs the length of the run, received {schedule!r}: give "
            "updates="
        )
    if not isinstance(schedule, Schedule) or horizon is None:
        return schedule  # what is no schedule is refused with its name, where it is attached
    return schedule.resolve(horizon)
