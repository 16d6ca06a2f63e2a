"""A scheduler for `Trainer(..., optimizers=(optimizer, scheduler))`."""

import warnings
from typing import Any

from torch.optim import Optimizer

from learnrate import checks
from learnrate.accelerate.attachment import Given, resolve
from learnrate.schedules import Horizon, Schedule
from learnrate.schedules.resume import OnChange, all_resumed, check_on_change
from learnrate.torch import driving
from learnrate.torch.driving.state import given_text
from learnrate.user_code import warn


class Scheduler(driving.Scheduler):
    """`learnrate.torch.Scheduler` whose checkpoint decides, together with `on_change`, which schedule a run goes on with."""

    on_change: OnChange = "error"
    _unsaid: tuple[warnings.WarningMessage, ...] = ()

    def step(self, epoch: int | None = None) -> None:
        """Count an update and write the LRs of the next one; see `learnrate.torch.Scheduler`."""
        if self._unsaid:
            unsaid, self._unsaid = self._unsaid, ()
            for entry in unsaid:
                warn(str(entry.message), entry.category)
        super().step(epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the number of updates in `state_dict`, under the schedule that `on_change` allows.

        Raises:
            ArgumentError: if it is no such state, or the schedules differ and `on_change` is "error".

        Warns:
            OtherScheduleWarning: if the schedules differ; at the next `step`.
        """
        # The Trainer drops all warnings of this call.
        with warnings.catch_warnings(record=True) as unsaid:
            warnings.simplefilter("always")
            self._resume(state_dict)
        self._unsaid = tuple(unsaid)

    def _resume(self, state_dict: dict[str, Any]) -> None:
        text = state_dict.get("schedule") if isinstance(state_dict, dict) else None
        if isinstance(text, str) and isinstance(self.schedule, Schedule):
            updates = checks.whole("last_epoch", state_dict.get("last_epoch"), at_least=0, at_most=checks.LONGEST)
            chosen = all_resumed("lr", given_text(state_dict, text), self.schedule, updates, self.on_change)
            if chosen != self.schedule:
                self.exchange(chosen)
            self.resume(state_dict)
        else:
            super().load_state_dict(state_dict)


def scheduler(
    optimizer: Optimizer,
    schedule: Given,
    *,
    updates: int | None = None,
    updates_per_epoch: float | None = None,
    relative: bool = False,
    on_change: OnChange = "error",
) -> Scheduler:
    """Make the second part of `Trainer(..., optimizers=(optimizer, scheduler))`.

    The Trainer steps it after every update, logs its LR, and saves it in `scheduler.pt`. The Trainer cannot tell it how long
    the run is, and it does not start again at a second `train()`, where it warns at its end: for both use `Follow`.

    Args:
        optimizer: The optimizer.
        schedule: Schedule of the LR: an object, its text, or one for each parameter group.
        updates: Length of the run in updates (the `max_steps` of the Trainer), of which "5%" is a share.
        updates_per_epoch: Updates in an epoch, for lengths in epochs.
        relative: Keep the ratios between the groups' LRs; see `learnrate.torch.Scheduler`.
        on_change: What a resumed run does if the schedule of the checkpoint is another one; see `Follow`.

    Returns:
        The scheduler.

    Raises:
        ArgumentError: if a length cannot be resolved, or a number breaks its rule.
        ArgumentTypeError: if the optimizer or a schedule is something else.
        AlreadyDrivenError: if something else drives the LR of this optimizer.

    Example:
        >>> import torch, learnrate as lr
        >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
        >>> lr.transformers.scheduler(optimizer, "warmup(3e-4, '10%') >> cosine(3e-4, 0)", updates=100)
        <Scheduler at update 0: lr 3e-05 of warmup(max_lr=0.0003, length=10) >> cosine(start=0.0003, end=0.0, length=90)>
    """
    checks.flag("relative", relative)
    on_change = check_on_change(on_change)
    run = None
    if updates is not None or updates_per_epoch is not None:
        run = Horizon(updates=updates, updates_per_epoch=updates_per_epoch)
    scheduler = Scheduler(optimizer, resolve(schedule, run), relative=relative)  # type: ignore[arg-type]
    scheduler.on_change = on_change
    return scheduler
