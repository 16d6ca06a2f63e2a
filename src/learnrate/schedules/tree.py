"""What a schedule is made of: the schedules in its fields, theirs, and the lengths that all of them hold."""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from learnrate import checks
from learnrate.schedules import durations

if TYPE_CHECKING:
    from learnrate.schedules.base import Schedule


def inner(schedule: "Schedule") -> Iterator["Schedule"]:
    """The schedules in its fields."""
    from learnrate.schedules.base import Schedule  # which is built on this module

    for field in fields(schedule):  # type: ignore[arg-type]
        value = getattr(schedule, field.name)
        yield from (one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Schedule))


def tree(schedule: "Schedule") -> Iterator["Schedule"]:
    """The schedule, and all that it is made of."""
    yield schedule
    for part in inner(schedule):
        yield from tree(part)


def own_lengths(schedule: "Schedule") -> dict[str, Any]:
    """Its own fields that hold lengths, without those that hold None."""
    held = (name for name, check in checks.of_fields(type(schedule)) if check in durations.CHECKS)
    return {name: value for name in held if (value := getattr(schedule, name)) is not None}


def lengths(schedule: "Schedule") -> Iterator[int | str]:
    """All lengths in it, resolved or not."""
    for part in tree(schedule):
        for value in own_lengths(part).values():
            yield from value if isinstance(value, tuple) else (value,)


def takes_rest(schedule: "Schedule") -> bool:
    """Whether something in it takes the rest of the run."""
    return durations.REST in lengths(schedule)


def greatest_count(schedule: "Schedule") -> int:
    """The greatest whole number that its formula adds to a count or compares it with."""
    counts = (*lengths(schedule), *(part.length for part in tree(schedule)))
    return max((count for count in counts if isinstance(count, int)), default=0)
