"""The control of a run: what its controllers and people decide, in order, and the schedule that follows from it."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from learnrate import checks
from learnrate.control.composition import Composition, composed
from learnrate.control.controller import Action, Controller, Decision, Observation, as_json, named, numbers_of, openers
from learnrate.control.events import Event
from learnrate.control.listeners import Asked, Channel, Listener, opened
from learnrate.control.past import Past, controllers_to_json, ended, read, require_resolved, usual_factor
from learnrate.control.requests import AnyRequest, Cooldown, InForce, Stop, Undo, require_request
from learnrate.control.restarts import Restarts
from learnrate.errors import ArgumentError, LearnrateError
from learnrate.schedules import Schedule
from learnrate.schedules.functions import Function

__all__ = ["HAND", "Control", "Decision"]

HAND = "by hand"
"""Who a person is in the record."""

_NOTHING = Action()
_GO_ON = Decision()


class Control:
    """Runs controllers over a training run, applies what people ask for, and keeps what happened.

    An adapter calls `observe` with each update, before it is applied where the framework allows it, and obeys the decision;
    then `settle` with the number of the next update. If `settle` says so, it lets the optimizer follow `schedules`. Any
    thread may call `request`; nothing else is safe to call from another thread.

    Args:
        schedules: What the run follows: one schedule for all parameter groups, or one for each. Resolved.
        controllers: A controller, several, or a mapping from names; see `controller.named`. Among them may be what people
            use, such as `by_hand`: an `Opener`, whose channel is opened in process 0 alone.
        rank: Number of this process. Requests are taken in process 0 alone.
        share: In many processes: returns what process 0 has, in every process. Called by `settle` in all of them.

    Attributes:
        controllers: The controllers by name.
        states: Their states.
        events: What happened so far.
        stopped: Who ended the run and why; None while it goes on.
        listeners: What is told about updates and events.
        channels: Where requests come from.
        product: How factors are multiplied; an adapter whose framework multiplies in float32 sets its own.
        require_possible: Raises if the adapter cannot carry a request out.

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
        self.product: Callable[[Iterable[float]], float] = math.prod
        self.require_possible: Callable[[AnyRequest], None] = lambda change: None
        self.rank = rank
        self._share = share
        self._requests: deque[Asked] = deque()
        self._refusal = "" if rank == 0 else f"a change must be asked for in process 0, this is process {rank}"
        self._begin(tuple(schedules))
        self._changed = False
        if rank == 0:
            self.channels += opened(openers(controllers))

    def _begin(self, original: tuple[Schedule, ...]) -> None:
        self.original = require_resolved(original)
        self.events: list[Event] = []
        self.stopped: Event | None = None
        self._present = InForce(original)
        self._before_hand: list[Past] = []
        self._pending: list[Event] = []
        self._restart = Restarts(original[0])
        self._start_controllers()
        self._composition = Composition(original)
        self._changed = True

    def restart(self, original: Sequence[Schedule]) -> None:
        """Begin again under other schedules, as if they had been given at the start. Nothing that happened is kept.

        Raises:
            ArgumentError: if one is not resolved.
        """
        self._begin(tuple(original))

    def _start_controllers(self) -> None:
        self.states = {name: controller.init() for name, controller in self.controllers.items()}
        self._factors = dict.fromkeys(self.controllers, 1.0)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """What the run has followed and will follow if nothing else happens, factors included."""
        return self._composition.schedules

    @property
    def schedule(self) -> Schedule | tuple[Schedule, ...]:
        """The same; a schedule alone if it is one for all parameter groups."""
        return self.schedules[0] if len(self.schedules) == 1 else self.schedules

    @property
    def factor(self) -> float:
        """What the schedule in force is multiplied with: the product of all factors."""
        return self.product([self._present.factor, *self._factors.values()])

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
            if not isinstance(action, Action):
                checks.refuse_type(f"the second result of update of the controller {name}", "an Action", action)
            self.states[name] = after
            if action == _NOTHING and self._factors[name] == 1.0:
                continue
            skip, rollback = skip or bool(action.skip), rollback or bool(action.rollback)
            self._take(name, controller, before, after, action, observation)
        if observation.loss is None and observation.metrics:
            for listener in self.listeners:
                listener.on_evaluation(observation)
        elif not (skip or rollback) or (observation.applied and observation.loss is not None):  # it was made and counted
            for listener in self.listeners:
                listener.on_update(observation)
        return Decision(skip, rollback) if skip or rollback else _GO_ON

    def _take(
        self, name: str, controller: Controller[Any], before: Any, after: Any, action: Action, observation: Observation
    ) -> None:
        """Note what a controller wants. LRs change in `settle`."""
        factor = float(action.factor)
        kinds = action.kinds(self._factors[name])
        if not kinds:
            return
        action.require_possible(name, getattr(controller, "needs_snapshots", False))
        self._factors[name] = factor
        reason = controller.reason(before, after, observation)
        numbers = {key: value for key, value in as_json(after).items() if not isinstance(value, list)}
        evidence = {**numbers, **numbers_of(observation)}
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
            A future: the event once it is applied, or the error. A request whose future is cancelled before is not applied.

        Raises:
            ArgumentTypeError: if it is no request, or the reason is no text.
        """
        future: Future[Event] = Future()
        self._requests.append((require_request(change), checks.text("why", why), future))
        if self._refusal:
            self._refuse_requests()
        return future

    def preview(self, change: AnyRequest, update: int) -> Schedule:
        """The schedule that a request would lead to, if it were applied at this update.

        Raises:
            ArgumentError: if it cannot be applied.
        """
        return self.previews(change, update)[0]

    def previews(self, change: AnyRequest, update: int) -> tuple[Schedule, ...]:
        """The same for each parameter group. Any thread may call it: it changes nothing."""
        return composed(self.original, [*self.events, self._event_of(change, update, "")])

    def waiting(self) -> bool:
        """Whether requests wait. Looks at the channels; False in every process but the first."""
        if self.rank == 0:
            for channel in self.channels:
                self._requests.extend(channel.poll())
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
                event = self._event_of(change, update, why)
            except LearnrateError as error:
                future.set_exception(error)
            else:
                # Not in the block above: an error of a listener is no refusal, the change is made by then.
                self._apply_request(change, event, update)
                future.set_result(event)
        # Not whether the schedules have to be composed: a listener or another thread may have read them in between.
        changed, self._changed = self._changed, False
        return changed

    def _asked(self) -> list[Asked]:
        asked: list[Asked] = []
        if self.waiting():
            while self._requests:
                request = self._requests.popleft()
                if request[2].set_running_or_notify_cancel():
                    asked.append(request)
        if self._share is None:
            return asked
        shared = self._share([(change, why) for change, why, _ in asked] or None)
        return asked if self.rank == 0 else [(change, why, Future()) for change, why in shared or ()]

    def _apply_action(self, event: Event, update: int) -> None:
        if event.kind in ("scale", "cooldown"):
            event = replace(event, update=update)
        if event.kind == "cooldown":
            try:
                after = Cooldown(int(event.evidence["length"])).applied(self._present, update)
            except LearnrateError as error:  # the LR is 0 already: no reason to end a run
                event = replace(event, reason=f"{event.reason}; no cooldown, because {error}")
            else:
                self._before_hand.append(Past(self._present))
                self._present = after
                event = replace(event, schedules=after.schedules)
        self._add(replace(event, factor=self.factor))

    def _apply_request(self, change: AnyRequest, event: Event, update: int) -> None:
        if isinstance(change, Undo):
            self._give_back(self._before_hand.pop())
        elif not isinstance(change, Stop):
            restarts = change.kind == "replace"
            self._before_hand.append(self._past() if restarts else Past(self._present))
            self._present = change.applied(self._present, update)
            if restarts:
                self._start_controllers()
        self._add(event)

    def _past(self) -> Past:
        """What is in force, with the controllers, which a new schedule makes begin again."""
        return Past(self._present, dict(self.states), dict(self._factors))

    def _give_back(self, past: Past) -> None:
        self._present = past.present
        if past.states is not None and past.factors is not None:
            self.states, self._factors = dict(past.states), dict(past.factors)

    def _event_of(self, change: AnyRequest, update: int, why: str) -> Event:
        """What a request would do; nothing is changed yet, and whatever may fail fails here."""
        self.require_possible(change)
        event = Event(update, change.kind, HAND, self.factor, None, why or str(change), {}, time.time())
        if isinstance(change, Stop):
            return event
        factors: Mapping[str, float] = {} if change.kind == "replace" else self._factors
        if isinstance(change, Undo):
            if not self._before_hand:
                raise ArgumentError("undo must have a change to take back, there is none left")
            after = self._before_hand[-1].present
            factors = self._before_hand[-1].factors or factors
        else:
            after = change.applied(self._present, update)
        factor = usual_factor("the product of all factors", self.product([after.factor, *factors.values()]))
        schedules = None if after.schedules == self._present.schedules else after.schedules
        return replace(event, factor=factor, schedules=schedules)

    def _add(self, event: Event) -> None:
        self.events.append(event)
        self._composition.add(event)
        if event.kind == "stop":
            self.stopped = event
        elif event.kind not in ("skip", "rollback"):
            self._changed = True
        if event.schedules is not None:
            self._restart = Restarts(event.schedules[0])
        for listener in self.listeners:
            listener.on_event(event)

    def replaced(self, schedules: Sequence[Schedule], update: int) -> None:
        """Note that the program itself follows other schedules from an update on; they count from the start of the run.

        Raises:
            ArgumentError: if a schedule is not resolved, or there are others than one for all groups or one for each.
        """
        if len(require_resolved(tuple(schedules))) not in {1, len(self.schedules)} and len(self.schedules) > 1:
            raise ArgumentError(f"there must be 1 or {len(self.schedules)} schedules, received {len(schedules)}")
        self._before_hand.append(self._past())
        self._present = InForce(tuple(schedules))
        self._start_controllers()
        self._add(Event(update, "replace", HAND, 1.0, tuple(schedules), "replaced by the program", {}, time.time()))

    def close(self) -> None:
        """The run has ended: close the listeners and channels. Requests that wait, and later ones, are refused."""
        self._refusal = self._refusal or "the run must go on for a change, it has ended"
        with ExitStack() as closing:  # also those after one that fails
            closing.callback(self._refuse_requests)
            for listener in reversed(self.listeners):
                closing.callback(listener.close)
            for channel in self.channels:
                closing.callback(channel.close)
            self.channels, self.listeners = [], []

    def _refuse_requests(self) -> None:
        while self._requests:
            future = self._requests.popleft()[2]
            if future.set_running_or_notify_cancel():
                future.set_exception(ArgumentError(self._refusal))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep, as JSON: the events and the states of the controllers."""
        return {
            "events": [event.to_json() for event in self.events],
            "pending": [event.to_json() for event in self._pending],
            "controllers": controllers_to_json(self.controllers, self.states, self._factors),
            "hand": {
                "factor": self._present.factor,
                "before": [past.to_json(self.controllers) for past in self._before_hand],
            },
        }

    def load_state_dict(self, state: object, functions: Iterable[Function] = ()) -> None:
        """Go on where a checkpoint was; the schedules that were given to this control stay its original ones.

        A run that had been stopped goes on. If it is refused, nothing is changed.

        Args:
            state: From `state_dict()`.
            functions: Your own functions that the schedules name.

        Raises:
            ArgumentError: if it is something else.
            ArgumentTypeError: if a part of it has the wrong type.

        Warns:
            OtherScheduleWarning: if other controllers were at work.
        """
        saved = read(state, self.original, self.controllers, functions)
        self._begin(self.original)
        self.events, self._pending, self._before_hand = list(saved.events), list(saved.pending), list(saved.before)
        for event in self.events:
            self._composition.add(event)
        self._present, self._restart = saved.present, Restarts(saved.present.schedules[0])
        self.states |= saved.states
        self._factors |= saved.factors
        self._pending += ended(saved, self.controllers)
        for listener in self.listeners:
            listener.on_resume(self.events)
