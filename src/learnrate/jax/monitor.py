"""The record, the live page and the requests of a run whose optimizer is under control inside of `jax.jit`: `Monitor`."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import jax
import numpy as np

from learnrate import checks
from learnrate.control.control import HAND, Control
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.events import Event
from learnrate.control.requests import AnyRequest, Cooldown, Replace
from learnrate.control.running import Path, begin
from learnrate.control.watched import LOSS
from learnrate.errors import ArgumentError, LearnrateError
from learnrate.jax.carried import ControlledState, Cooling, Row, unpacked
from learnrate.jax.control_state import changed, control_of, product, with_hand
from learnrate.jax.places import like
from learnrate.jax.processes import sharing
from learnrate.jax.reacting import row_form
from learnrate.jax.transformation import Controlled
from learnrate.schedules import Schedule, linear
from learnrate.schedules.combine import Shifted

State = TypeVar("State")


class Monitor:
    """Reads what an optimizer under control did inside of `jax.jit`, for the record and the live page, and applies requests.

    `state = monitor.follow(state)` after each call of the compiled update. Every `every` calls it reads the rows that the
    state remembers since, for which it waits for the device, and writes what a person asked for into the state; in between
    it does nothing. In many processes call it in all of them, at the same updates.

    `monitor.control.schedule` is what was used. Numbers inside of `jax.jit` have 32 bits: evaluated in `jax.jit` at int32
    counts, it gives the LRs that were used, bit for bit on a CPU; during a cooldown, and where a compiler rounds in another
    way, up to the last two bits. As a Python number it has 64 bits, and agrees to about 1e-7 of its value.

    Args:
        optimizer: From `learnrate.jax.controlled`.
        record: File of the record; see `learnrate.Record`.
        page: Whether a live page is served; or its settings.
        every: After how many calls of `follow` the state is read. All updates since then must be in its history: with 100
            updates in a `lax.scan` between two calls, `controlled(..., history=100)` and `every=1`.

    Raises:
        ArgumentError: if an argument breaks its rule; from `follow` if rows were lost.
        ArgumentTypeError: if `optimizer` is something else.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> from learnrate.control import Scale
        >>> optimizer, params = lr.jax.controlled(optax.sgd, lr.constant(0.5)), jnp.ones(1)
        >>> state, monitor = optimizer.init(params), lr.jax.Monitor(optimizer, every=1)
        >>> for n in range(4):
        ...     steps, state = optimizer.update(params, state, params, value=1.0)
        ...     if n == 1:
        ...         _ = monitor.request(Scale(0.25))
        ...     state = monitor.follow(state)
        >>> monitor.control.schedule
        constant(value=0.5) * piecewise_constant(values=(1.0, 0.25), milestones=(2,))
    """

    def __init__(self, optimizer: Controlled, *, record: Path | None = None, page: object = False, every: int = 50) -> None:
        checks.instance(Controlled, "what learnrate.jax.controlled returns")("optimizer", optimizer)
        self.every = checks.whole("every", every, at_least=1)
        self._optimizer = optimizer
        self._replayed = {name: _replaying(controller) for name, controller in optimizer.controllers.items()}
        self.control: Control = begin(
            [optimizer.schedule],
            control=self._replayed,
            record=record,
            page=page,
            rank=jax.process_index(),
            share=sharing(),
        )
        self.control.require_possible = _require_possible
        self._calls = 0
        self._read = 0

    @property
    def schedule(self) -> Schedule:
        """What was used so far, and will be used if nothing else happens."""
        return self.control.schedules[0]

    @property
    def stopped(self) -> Event | None:
        """Who ended the run, and why; None while it goes on. Known once the rows are read."""
        return self.control.stopped

    def request(self, change: AnyRequest, why: str = "") -> "Future[Event]":
        """Ask for a change, from any thread; see `Control.request`. Applied by the next call of `follow` that reads.

        A schedule cannot be replaced: it is a part of the compiled program.
        """
        return self.control.request(change, why)

    def follow(self, opt_state: State) -> State:
        """The state with what was asked for; unchanged if nothing was.

        Args:
            opt_state: The state after an update; or an `nnx.Optimizer`, which is changed in place.

        Raises:
            ArgumentError: if rows were lost, or the state is not that of this run.
        """
        self._calls += 1
        return opt_state if self._calls % self.every else self.read(opt_state)

    def read(self, opt_state: State) -> State:
        """The same, at once: at the end of a run, or before its state is saved."""
        part = control_of(opt_state)
        if part.history is None:
            raise ArgumentError("history must be at least 1 for a Monitor: learnrate.jax.controlled(..., history=256)")
        # One transfer for all that is looked at.
        small = jax.device_get({name: getattr(part, name) for name in ("calls", "count", "hand", "lr", "history")})
        if np.ndim(small["calls"]):
            raise ArgumentError(
                "opt_state must be that of one run, received one of several (jax.vmap): give each its own Monitor, and the "
                "states of one, jax.tree.map(lambda leaf: leaf[0], opt_state)"
            )
        number = type(small["lr"].dtype.type(0))
        self.control.product = lambda factors: float(product([number(factor) for factor in factors]))
        self._replay(part, int(small["calls"]), small["history"])
        if number(self.control.factors[HAND]) != small["hand"]:
            raise ArgumentError(
                f"the factor by hand in opt_state must be that of the monitor, {self.control.factors[HAND]:.6g}, received "
                f"{float(small['hand']):.6g}: change it with monitor.request(Scale(factor)), which is recorded"
            )
        events_before = len(self.control.events)
        self.control.settle(int(small["count"]))
        if len(self.control.events) == events_before:
            return opt_state
        written: State = changed(opt_state, lambda state: self._written(state, events_before))
        return written

    def _replay(self, part: ControlledState, calls: int, history: np.ndarray) -> None:
        """Let the control see what happened since the last reading."""
        if not 0 <= calls - self._read <= len(history):
            raise ArgumentError(
                f"opt_state must have at most {len(history)} calls since it was read last, received one with {calls} calls, "
                f"of which {self._read} were read: follow it from the first update on, load the monitor's own state with a "
                "checkpoint, and give a larger history to learnrate.jax.controlled or a smaller every"
            )
        form = row_form(self._optimizer.controllers, self._optimizer.settings.metrics, part)
        for call in range(self._read, calls):
            row: Row = unpacked(history[call % len(history)], form)
            for name, controller in self._replayed.items():
                controller.next = row.controllers[name], row.actions[name]
            decision = self.control.observe(_observation(row))
            left_out = decision.skip or decision.rollback
            self.control.settle(row.update + (row.is_evaluation or not left_out), requests=False)
            self._read = call + 1

    def _written(self, part: ControlledState, events_before: int) -> ControlledState:
        part = with_hand(part, self.control.factors[HAND])
        if self.control.stopped is not None:
            part = part._replace(stopped=like(part.stopped, True))
        if all(event.schedules is None for event in self.control.events[events_before:]):
            return part
        cooling = _cooling(self.control, self._optimizer.schedule)
        return part._replace(cooling=Cooling(*map(like, part.cooling, cooling)))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep beside the state of the optimizer, as JSON. Call `read` before."""
        return {"read": self._read, "control": self.control.state_dict()}

    def load_state_dict(self, state: object) -> None:
        """Go on where a checkpoint was.

        Raises:
            ArgumentError: if it is something else.
        """
        checks.instance(Mapping, "the state of a Monitor")("state", state)
        if set(state) != {"read", "control"}:  # type: ignore[call-overload]
            checks.refuse("state", "from Monitor.state_dict()", state)
        self._read = checks.whole("read", state["read"], at_least=0)  # type: ignore[index]
        self.control.load_state_dict(state["control"])  # type: ignore[index]

    def close(self) -> None:
        """The run has ended: close the record and the page."""
        self.control.close()

    def __enter__(self) -> Self:
        """The monitor itself, which is closed at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()


class _Replayed(Controller[Any]):
    """Says what the controller did on the device."""

    def __init__(self, controller: Controller[Any]) -> None:
        self.controller = controller
        self.needs_snapshots = controller.needs_snapshots  # type: ignore[misc]
        self.monitor = getattr(controller, "monitor", LOSS)
        self.next: tuple[Any, Action] = (None, Action())

    def init(self) -> Any:
        return self.controller.init()

    def update(self, state: Any, observation: Observation) -> tuple[Any, Action]:
        return self.next

    def reason(self, before: Any, after: Any, observation: Observation) -> str:
        return self.controller.reason(before, after, observation)


def _replaying(controller: Controller[Any]) -> _Replayed:
    # The name of a class says in a saved state which controller it was.
    kind: type[_Replayed] = type(type(controller).__name__, (_Replayed,), {})
    return kind(controller)


def _observation(row: Row) -> Observation:
    loss = row.loss if row.has_loss else None
    norm = row.gradient_norm if row.has_norm else None
    metrics = row.metrics if row.is_evaluation else {}
    return Observation(row.update, row.lr, loss, norm, metrics, row.finite, row.restarts)


def _require_possible(change: AnyRequest) -> None:
    if isinstance(change, Replace):
        raise ArgumentError(
            "the schedule must stay as it is inside of jax.jit, where it is a part of the compiled program: scale it, or "
            "build the optimizer with another one"
        )
    if isinstance(change, Cooldown) and change.shape != "linear":
        checks.refuse("the shape of a cooldown inside of jax.jit", "linear", change.shape)


def _cooling(control: Control, schedule: Schedule) -> tuple[int, float, float, int]:
    """The cooldown in force, as the state has it."""
    present = next((event.schedules[0] for event in reversed(control.events) if event.schedules is not None), schedule)
    if present == schedule:
        return -1, 0.0, 0.0, 1
    fall, begin = (present.schedule, present.by) if isinstance(present, Shifted) else (present, 0)
    if not isinstance(fall, linear) or isinstance(fall.length, str) or isinstance(begin, str):
        raise LearnrateError(f"the control follows a schedule that is no cooldown, {present!r}")
    return begin, fall.start, fall.end, fall.length
