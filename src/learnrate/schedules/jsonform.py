"""Schedules as JSON: names and fields, nested like the schedules, with a kind and a version."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError, LearnrateError
from learnrate.schedules import functions as named_functions
from learnrate.schedules.base import Schedule
from learnrate.schedules.functions import Function
from learnrate.schedules.tree import MOST_NESTED, depth
from learnrate.schedules.vocabulary import COMBINED, SCHEDULES

VERSION = 1
_CLASSES: Mapping[str, type[Schedule]] = {**SCHEDULES, **COMBINED}


def to_json(schedule: Schedule) -> str:
    """See `Schedule.to_json`."""
    return json.dumps({"learnrate": "schedule", "version": VERSION, "schedule": _encoded(schedule)}, allow_nan=False)


def from_json(text: str, functions: Iterable[Function] = ()) -> Schedule:
    """Read a schedule that `Schedule.to_json` wrote.

    Args:
        text: Return value of `to_json`.
        functions: Your own functions that the text may name.

    Raises:
        ArgumentError: if the text is something else, or has a version that this learnrate cannot read.

    Example:
        >>> from learnrate import cosine, warmup
        >>> s = warmup(0.1, 500) >> cosine(0.1, 0, 9_500)
        >>> from_json(s.to_json()) == s
        True
    """
    try:
        record = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except (ValueError, TypeError) as error:
        if isinstance(error, ValueError) and not isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
            raise ArgumentError("a number in the JSON of a schedule must not have thousands of digits") from None
        raise ArgumentError(f"a schedule must be read from JSON, received {checks.shown(text)}: {error}") from None
    if not isinstance(record, dict) or record.get("learnrate") != "schedule":
        raise ArgumentError(f"a schedule must be read from the JSON of a schedule, received {checks.shown(text)}")
    if type(record.get("version")) is not int or record["version"] != VERSION:
        raise ArgumentError(
            f"the version of a schedule must be {VERSION}, received {checks.shown(record.get('version'))}: upgrade learnrate"
        )
    try:
        schedule = _decoded(record.get("schedule"), named_functions.by_name(functions))
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(schedule, Schedule):
        raise ArgumentError(f"a schedule must be read from the JSON of a schedule, received {checks.shown(text)}")
    if depth(schedule) > MOST_NESTED:
        raise _too_deep()
    return schedule


def _too_deep() -> ArgumentError:
    return ArgumentError(f"the JSON of a schedule must not be nested more than {MOST_NESTED} levels deep")


def _encoded(value: Any) -> Any:
    if isinstance(value, Schedule):
        return {"name": type(value).__name__, **{f.name: _encoded(getattr(value, f.name)) for f in fields(value)}}  # type: ignore[arg-type]
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    if callable(value):
        name = named_functions.dotted_name(value)
        if name is None:
            checks.refuse("a function in JSON", "at the top level of a module", value)
        return {"function": name}
    return value


def _decoded(value: Any, functions: Mapping[str, Function]) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item, functions) for item in value)
    if not isinstance(value, dict):
        return value
    if set(value) == {"function"}:
        if str(value["function"]) not in functions:
            unknown = checks.shown(value["function"])
            raise ArgumentError(f"the function {unknown} is unknown: give it in functions=[...]")
        return functions[value["function"]]
    name = str(value.get("name"))
    if name not in _CLASSES:
        checks.refuse("the name of a schedule", "one of those in learnrate.schedules", name)
    arguments = {key: _decoded(field, functions) for key, field in value.items() if key != "name"}
    try:
        return _CLASSES[name](**arguments)
    except LearnrateError:
        raise
    except TypeError as error:
        raise ArgumentError(f"the fields of {name} must be its arguments: {checks.short(str(error))}") from None
