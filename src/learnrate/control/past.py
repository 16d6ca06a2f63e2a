"""What an undo gives back, and the parts of a run's control in JSON."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learnrate import checks, records
from learnrate.control.controller import Controller, as_json, restored
from learnrate.control.events import Event, schedules_of, several_texts
from learnrate.control.requests import InForce
from learnrate.errors import ArgumentError, OtherScheduleWarning
from learnrate.schedules import Schedule
from learnrate.schedules.functions import Function
from learnrate.user_code import warn

Controllers = Mapping[str, Controller[Any]]


@dataclass(frozen=True)
class Past:
    """What was in force before a change.

    Attributes:
        present: The schedules, and the factor set by hand.
        states: The states of the controllers, if the change made them begin again, which another schedule does.
        factors: Their factors.
    """

    present: InForce
    states: Mapping[str, Any] | None = None
    factors: Mapping[str, float] | None = None

    def to_json(self, controllers: Controllers) -> dict[str, Any]:
        """It as a JSON object."""
        entry = {"factor": self.present.factor, "schedules": [repr(schedule) for schedule in self.present.schedules]}
        if self.states is None or self.factors is None:
            return entry
        return {**entry, "controllers": controllers_to_json(controllers, self.states, self.factors)}

    @classmethod
    def from_json(
        cls,
        content: object,
        controllers: Controllers,
        functions: Iterable[Function] = (),
        original: Iterable[Schedule] = (),
    ) -> "Past":
        """Read what `to_json` wrote. Controllers that are not at work any more are left out.

        Raises:
            ArgumentError: if it is something else.
        """
        fields = records.Fields(content)  # type: ignore[arg-type]
        texts = fields.read("schedules", several_texts)
        present = InForce(schedules_of(texts, functions, original), fields.read("factor", checks.positive))
        if "controllers" not in fields.content:
            return cls(present)
        states, factors, _ = controllers_from_json(controllers, fields["controllers"])
        initial = {name: controller.init() for name, controller in controllers.items()}
        return cls(present, {**initial, **states}, {**dict.fromkeys(controllers, 1.0), **factors})


def controllers_to_json(controllers: Controllers, states: Mapping[str, Any], factors: Mapping[str, float]) -> dict[str, Any]:
    """Controllers with their states and factors, as a JSON object."""
    return {
        name: {"kind": type(controller).__name__, "state": as_json(states[name]), "factor": factors[name]}
        for name, controller in controllers.items()
    }


def controllers_from_json(
    controllers: Controllers, content: object
) -> tuple[dict[str, Any], dict[str, float], dict[str, float]]:
    """Read what `controllers_to_json` wrote.

    Returns:
        The states and the factors of the controllers that are at work now as then; and the factors of those that are not, 1
        for those that were not then.

    Raises:
        ArgumentError: if it is something else.
    """
    states: dict[str, Any] = {}
    factors: dict[str, float] = {}
    lost = {name: 1.0 for name in controllers if name not in records.Fields(content).content}  # type: ignore[arg-type]
    for name, entry in records.Fields(content).content.items():  # type: ignore[arg-type]
        fields = records.Fields(entry)
        factor = checks.positive(f"the factor of {name}", fields["factor"])
        if name not in controllers or fields["kind"] != type(controllers[name]).__name__:
            lost[name] = factor
        else:
            states[name], factors[name] = restored(controllers[name], fields["state"]), factor
    return states, factors, lost


@dataclass(frozen=True)
class Saved:
    """What `Control.state_dict` wrote, read and checked.

    Attributes:
        events: What happened.
        pending: What waited for the next update.
        before: What undo gives back, the last change last.
        present: What was in force.
        states: The states of the controllers that are at work now as then.
        factors: Their factors.
        lost: The factors of the others.
        names: The names of the controllers then.
    """

    events: tuple[Event, ...]
    pending: tuple[Event, ...]
    before: tuple[Past, ...]
    present: InForce
    states: Mapping[str, Any]
    factors: Mapping[str, float]
    lost: Mapping[str, float]
    names: tuple[str, ...]


def read(state: object, original: tuple[Schedule, ...], controllers: Controllers, functions: Iterable[Function]) -> Saved:
    """Read what `Control.state_dict` wrote.

    Raises:
        ArgumentError: if it is something else.
    """
    fields = records.Fields(state)  # type: ignore[arg-type]
    hand = records.Fields(fields["hand"])
    events = tuple(Event.from_json(entry, functions, original) for entry in fields.read("events", _entries))
    waiting = _entries("pending", fields.content.get("pending", ()))
    pending = tuple(Event.from_json(entry, functions, original) for entry in waiting)
    before = tuple(Past.from_json(entry, controllers, functions, original) for entry in hand.read("before", _entries))
    schedules = next((event.schedules for event in reversed(events) if event.schedules is not None), original)
    present = InForce(schedules, hand.read("factor", checks.positive))
    states, factors, lost = controllers_from_json(controllers, fields["controllers"])
    return Saved(events, pending, before, present, states, factors, lost, tuple(fields["controllers"]))


def ended(saved: Saved, controllers: Controllers) -> list[Event]:
    """The ends of the factors of controllers that a run had and has no more, or has of another kind.

    Warns:
        OtherScheduleWarning: if there are such controllers, or new ones.
    """
    if saved.lost:
        warn(
            f"other controllers are at work than in the run that the state was saved in, which had "
            f"{', '.join(saved.names) or 'none'}, now {', '.join(controllers) or 'none'}: those of another name or kind "
            "begin again, and the factors of those that are missing end",
            OtherScheduleWarning,
        )
    reason = "not at work any more after the run was resumed"
    return [Event(0, "scale", name, reason=reason, time=time.time()) for name, factor in saved.lost.items() if factor != 1]


_entries: checks.Check[tuple[Any, ...]] = checks.several(lambda name, value: value, of="JSON objects")


def require_resolved(schedules: Sequence[Schedule]) -> tuple[Schedule, ...]:
    """The schedules, none of whose lengths depends on the run.

    Raises:
        ArgumentError: if one's does.
    """
    for schedule in schedules:
        if not schedule.is_resolved:
            raise ArgumentError(f"a schedule must be resolved before it is followed, received {schedule!r}")
    return tuple(schedules)


def usual_factor(name: str, value: float) -> float:
    """The check of the product of all factors: single precision can hold it, and its inverse."""
    if not 1e-30 <= value <= 1e30:
        checks.refuse(name, "within 1e-30 and 1e30", value)
    return value
