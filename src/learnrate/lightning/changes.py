"""A run that is resumed with other schedules, or another length, than those of its checkpoint."""

from collections.abc import Mapping
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError, OtherScheduleWarning
from learnrate.lightning.horizon import Resolved
from learnrate.schedules import Schedule
from learnrate.schedules.resume import OnChange, resumed
from learnrate.user_code import warn


def goes_on(saved: Any, schedules: Resolved, updates: int, on_change: OnChange) -> Resolved:
    """The schedules with which one hyper-parameter goes on; see `learnrate.schedules.resume.resumed`.

    Args:
        saved: The text in the checkpoint, or one for each parameter group.
        schedules: The schedules that are given now, in the same form or the other.
        updates: Number of updates in the checkpoint.
        on_change: What to do if they differ.

    Raises:
        ArgumentError: if they differ and `on_change` is "error", or their numbers do.

    Warns:
        OtherScheduleWarning: if they differ otherwise.
    """
    if isinstance(saved, str) and isinstance(schedules, Schedule):
        return resumed(saved, schedules, updates, on_change)
    texts = list(saved) if isinstance(saved, (list, tuple)) else [saved] * len(_listed(schedules))
    if not all(isinstance(text, str) for text in texts):
        checks.refuse("the schedules in the checkpoint", "texts", saved)
    given = _listed(schedules) if isinstance(schedules, list) else [schedules] * len(texts)
    if len(given) != len(texts):
        raise ArgumentError(
            f"schedules must be those of the checkpoint, one for each of its {len(texts)} groups, received {len(given)}"
        )
    chosen = [resumed(text, schedule, updates, on_change) for text, schedule in zip(texts, given, strict=True)]
    return chosen[0] if isinstance(schedules, Schedule) and len(set(chosen)) == 1 else chosen


def require_same_names(saved: Mapping[str, Any], given: Mapping[str, Any], on_change: OnChange) -> None:
    """Refuse, or name, hyper-parameters that only one of the two runs drives.

    Raises:
        ArgumentError: if there are some and `on_change` is "error".

    Warns:
        OtherScheduleWarning: if there are some otherwise.
    """
    if saved.keys() == given.keys():
        return
    text = f"{', '.join(saved) or 'nothing'} followed schedules in the run of the checkpoint, now {', '.join(given)}"
    if on_change == "error":
        raise ArgumentError(
            f"the hyper-parameters must be those of the checkpoint: {text}. Give the same ones, or on_change='new'"
        )
    warn(f"other hyper-parameters follow schedules than in the run of the checkpoint: {text}", OtherScheduleWarning)


def _listed(schedules: Resolved) -> list[Schedule]:
    return list(schedules) if isinstance(schedules, list) else [schedules]
