"""An attachment whose checkpoint decides, together with `on_change`, which schedule a resumed run follows."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import Horizon, Schedule, parse
from learnrate.schedules.resume import OnChange, all_resumed
from learnrate.torch import driving
from learnrate.torch.driving.attachment import Schedules

Given = Schedules | str | Sequence[str]
"""A schedule, or one for each parameter group; as an object or as its text."""


class Attachment(driving.Attachment):
    """What `learnrate.torch.attach` returns, which goes on with a checkpoint's schedule, or refuses, or takes the new one.

    Attributes:
        on_change: What happens where the schedule of a checkpoint is another one; see `learnrate.schedules.resume`.
    """

    on_change: OnChange = "error"

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
            chosen = {key: all_resumed(key, texts[key], given, updates, self.on_change) for key, given in present.items()}
            if chosen:
                self.replace(**chosen)
            # The base class compares texts too. What was just decided is no difference any more.
            same = {key: clock.text for key, clock in self._clocks.items() if key in texts}
            state_dict = {**state_dict, "schedules": {**texts, **same}}
        super().load_state_dict(state_dict)


def follow(
    optimizer: Optimizer,
    schedules: Mapping[str, Given],
    horizon: Horizon | None,
    *,
    relative: bool,
    start: int,
    on_change: OnChange,
) -> Attachment:
    """Attach schedules that may be texts, and in percent and epochs.

    Args:
        optimizer: The optimizer, also a wrapped one.
        schedules: By hyper-parameter; None for those that keep their value.
        horizon: What is known about the run; None if nothing is.
        relative: Whether the groups keep the ratios of their LRs.
        start: Number of updates so far.
        on_change: See `Attachment`.

    Raises:
        ArgumentError: if a length cannot be resolved, or see `learnrate.torch.attach`.
    """
    resolved = {key: resolve(given, horizon) for key, given in schedules.items()}
    attachment = Attachment(optimizer, resolved, relative, start)
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
