"""The control of a run: what its controllers and people decide, in order, and the schedule that follows from it."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from learnrate import checks, records
from learnrate.control.controller import Action, Controller, Observation, as_json, named, restored
from learnrate.control.events import Event, Kind, composed
from learnrate.control.listeners import Channel, Listener
from learnrate.control.requests import AnyRequest, Cooldown, InForce, Stop, Undo
from learnrate.control.restarts import Restarts
from learnrate.errors import ArgumentError, LearnrateError, OtherScheduleWarning
from learnrate.schedules import Schedule, parse
from learnrate.schedules.functions import Function
from learnrate.user_code import warn

HAND = "by hand"
"""Who a person is in the record."""

_NOTHING = Action()


@dataclass(frozen=True)
class Decision:
    """What is to be done with the update that was observed.

    Attributes:
        skip: Leave it out.
        rollback: Put the last good snapshot back, and leave it out.
    """

    skip: bool = False
    rollback: bool = False


_GO_ON = Decision()


class Control:
    """Runs controllers over a training run, applies what people ask for, and keeps what happened.

    An adapter calls `observe` with each update, before it is applied where the framework allows it, and obeys the decision;
    then `settle` with the number of the next update. If `settle` says so, it lets the optimizer follow `schedules`. Any
    thread may call `request`; nothing else is safe to call from another thread.

    Args:
        schedules: What the run follows: one schedule for all parameter groups, or one for each. Resolved.
        controllers: A controller, several, or a mapping from names; see `controller.named`.
        rank: Number of this process. Requests are taken in process 0 alone.
        share: In many processes: returns what process 0 has, in every process. Called by `settle` in all of them.

    Attributes:
        controllers: The controllers by name.
        states: Their states.
        events: What happened so far.
        stopped: Who ended the run and why; None while it goes on.
        listeners: What is told about updates and events.
        channels: Where requests come from.

    Raises:
        ArgumentError: if a schedule is not resolved.
    """

    def __init__(
        self,
        schedules: Sequence[Schedule],
        controllers: object = None,
        *,
        rank: int = 0,
        share: Callable[[Any], Any] | None = None,
    ) -> None:
        self.controllers: Mapping[str, Controller[Any]] = named(controllers)
        self.listeners: list[Listener] = []
        self.channels: list[Channel] = []
        self.rank = rank
        self._share = share
        self._requests: deque[tuple[AnyRequest, str, Future[Event]]] = deque()
        self._begin(tuple(schedules))

    def _begin(self, original: tuple[Schedule, ...]) -> None:
        for schedule in original:
            if not schedule.is_resolved:
                raise ArgumentError(f"a schedule must be resolved before it is followed, received {schedule!r}")
        self.original = original
        self.events: list[Event] = []
        self.stopped: Event | None = None
        self._present = InForce(original)
        self._before_hand: list[InForce] = []
        self._pending: list[Event] = []
        self._restart = Restarts(original[0])
        self._start_controllers()
        self._composed: tuple[Schedule, ...] | None = None

    def _start_controllers(self) -> None:
        self.states = {name: controller.init() for name, controller in self.controllers.items()}
        self._factors = dict.fromkeys(self.controllers, 1.0)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """What the run has followed and will follow if nothing else happens, factors included."""
        if self._composed is None:
            self._composed = composed(self.original, self.events)
        return self._composed

    @property
    def schedule(self) -> Schedule | tuple[Schedule, ...]:
        """The same; a schedule alone if it is one for all parameter groups."""
        return self.schedules[0] if len(self.schedules) == 1 else self.schedules

    @property
    def factor(self) -> float:
        """What the schedule in force is multiplied with: the product of all factors."""
        return self._present.factor * math.prod(self._factors.values())

    @property
    def factors(self) -> dict[str, float]:
        """The factors by who set them."""
        return {**self._factors, HAND: self._present.factor}

    @property
    def needs_gradient_norm(self) -> bool:
        """Whether a controller reads the norm of the gradient."""
        return any(getattr(controller, "needs_gradient_norm", False) for controller in self.controllers.values())

    @property
    def needs_snapshots(self) -> bool:
        """Whether a controller may ask for a rollback."""
        return any(getattr(controller, "needs_snapshots", False) for controller in self.controllers.values())

    def restarts(self, update: int) -> bool:
        """Whether a cycle of the schedule in force begins with this update."""
        return self._restart.at(update)

    def observe(self, observation: Observation) -> Decision:
        """Let the controllers react to an update or an evaluation.

        Returns:
            What is to be done with the update. New LRs wait for `settle`.
        """
        skip = rollback = False
        for name, controller in self.controllers.items():
            before = self.states[name]
            after, action = controller.update(before, observation)
            self.states[name] = after
            if action == _NOTHING and self._factors[name] == 1.0:
                continue
            skip, rollback = skip or bool(action.skip), rollback or bool(action.rollback)
            self._take(name, controller, before, after, action, observation)
        if observation.loss is None and observation.metrics:
            for listener in self.listeners:
                listener.on_evaluation(observation)
        elif not (skip or rollback):
            for listener in self.listeners:
                listener.on_update(observation)
        return Decision(skip, rollback) if skip or rollback else _GO_ON

    def _take(
        self, name: str, controller: Controller[Any], before: Any, after: Any, action: Action, observation: Observation
    ) -> None:
        """Note what a controller wants. LRs change in `settle`."""
        factor = float(action.factor)
        wants: list[tuple[Kind, bool]] = [
            ("scale", factor != self._factors[name]),
            ("skip", bool(action.skip) and not action.rollback),
            ("rollback", bool(action.rollback)),
            ("cooldown", int(action.cooldown) > 0),
            ("stop", bool(action.stop)),
        ]
        kinds = [kind for kind, wanted in wants if wanted]
        if not kinds:
            return
        if not (factor > 0 and math.isfinite(factor)):
            checks.refuse(f"the factor of the controller {name}", "finite and above 0", factor)
        self._factors[name] = factor
        reason = controller.reason(before, after, observation)
        evidence = {**as_json(after), **_seen(observation)}
        for kind in kinds:
            event = Event(observation.update, kind, name, reason=reason, evidence=evidence, time=time.time())
            if kind == "cooldown":
                event = replace(event, evidence={**evidence, "length": int(action.cooldown)})
            self._pending.append(event)

    def explain(self, **evidence: Any) -> None:
        """Add evidence to what was decided about the last update: which snapshot was put back, and so on."""
        for index, event in enumerate(self._pending):
            if event.kind in ("skip", "rollback", "stop"):
                self._pending[index] = replace(event, evidence={**event.evidence, **evidence})

    def request(self, change: AnyRequest, why: str = "") -> "Future[Event]":
        """Ask for a change, from any thread. It is applied between two updates.

        Args:
            change: A request of `learnrate.control`.
            why: The reason, for the record.

        Returns:
            A future: the event once it is applied, or the error.
        """
        future: Future[Event] = Future()
        self._requests.append((change, why, future))
        return future

    def preview(self, change: AnyRequest, update: int) -> Schedule:
        """The schedule that a request would lead to, if it were applied at this update.

        Raises:
            ArgumentError: if it cannot be applied.
        """
        event = self._event_of(change, update, "")
        return composed(self.original, [*self.events, event])[0]

    def waiting(self) -> bool:
        """Whether requests wait. Looks at the channels; False in every process but the first."""
        if self.rank == 0:
            for channel in self.channels:
                self._requests.extend((change, "", Future()) for change in channel.poll())
        return bool(self._requests)

    def settle(self, update: int, *, requests: bool = True) -> bool:
        """Apply what was decided and asked for since the last call.

        Args:
            update: Number of the next update.
            requests: Whether to take requests. In many processes the same in all of them, by what `waiting` says in the
                first one; if True, `share` is called.

        Returns:
            Whether `schedules` are others now.
        """
        events, self._pending = self._pending, []
        for event in events:
            self._apply_action(event, update)
        for change, why, future in self._asked() if requests else ():
            try:
                future.set_result(self._apply_request(change, why, update))
            except LearnrateError as error:
                future.set_exception(error)
        return self._composed is None

    def _asked(self) -> "list[tuple[AnyRequest, str, Future[Event]]]":
        asked: list[tuple[AnyRequest, str, Future[Event]]] = []
        if self.waiting():
            while self._requests:
                asked.append(self._requests.popleft())
        if self._share is None:
            return asked
        shared = self._share([(change, why) for change, why, _ in asked] or None)
        return asked if self.rank == 0 else [(change, why, Future()) for change, why in shared or ()]

    def _apply_action(self, event: Event, update: int) -> None:
        if event.kind in ("scale", "cooldown"):
            event = replace(event, update=update)
        if event.kind == "cooldown":
            self._present = Cooldown(int(event.evidence["length"])).applied(self._present, update)
            event = replace(event, schedules=self._present.schedules)
        self._add(replace(event, factor=self.factor))

    def _apply_request(self, change: AnyRequest, why: str, update: int) -> Event:
        event = self._event_of(change, update, why)
        if isinstance(change, Undo):
            self._present = self._before_hand.pop()
        elif not isinstance(change, Stop):
            self._before_hand.append(self._present)
            self._present = change.applied(self._present, update)
        if change.kind == "replace":
            self._start_controllers()
        self._add(event)
        return event

    def _event_of(self, change: AnyRequest, update: int, why: str) -> Event:
        """What a request would do; nothing is changed yet, and whatever may fail fails here."""
        event = Event(update, change.kind, HAND, self.factor, None, why or str(change), {}, time.time())
        if isinstance(change, Stop):
            return event
        if isinstance(change, Undo) and not self._before_hand:
            raise ArgumentError("undo must have a change by hand to take back, there is none left")
        after = self._before_hand[-1] if isinstance(change, Undo) else change.applied(self._present, update)
        factors = 1.0 if change.kind == "replace" else math.prod(self._factors.values())
        schedules = None if after.schedules == self._present.schedules else after.schedules
        return replace(event, factor=after.factor * factors, schedules=schedules)

    def _add(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "stop":
            self.stopped = event
        elif event.kind not in ("skip", "rollback"):
            self._composed = None
        if event.schedules is not None:
            self._restart = Restarts(event.schedules[0])
        for listener in self.listeners:
            listener.on_event(event)

    def replaced(self, schedules: Sequence[Schedule], update: int) -> None:
        """Note that the program itself follows other schedules from an update on; they count from the start of the run."""
        self._before_hand.append(self._present)
        self._present = InForce(tuple(schedules))
        self._start_controllers()
        self._add(Event(update, "replace", HAND, 1.0, tuple(schedules), "replaced by the program", {}, time.time()))

    def close(self) -> None:
        """The run has ended: close the listeners and channels. Requests that wait are refused."""
        for channel in self.channels:
            channel.close()
        for listener in self.listeners:
            listener.close()
        self.channels, self.listeners = [], []
        while self._requests:
            self._requests.popleft()[2].set_exception(ArgumentError("the run must go on for a change, it has ended"))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep, as JSON: the events and the states of the controllers."""
        return {
            "events": [event.to_json() for event in self.events],
            "controllers": {
                name: {"kind": type(controller).__name__, "state": as_json(self.states[name]), "factor": self._factors[name]}
                for name, controller in self.controllers.items()
            },
            "hand": {
                "factor": self._present.factor,
                "before": [
                    {"factor": entry.factor, "schedules": [repr(schedule) for schedule in entry.schedules]}
                    for entry in self._before_hand
                ],
            },
        }

    def load_state_dict(self, state: object, functions: Iterable[Function] = ()) -> None:
        """Go on where a checkpoint was; the schedules that were given to this control stay its original ones.

        Args:
            state: From `state_dict()`.
            functions: Your own functions that the schedules name.

        Raises:
            ArgumentError: if it is something else.

        Warns:
            OtherScheduleWarning: if other controllers were at work.
        """
        fields = records.Fields(state)  # type: ignore[arg-type]
        hand = records.Fields(fields["hand"])
        events = [Event.from_json(event, functions) for event in fields["events"]]
        before = [_in_force(entry, functions) for entry in hand["before"]]
        self._begin(self.original)
        self.events = events
        replaced = [event.schedules for event in events if event.schedules is not None]
        self._present = InForce(replaced[-1] if replaced else self.original, hand.read("factor", checks.positive))
        self._before_hand = before
        self._restart = Restarts(self._present.schedules[0])
        self.stopped = next((event for event in events if event.kind == "stop"), None)
        self._load_controllers(records.Fields(fields["controllers"]))

    def _load_controllers(self, saved: records.Fields) -> None:
        missing = [name for name in saved.content if name not in self.controllers]
        for name, controller in self.controllers.items():
            if name not in saved.content or saved[name]["kind"] != type(controller).__name__:
                missing.append(name)
                continue
            self.states[name] = restored(controller, saved[name]["state"])
            self._factors[name] = checks.positive(f"the factor of {name}", saved[name]["factor"])
        if missing:
            warn(
                f"other controllers are at work than in the run that the state was saved in, which had "
                f"{', '.join(saved.content) or 'none'}, now {', '.join(self.controllers) or 'none'}: those of another name "
                "or kind begin again",
                OtherScheduleWarning,
            )


def _in_force(entry: Any, functions: Iterable[Function]) -> InForce:
    return InForce(tuple(parse(text, functions) for text in entry["schedules"]), checks.positive("factor", entry["factor"]))


def _seen(observation: Observation) -> dict[str, Any]:
    """The numbers of an observation, for the record."""
    numbers = {"loss": observation.loss, "gradient_norm": observation.gradient_norm, **observation.metrics}
    return {name: value for name, value in {"lr": observation.lr, **numbers}.items() if value is not None}
