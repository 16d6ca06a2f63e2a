"""Changes that arrive from outside: checked, tried, applied between two updates."""

from collections.abc import Mapping
from typing import Any

from learnrate import checks
from learnrate.control.events import Event
from learnrate.control.live.sources import Source, sampled
from learnrate.control.requests import AnyRequest, Stop, from_json
from learnrate.errors import ArgumentError, LearnrateError, ParseError

LONGEST_TEXT = 4000
"""Characters of the text of a schedule."""

LONGEST_REASON = 300
"""Characters of a reason."""

PREVIEW_POINTS = 600


def read(content: object) -> tuple[AnyRequest, str]:
    """A request and its reason: `{"change": {"kind": "scale", "factor": 0.5}, "why": "it oscillates"}`.

    Raises:
        ArgumentError: if it is no request, or an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong type.
    """
    if not isinstance(content, Mapping):
        checks.refuse_type("a request", "a JSON object", content)
    change, why = content.get("change"), content.get("why", "")
    if isinstance(change, Mapping):
        for name, value in change.items():
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                checks.refuse(str(name), f"at most {LONGEST_TEXT} characters long", value)
    why = " ".join(checks.text("why", why).split())
    if len(why) > LONGEST_REASON:
        checks.refuse("why", f"at most {LONGEST_REASON} characters long", why)
    return from_json(change), why


def described(error: LearnrateError) -> dict[str, Any]:
    """An error for the page, with the column of the text if it is at one."""
    text = str(error)
    answer: dict[str, Any] = {"error": checks.short(text, 600)}
    if isinstance(error, ParseError) and error.function is not None:
        # The remedy of `parse`, to give it the function, is for programs.
        name = checks.shown(error.function)
        sentence = (
            f"{name} is none of learnrate's own: functions of a program cannot be named here; write a schedule of "
            "learnrate, such as cosine(0.05, 0, 1000), or change the LR by a factor, which keeps the function"
        )
        answer = {"error": sentence, "column": error.column}
    elif isinstance(error, ParseError):
        # The page marks the column in the text, which it shows anyway.
        answer = {"error": checks.short(text.split(f", column {error.column}: ", 1)[-1], 600), "column": error.column}
    return answer


def preview(source: Source, change: AnyRequest, start: int, end: int) -> dict[str, Any]:
    """What a change would lead to, over a part of a run.

    Raises:
        ArgumentError: if it cannot be applied.
    """
    if not source.can_change:
        raise ArgumentError("a run must be in this process to be changed, this page reads the record of one")
    if source.refusal:
        raise ArgumentError(source.refusal)
    if isinstance(change, Stop):
        return {"text": str(change), "update": [], "lr": [], "total": None, "schedule": ""}
    schedules = source.preview(change)
    updates, values = sampled(schedules, max(0, start), max(1, start + 1, end), PREVIEW_POINTS)
    return {
        "text": str(change),
        "schedule": checks.short(repr(schedules[0]), 600),
        "total": source.total(change),
        "update": updates.tolist(),
        "lr": [float(f"{value:.7g}") for value in values.tolist()],
    }


def confirmation(event: Event) -> dict[str, Any]:
    """What a watcher is told about an applied change."""
    return {"update": event.update, "kind": event.kind, "factor": event.factor, "reason": event.reason}
