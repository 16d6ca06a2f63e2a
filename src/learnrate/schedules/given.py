"""Schedules as a user gives them to an adapter: an object or its text, one for all parameter groups or one for each."""

from collections.abc import Sequence
from typing import Any

from learnrate import checks
from learnrate.schedules.base import Schedule
from learnrate.schedules.text import parse

Given = Schedule | str | Sequence[Schedule | str]
"""One schedule for all parameter groups of an optimizer, or one for each. A text is read with `learnrate.parse`."""

Read = Schedule | list[Schedule]
"""The same, with every text read."""


def as_schedule(name: str, value: Any) -> Schedule:
    """A schedule, or the schedule of a text.

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


def as_schedules(name: str, value: Any) -> Read:
    """One schedule, or one for each parameter group, not resolved yet.

    Raises:
        ArgumentTypeError: if it is something else.
        ParseError: if a text is no schedule.
    """
    if isinstance(value, (list, tuple)):
        return [as_schedule(f"an entry of {name}", entry) for entry in value]
    return as_schedule(name, value)


def texts_of(schedules: Read) -> str | list[str]:
    """What rebuilds the schedules: a text, or one for each parameter group."""
    return [repr(schedule) for schedule in schedules] if isinstance(schedules, list) else repr(schedules)
