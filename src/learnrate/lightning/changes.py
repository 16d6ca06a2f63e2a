"""A run that is resumed with schedules of other hyper-parameters than those of its checkpoint."""

from collections.abc import Mapping
from typing import Any

from learnrate.errors import ArgumentError, OtherScheduleWarning
from learnrate.schedules.resume import OnChange
from learnrate.user_code import warn


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
