"""What a run followed before it was interrupted, which goes on under the same schedules or under others."""

from collections.abc import Sequence
from typing import Any

from learnrate.errors import LearnrateError
from learnrate.schedules import Schedule, parse, switch


def went_on(
    original: str | Sequence[str] | None, given: str | Sequence[str] | None, schedules: list[Schedule], update: int
) -> tuple[list[Schedule], bool]:
    """The schedules without what controllers and people did to them, from the start of the run on.

    Args:
        original: Their texts in the checkpoint, or one text; None if it has none.
        given: The texts of those that the program gave in that run.
        schedules: Those that it gives now.
        update: The number of updates in the checkpoint, from which on the present ones are followed.

    Returns:
        The schedules, and whether the present ones are others than those of that run. Where a text cannot be read, because
        it names functions of the user, the present ones stand for the whole run.

    Example:
        >>> from learnrate import constant
        >>> went_on("constant(0.5)", "constant(0.5)", [constant(0.25)], 100)
        ([switch(schedules=(constant(value=0.5), constant(value=0.25)), milestones=(100,))], True)
    """
    if (
        original is None
        or given is None
        or _listed(given) == [repr(schedule) for schedule in schedules] == _listed(original)
    ):
        return schedules, False
    try:
        before, saved = ([parse(text) for text in _listed(texts)] for texts in (original, given))
    except LearnrateError:
        return schedules, _listed(given) != [repr(schedule) for schedule in schedules]
    if saved == schedules:
        return before, False
    if not update or not _fit(before, schedules):
        return schedules, True
    count = max(len(before), len(schedules))
    pairs = zip(_spread(before, count), _spread(schedules, count), strict=True)
    return [switch(pair, (update,)) for pair in pairs], True


def _listed(texts: Any) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _fit(before: list[Schedule], schedules: list[Schedule]) -> bool:
    return len(before) == len(schedules) or 1 in (len(before), len(schedules))


def _spread(schedules: list[Schedule], count: int) -> list[Schedule]:
    return schedules * count if len(schedules) == 1 else schedules
