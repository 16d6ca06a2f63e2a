"""What a guard did in a run, as a text."""

from collections.abc import Iterable

from learnrate.control.control import Control
from learnrate.control.events import Event
from learnrate.errors import GaveUpError

KINDS = {"skip": "left out", "rollback": "rollback", "stop": "given up", "scale": "LR"}


def report(events: Iterable[Event], who: str = "guard") -> str:
    """What a controller did and why, a line for each event: the update, what was done, which gradients were at fault.

    Args:
        events: `attachment.control.events`.
        who: Name of the controller.

    Example:
        >>> from learnrate.control import Event, report
        >>> print(report([Event(120, "skip", "guard", reason="the loss of update 120 is not finite (LR 0.1)")]))
        update 120: left out: the loss of update 120 is not finite (LR 0.1)
    """
    return "\n".join(_line(event) for event in events if event.who == who)


def summary(control: Control) -> tuple[str, ...]:
    """What was done in a run and how often, in a sentence; none if nothing was."""
    counts: dict[tuple[str, str], int] = {}
    for event in control.events:
        counts[event.who, event.kind] = counts.get((event.who, event.kind), 0) + 1
    parts = [f"{who}: {KINDS.get(kind, kind)} ({count} times)" for (who, kind), count in counts.items()]
    return (f"what controllers did: {'; '.join(parts)}",) if parts else ()


def gave_up(control: Control) -> GaveUpError | None:
    """The error that says that a guard has ended the run, with its report; None if something else or nothing has."""
    stopped = control.stopped
    if stopped is None or not getattr(control.controllers.get(stopped.who), "needs_snapshots", False):
        return None
    text = report(control.events, stopped.who)
    return GaveUpError(f"the guard has given the run up: {stopped.reason}\n{text}", text)


def _line(event: Event) -> str:
    what = f"LR times {event.factor:.4g}" if event.kind == "scale" else KINDS.get(event.kind, event.kind)
    parts = [f"update {event.update}: {what}: {event.reason}"]
    if event.evidence.get("restored") is not None and event.kind == "rollback":
        parts.append(f"weights of update {event.evidence['restored']} put back")
    if event.evidence.get("gradients") and event.kind in ("skip", "rollback", "stop"):
        parts.append(f"gradients: {', '.join(event.evidence['gradients'])}")
    return "; ".join(parts)
