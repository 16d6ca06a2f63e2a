"""Requests as lines of text: what a person writes into a file or types."""

import re
from collections.abc import Callable
from typing import get_args

from learnrate.control.requests import AnyRequest, Cooldown, Replace, Scale, Shape, Stop, Undo
from learnrate.errors import LearnrateError, ParseError

USAGE = (
    "scale FACTOR",
    "schedule SCHEDULE",
    "schedule from start SCHEDULE",
    f"cooldown UPDATES [END [{' | '.join(get_args(Shape))}]]",
    "undo",
    "stop",
)
"""The forms of a command."""

_FROM_START = re.compile(r"from\s+start\s+")


def from_line(line: str) -> AnyRequest:
    """The request that a line of text stands for.

    Args:
        line: Such as "scale 0.5", "schedule cosine(0.05, 0)", "schedule from start warmup(0.1, 500) >> cosine(0.1, 0)",
            "cooldown 500", "cooldown 500 1e-5 cosine", "undo" or "stop". A schedule counts from the update at which it is
            applied, or from the start of the run.

    Returns:
        The request.

    Raises:
        ParseError: if it is no such line, or an argument breaks its rule; with the column, counted from 1.

    Example:
        >>> from_line("scale 0.5")
        Scale(factor=0.5)
        >>> from_line("scale a half")
        Traceback (most recent call last):
        learnrate.errors.ParseError: column 9: the command must be: scale FACTOR, received 'half' beside it
    """
    words = [(match.group(), match.start() + 1) for match in re.finditer(r"\S+", line)]
    if not words:
        raise _error(1, f"a command must be one of {', '.join(_COMMANDS)}, received an empty line")
    name, column = words[0]
    if name not in _COMMANDS:
        raise _error(column, f"a command must be one of {', '.join(_COMMANDS)}, received {name!r}")
    return _COMMANDS[name](line, words)


Words = list[tuple[str, int]]
"""The words of a line with their columns."""


def _error(column: int, message: str) -> ParseError:
    return ParseError(f"column {column}: {message}", column)


def _number(word: tuple[str, int], kind: type[int] | type[float]) -> float:
    text, column = word
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise _error(column, f"expected {what}, received {text!r}") from None


def _limited(words: Words, least: int, most: int) -> None:
    """Refuse a line with too few or too many words."""
    form = next(usage for usage in USAGE if usage.startswith(words[0][0]))
    if len(words) <= least:
        text, column = words[-1]
        raise _error(column + len(text), f"the command must be: {form}")
    if len(words) > most + 1:
        raise _error(words[most + 1][1], f"the command must be: {form}, received {words[most + 1][0]!r} beside it")


def _applied(column: int, build: Callable[[], AnyRequest]) -> AnyRequest:
    """What `build` returns; an error of an argument names the column."""
    try:
        return build()
    except LearnrateError as error:
        raise _error(column, str(error)) from None


def _scale(line: str, words: Words) -> AnyRequest:
    _limited(words, 1, 1)
    factor = _number(words[1], float)
    return _applied(words[1][1], lambda: Scale(factor))


def _schedule(line: str, words: Words) -> AnyRequest:
    _limited(words, 1, len(words))
    text = line[words[1][1] - 1 :].rstrip()
    start = _FROM_START.match(text)
    text = text[start.end() :] if start else text
    column = words[1][1] + (start.end() if start else 0)
    try:
        return Replace(text, begins="start" if start else "now")
    except ParseError as error:
        # Its message counts the columns of the schedule alone.
        column += error.column - 1
        message = str(error).rpartition(f"column {error.column}: ")[2]
        raise _error(column, f"not a schedule: {message}") from None
    except LearnrateError as error:
        raise _error(column, str(error)) from None


def _cooldown(line: str, words: Words) -> AnyRequest:
    _limited(words, 1, 3)
    length = int(_number(words[1], int))
    _applied(words[1][1], lambda: Cooldown(length))
    end = _number(words[2], float) if len(words) > 2 else 0.0
    shape = words[3][0] if len(words) > 3 else "linear"
    if shape not in get_args(Shape):
        raise _error(words[3][1], f"the shape must be one of {', '.join(get_args(Shape))}, received {shape!r}")
    return _applied(words[min(2, len(words) - 1)][1], lambda: Cooldown(length, end, shape))  # type: ignore[arg-type]


def _undo(line: str, words: Words) -> AnyRequest:
    _limited(words, 0, 0)
    return Undo()


def _stop(line: str, words: Words) -> AnyRequest:
    _limited(words, 0, 0)
    return Stop()


_COMMANDS: dict[str, Callable[[str, Words], AnyRequest]] = {
    "scale": _scale,
    "schedule": _schedule,
    "cooldown": _cooldown,
    "undo": _undo,
    "stop": _stop,
}
