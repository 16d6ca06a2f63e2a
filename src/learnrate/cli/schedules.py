"""The schedules of a comparison as they are written on a command line."""

from collections.abc import Sequence

from learnrate import checks
from learnrate.errors import ArgumentError, ParseError
from learnrate.schedules import Schedule, from_json, parse
from learnrate.study.arms import LONGEST_NAME
from learnrate.tuner.families import NAMED

OPTION = "--schedule"


def read_schedules(texts: Sequence[str]) -> dict[str, Schedule | str]:
    """The arms of a comparison by name.

    Args:
        texts: Each NAME=SCHEDULE, or a schedule, whose text is then its name. A schedule is an expression, the JSON of one,
            or the name of a family, which is tuned.

    Raises:
        ArgumentError: if there is none, or two have the same name.
        ParseError: if a text is no schedule.
    """
    if not texts:
        checks.refuse(OPTION, "given for each schedule that is compared", "none", f"{OPTION} 'name=cosine(0.1, 0)'")
    arms: dict[str, Schedule | str] = {}
    for text in texts:
        name, schedule = named_schedule(text)
        if name in arms:
            remedy = f"give each a name of its own: {OPTION} 'NAME=SCHEDULE'"
            checks.refuse(OPTION, "given with different names", name, remedy)
        arms[name] = schedule
    return arms


def named_schedule(text: str) -> tuple[str, Schedule | str]:
    """The name and the schedule of one text.

    The text before "=" is a name if what follows it is a schedule. In "cosine(start=0.1, end=0)" it is part of the schedule.

    Raises:
        ArgumentError: if the name is empty or too long.
        ParseError: if there is no schedule.

    Example:
        >>> named_schedule("short = constant(value=0.1)"), named_schedule("one_cycle")
        (('short', constant(value=0.1)), ('one_cycle', 'one_cycle'))
    """
    try:
        return _shortened(text.strip()), _schedule(text)
    except ParseError as error:
        whole = error
    first: ParseError | None = None
    for position in (place for place, character in enumerate(text) if character == "="):
        try:
            return _checked(text[:position].strip()), _schedule(text[position + 1 :])
        except ParseError as error:
            first = first or error
    name = text.partition("=")[0]
    # Which of the two texts was meant for a schedule: a name has no bracket, as every schedule has.
    raise whole if first is None or "(" in name else first


def _schedule(text: str) -> Schedule | str:
    if text.strip() in NAMED:
        return text.strip()
    return from_json(text) if text.lstrip().startswith("{") else parse(text)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 3]}..."


def _checked(name: str) -> str:
    if not name or len(name) > LONGEST_NAME:
        raise ArgumentError(
            f"{OPTION} must have a name of 1 to {LONGEST_NAME} characters before '=', received {checks.shown(name)}"
        )
    return name
