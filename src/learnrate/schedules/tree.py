"""The parts of a schedule, down to the last, and their lengths."""

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from learnrate import checks
from learnrate.schedules import durations

if TYPE_CHECKING:
    from learnrate.schedules.base import Schedule


def inner(schedule: "Schedule") -> Iterator["Schedule"]:
    """The schedules in the fields of a schedule."""
    from learnrate.schedules.base import Schedule  # which imports this module

    for field in fields(schedule):  # type: ignore[arg-type]
        value = getattr(schedule, field.name)
        yield from (part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, Schedule))


def tree(schedule: "Schedule") -> Iterator["Schedule"]:
    """The schedule, its parts, and the parts of these."""
    yield schedule
    for part in inner(schedule):
        yield from tree(part)


MOST_NESTED = 100
"""Most levels of a schedule that is read. Python's own limit of calls inside calls would come later, while it is used."""


def depth(schedule: "Schedule") -> int:
    """Number of levels: 1 for a schedule without parts."""
    levels, level = 0, [schedule]
    while level:
        levels, level = levels + 1, [part for parent in level for part in inner(parent)]
    return levels


def own_lengths(schedule: "Schedule") -> dict[str, tuple[Any, Any]]:
    """The fields of a schedule that contain lengths, without those that are None: check and value."""
    length_checks = ((name, check) for name, check in checks.of_fields(type(schedule)) if check in durations.CHECKS)
    return {name: (check, value) for name, check in length_checks if (value := getattr(schedule, name)) is not None}


def lengths(schedule: "Schedule") -> Iterator[float | str]:
    """All lengths in a schedule and its parts, resolved or not."""
    for part in tree(schedule):
        for _, value in own_lengths(part).values():
            yield from value if isinstance(value, tuple) else (value,)


def takes_rest(schedule: "Schedule") -> bool:
    """Whether the schedule or a part of it takes the rest of the run."""
    return durations.REST in lengths(schedule)


def greatest_count(schedule: "Schedule") -> int:
    """The greatest integer that the formula adds to a count or compares with a count."""
    counts = (*lengths(schedule), *(part.length for part in tree(schedule)))
    return max((math.ceil(count) for count in counts if isinstance(count, (int, float))), default=0)
