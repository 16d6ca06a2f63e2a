"""What the state of a scheduler or an attachment says beside the count: the schedule, so that another one is noticed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from learnrate import checks
from learnrate.errors import ArgumentError, LearnrateError, OtherScheduleWarning
from learnrate.schedules import Schedule, parse
from learnrate.user_code import warn

T = TypeVar("T")


def require_key(key: str, state_dict: object) -> Any:
    """The entry of a state.

    Raises:
        ArgumentError: if it is no state, or has no such entry.
    """
    if not isinstance(state_dict, Mapping) or key not in state_dict:
        raise ArgumentError(f"state_dict must have the key {key!r}, received {checks.shown(state_dict)}")
    return state_dict[key]


def given_text(state_dict: Mapping[str, Any], followed: Any) -> Any:
    """The text of the LR's schedule that the program gave, in a state whose schedule may contain what a control did to it.

    Args:
        state_dict: The state of a scheduler or an attachment.
        followed: The text of what was followed, in a state without a control.

    Raises:
        ArgumentError: if the state of the control is none.
    """
    control = state_dict.get("control")
    if control is None:
        return followed
    if not isinstance(control, Mapping):
        checks.refuse("the state of the control in state_dict", "a mapping", control)
    given = control.get("given", followed)
    return given[0] if isinstance(given, list) and len(given) == 1 else given


def warn_of_another_schedule(key: str, n: int, saved: object, present: Sequence[Schedule]) -> None:
    """Warn if a state was saved under other schedules than the present ones.

    Args:
        key: The hyper-parameter.
        n: The number of updates in the state.
        saved: The text in the state; one for each group, or one for all.
        present: The schedules that go on from there.

    Raises:
        ArgumentError: if the text in the state is no text.
    """
    entries = saved if isinstance(saved, list) else [saved]
    texts = [text for text in entries if isinstance(text, str)]
    if not texts or len(texts) < len(entries):
        checks.refuse("the schedule in state_dict", "a text, or one for each group", saved)
    if _for_all(texts) == _for_all([repr(schedule) for schedule in present]):
        return
    try:
        before = [parse(text) for text in texts]
        if _for_all(before) == _for_all(present):  # the same, written otherwise
            return
        value = _values(before, n)
    except LearnrateError:  # a function of the user, or a schedule of another version
        value = "a value that cannot be computed from its text"
    warn(
        f"{key} follows another schedule than the one that the state was saved under: at update {n} it gave {value}, "
        f"{checks.shown(', '.join(texts))}; now it is {_values(present, n)}, {checks.shown(', '.join(map(repr, present)))}: "
        "build the same schedule if the run is to go on as it was",
        OtherScheduleWarning,
    )


def warn_of_other_names(n: int, saved: Mapping[str, object], present: Iterable[str]) -> None:
    """Warn if another set of hyper-parameters was driven in the run of a state.

    Args:
        n: The number of updates in the state.
        saved: The schedules in the state, by hyper-parameter; empty in a state that has the count alone.
        present: The hyper-parameters that are driven now.
    """
    present = list(present)
    missing = {key: text for key, text in saved.items() if key not in present}
    added = [key for key in present if key not in saved] if saved else []
    differences = [f"{key} followed {checks.shown(text)}, and nothing drives it now" for key, text in missing.items()]
    differences += [f"nothing drove {key}, which follows a schedule now" for key in added]
    if differences:
        warn(
            f"other hyper-parameters are driven than in the run that the state was saved in: at update {n} "
            f"{'; '.join(differences)}: attach schedules of the same ones if the run is to go on as it was",
            OtherScheduleWarning,
        )


def _for_all(schedules: Sequence[T]) -> list[T]:
    """The schedule of all groups, or those of each group if they differ."""
    entries = list(schedules)
    return entries[:1] if all(entry == entries[0] for entry in entries) else entries


def _values(schedules: Sequence[Schedule], n: int) -> str:
    return ", ".join(f"{schedule(n):.6g}" for schedule in schedules)
