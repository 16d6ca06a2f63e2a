"""A run that is resumed under another schedule, or for another length: which schedule goes on."""

from collections.abc import Sequence
from typing import Literal, get_args

from learnrate import checks
from learnrate.errors import ArgumentError, LearnrateError, OtherScheduleWarning
from learnrate.schedules.base import Schedule, known_length
from learnrate.schedules.given import Read
from learnrate.schedules.text import parse
from learnrate.user_code import warn

OnChange = Literal["error", "keep", "rebase", "new"]
"""What a resumed run does if its schedule is not the one of its checkpoint; see `resumed`."""


def check_on_change(value: object) -> OnChange:
    """One of `OnChange`, checked.

    Raises:
        ArgumentError: if it is another word.
    """
    return checks.one_of(*get_args(OnChange))("on_change", value)  # type: ignore[return-value]


def resumed(saved: str, schedule: Schedule, updates: int, on_change: OnChange = "error") -> Schedule:
    """The schedule with which a run goes on after it was loaded from a checkpoint.

    A schedule with lengths in percent is another one if the run has another length: "25%" of 1,000 updates is not "25%" of
    2,000, and the LR would jump where the run goes on.

    Args:
        saved: The text of the schedule in the checkpoint.
        schedule: The schedule that is given now, resolved for the length that the run has now.
        updates: Number of updates in the checkpoint.
        on_change: What to do if they differ. "error" refuses; "keep" goes on with the saved one; "rebase" stretches or
            compresses what remains of the saved one to the length of the given one, from the same value on
            (`Schedule.rebase`); "new" takes the given one at the same count. All but "error" warn.

    Raises:
        ArgumentError: if the schedules differ and `on_change` is "error", or the saved one cannot be kept or rebased.

    Warns:
        OtherScheduleWarning: if they differ.

    Example:
        >>> import warnings
        >>> from learnrate import cosine
        >>> resumed("cosine(start=0.1, end=0.0, length=100)", cosine(0.1, 0.0, 100), updates=40)
        cosine(start=0.1, end=0.0, length=100)
        >>> with warnings.catch_warnings(action="ignore"):
        ...     longer = resumed("cosine(start=0.1, end=0.0, length=100)", cosine(0.1, 0.0, 200), 40, "rebase")
        >>> longer == cosine(0.1, 0.0, 100).rebase(at=40, new_length=200)
        True
    """
    before = _parsed(saved, schedule, on_change)
    if before is None or before == schedule:
        return schedule
    values = (
        f"at update {updates} {checks.shown(saved)} gives {before(updates):.6g} and {schedule!r} {schedule(updates):.6g}"
    )
    if on_change == "error":
        raise ArgumentError(
            f"the schedule must be the one of the checkpoint: {values}. on_change='keep' goes on with the schedule of the "
            "checkpoint, 'rebase' stretches what remains of it to the new length, 'new' takes the new schedule"
        )
    goes_on = {"keep": lambda: before, "rebase": lambda: _rebased(before, schedule, updates), "new": lambda: schedule}
    chosen = goes_on[on_change]()
    warn(
        f"the schedule is not the one of the checkpoint: {values}. on_change={on_change!r}: the run goes on with {chosen!r}",
        OtherScheduleWarning,
    )
    return chosen


def all_resumed(
    key: str, saved: object, schedules: Schedule | Sequence[Schedule], updates: int, on_change: OnChange
) -> Read:
    """The schedules with which one hyper-parameter goes on: `resumed` for each parameter group.

    Args:
        key: The hyper-parameter, for messages.
        saved: The text in the checkpoint, or one for each group.
        schedules: The schedules that are given now, in the same form or the other.
        updates: Number of updates in the checkpoint.
        on_change: What to do if they differ.

    Raises:
        ArgumentError: if they differ and `on_change` is "error", or their numbers do.

    Warns:
        OtherScheduleWarning: if they differ otherwise.
    """
    given = [schedules] if isinstance(schedules, Schedule) else list(schedules)
    texts = list(saved) if isinstance(saved, (list, tuple)) else [saved] * len(given)
    if isinstance(schedules, Schedule):
        given *= len(texts)
    if len(texts) != len(given) or not all(isinstance(text, str) for text in texts):
        rule = f"a text, or one for each of the {len(given)} schedules that are given"
        checks.refuse(f"the schedule of {key} in the checkpoint", rule, saved)
    chosen = [resumed(str(text), schedule, updates, on_change) for text, schedule in zip(texts, given, strict=True)]
    return chosen[0] if isinstance(schedules, Schedule) and len(set(chosen)) == 1 else chosen


def rebased(before: Schedule, updates: int, length: int) -> Schedule:
    """The schedule of a checkpoint for a run of another length, where `on_change` is "rebase".

    Args:
        before: The schedule.
        updates: Number of updates in the checkpoint.
        length: Length of the run now, in updates.

    Raises:
        ArgumentError: if the run ends before the checkpoint.
    """
    if length <= updates:
        raise ArgumentError(
            "on_change='rebase' must have a run that goes on after its checkpoint: the checkpoint is at update "
            f"{updates}, the run has {length} updates: train for longer"
        )
    return before.rebase(updates, length)


def _parsed(saved: str, schedule: Schedule, on_change: OnChange) -> Schedule | None:
    """The schedule of a text; None if the text is that of the present schedule, which may hold functions of the user."""
    if saved == repr(schedule):
        return None
    try:
        return parse(saved)
    except LearnrateError as error:
        raise ArgumentError(
            f"the schedule must be the one of the checkpoint, received {schedule!r}; the text in the checkpoint, "
            f"{checks.shown(saved)}, cannot be read: {error}: build the schedule of the checkpoint"
        ) from None


def _rebased(before: Schedule, schedule: Schedule, updates: int) -> Schedule:
    length = known_length(schedule)
    if length is None:
        raise ArgumentError(
            f"on_change='rebase' must be given a schedule with an end, received {schedule!r}: give on_change='keep' or 'new'"
        )
    return rebased(before, updates, length)
