"""A schedule, controllers and requests around an update that is compiled without them: `Follow`."""

import math
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import jax
import optax

from learnrate import checks
from learnrate.control.control import Control, Decision
from learnrate.control.controller import Observation
from learnrate.control.events import Event
from learnrate.control.requests import AnyRequest
from learnrate.control.running import Path, begin
from learnrate.control.snapshots import Snapshots
from learnrate.errors import ArgumentError, PastEndWarning
from learnrate.jax.places import array, of_kind, state_of, with_lr, with_state
from learnrate.jax.processes import means, sharing
from learnrate.jax.states import replace, updates_of
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length
from learnrate.schedules.given import as_schedule
from learnrate.user_code import warn

State = TypeVar("State")


class Follow:
    """Writes the LR of each update into the state of the optimizer, and decides from its loss whether the update counts.

    For an optimizer made with `optax.inject_hyperparams` and a number. Nothing is compiled again, whatever schedule follows.
    Arrays of JAX do not change, so what was before an update is its own snapshot: `step` returns what is to go on with,
    which is the result of the update, or what was before it if it is left out, or a snapshot. The program must not
    donate what was before (`donate_argnums`) if a controller may need it.

    The loss of every update is read, for which the program waits for the device. `learnrate.jax.controlled` does not wait.

    In many processes call it in all of them at the same updates. A loss that is not shared by all of them is averaged.

    Args:
        schedule: What is followed, resolved; or its text.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names; None for none.
        record: File of the record; see `learnrate.Record`.
        page: Whether a live page is served; or its settings.
        ask_every: In many processes: after how many updates they share what people asked for, by a transfer.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong type.

    Warns:
        PastEndWarning: once, when a schedule with an end is followed past it.

    Example:
        >>> import jax, jax.numpy as jnp, optax, learnrate as lr
        >>> optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0)
        >>> @jax.jit
        ... def update(run):
        ...     params, state = run
        ...     loss, gradients = jax.value_and_grad(lambda x: (x**2).sum())(params)
        ...     steps, state = optimizer.update(gradients, state, params)
        ...     return (optax.apply_updates(params, steps), state), loss
        >>> follow = lr.jax.Follow(lr.linear(0.5, 0.0, 4))
        >>> run = follow.start((jnp.ones(2), optimizer.init(jnp.ones(2))))
        >>> for _ in range(3):
        ...     after, loss = update(run)
        ...     run = follow.step(run, after, loss=loss)
        >>> round(float(lr.jax.lr_of(run)), 6)  # of the next update
        0.125
    """

    def __init__(
        self,
        schedule: Schedule | str,
        control: object = None,
        *,
        record: Path | None = None,
        page: object = False,
        ask_every: int = 10,
    ) -> None:
        self.ask_every = checks.whole("ask_every", ask_every, at_least=1)
        share = sharing()
        self._asks_always = share is None
        self.control: Control = begin(
            [as_schedule("schedule", schedule)],
            control=control,
            record=record,
            page=page,
            rank=jax.process_index(),
            share=share,
        )
        self.updates = 0
        self._counted: int | None = None
        self._accumulated: list[int] = []
        self._before: Any = None
        self._losses: list[float] = []
        self._snapshots = Snapshots(self.control) if self.control.needs_snapshots else None
        self._has_warned = False

    @property
    def schedule(self) -> Schedule:
        """What was used so far, and will be used if nothing else happens."""
        return self.control.schedules[0]

    @property
    def stopped(self) -> Event | None:
        """Who ended the run, and why; None while it goes on."""
        return self.control.stopped

    def request(self, change: AnyRequest, why: str = "") -> "Future[Event]":
        """Ask for a change, from any thread; see `Control.request`. Applied after the update under way."""
        return self.control.request(change, why)

    def start(self, run: State) -> State:
        """What the run begins with, with the LR of its next update.

        Args:
            run: A tree that contains the state of the optimizer: `(params, opt_state)`, a `TrainState` of flax; or an
                `nnx.Optimizer`, which is changed in place, so that no update can be left out.

        Raises:
            AlreadyDrivenError: if a schedule in the optimizer writes the LR.
            ArgumentError: if there is no LR in the state.
        """
        run = replace(run, self._lr())
        self._counted, self._accumulated, self._losses, self._before = int(updates_of(run)), _accumulated(run), [], None
        if self.control.needs_snapshots:
            if state_of(run) is not run:
                raise ArgumentError(IN_PLACE)
            self._snapshots = Snapshots(self.control)
        return run

    def step(self, before: State, after: State, *, loss: Any = None, gradient_norm: Any = None) -> State:
        """What to go on with after an update, with the LR of the next one.

        A call in which `optax.MultiSteps` only accumulates is no update: controllers see the mean loss of all calls of an
        update, and what is left out is all of them. A call that `optax.apply_if_finite` leaves out is not seen at all.

        Args:
            before: What the update was called with, from `start` or the last `step`.
            after: What it returned.
            loss: Its loss.
            gradient_norm: The norm of its gradient. Controllers that read it need it; so does the finding that gradients are
                not finite where the loss is.

        Returns:
            `after`; or `before` if the update is left out; or the last good snapshot. `self.updates` counts on in any case.

        Raises:
            ArgumentError: if something is missing that a controller reads, or if what has to come back was donated.
        """
        if self._counted is None:
            raise ArgumentError("start must be called before step: run = follow.start((params, opt_state))")
        loss, norm = self._read(before, loss, gradient_norm)
        counted, accumulated = int(updates_of(after)), _accumulated(after)
        if counted == self._counted and accumulated == self._accumulated:
            return after
        if loss is not None:
            self._losses.append(loss)
        before = self._before = before if self._before is None else self._before
        self._accumulated = accumulated
        if counted == self._counted:
            return after
        loss = sum(self._losses) / len(self._losses) if self._losses else None
        self._losses, self._before = [], None
        finite = all(math.isfinite(number) for number in (loss, norm) if number is not None)
        restarts = self.control.restarts(self.updates)
        decision = self.control.observe(Observation(self.updates, self._lr(), loss, norm, {}, finite, restarts))
        run, self._counted = self._obeyed(decision, before, after, counted)
        self._accumulated = _accumulated(run)
        self.updates += not (decision.skip or decision.rollback)
        self.control.settle(self.updates, requests=self._asks_always or self.updates % self.ask_every == 0)
        return self._with_lr(run)  # type: ignore[no-any-return]

    def _read(self, before: Any, loss: Any, gradient_norm: Any) -> tuple[float | None, float | None]:
        """The numbers of the call, in all processes the same."""
        for name, value, needed in (
            ("loss", loss, any(getattr(controller, "needs_loss", True) for controller in self.control.controllers.values())),
            ("gradient_norm", gradient_norm, self.control.needs_gradient_norm),
        ):
            if value is None and needed:
                raise ArgumentError(f"{name} must be given, because a controller reads it: step(before, after, {name}=...)")
        if self.control.needs_snapshots:
            _require_there("before", before)
        given = [value for value in (loss, gradient_norm) if value is not None]
        for value in given:
            if not isinstance(value, (int, float)) and getattr(value, "shape", None) != ():
                checks.refuse_type("loss" if value is loss else "gradient_norm", "a number", value)
        numbers = iter(means(given) if given else [])
        return (None if loss is None else next(numbers)), (None if gradient_norm is None else next(numbers))

    def _obeyed(self, decision: Decision, before: State, after: State, counted: int) -> tuple[State, int]:
        """What to go on with, and the number of updates that its state counts."""
        previous = self._counted or 0
        if decision.rollback:
            return self._put_back(before, previous)
        if decision.skip:
            if before is after:
                raise ArgumentError(IN_PLACE)
            _require_there("before", before)
            return before, previous
        if self._snapshots is not None:
            self._snapshots.take(self.updates, (before, previous))  # its loss is known, that of `after` is not
            self._snapshots.judge(True)
        return after, counted

    def _put_back(self, before: Any, counted: int) -> tuple[Any, int]:
        if self._snapshots is None:
            raise ArgumentError("a controller that asks for a rollback must have needs_snapshots = True")
        snapshot = self._snapshots.to_put_back(self.updates)
        if snapshot is None:
            return before, counted
        _require_there("the snapshot", snapshot.state)
        self.control.explain(restored=snapshot.update)
        return snapshot.state  # type: ignore[no-any-return]

    def evaluated(self, run: State, metrics: Mapping[str, Any]) -> State:
        """Let the controllers react to the scores of an evaluation after the last update.

        Args:
            run: What `step` returned.
            metrics: Scores by their names.

        Returns:
            What to go on with, with the LR of the next update.
        """
        checks.instance(Mapping, "scores by their names")("metrics", metrics)
        if not metrics:
            checks.refuse("metrics", "at least one score by its name", metrics)
        scores = dict(zip(metrics, means(list(metrics.values())), strict=True))
        last = max(self.updates - 1, 0)
        finite = all(map(math.isfinite, scores.values()))
        decision = self.control.observe(Observation(last, self.control.schedules[0](last), None, None, scores, finite))
        if decision.rollback:
            run, self._counted = self._put_back(run, self._counted or 0)
        self.control.settle(self.updates, requests=self._asks_always)
        return self._with_lr(run)  # type: ignore[no-any-return]

    def _lr(self) -> float:
        return float(self.control.schedules[0](self.updates))

    def _with_lr(self, run: Any) -> Any:
        length = known_length(self.schedule)
        if length is not None and self.updates > length and not self._has_warned:
            self._has_warned = True
            warn(
                f"the LR is driven past the end of {checks.shown(self.schedule)}, its last value is kept: train for fewer "
                "updates or give a longer schedule",
                PastEndWarning,
            )
        return with_state(run, with_lr(state_of(run), self._lr()))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep beside the weights and the state of the optimizer, as JSON."""
        return {"updates": self.updates, "control": self.control.state_dict()}

    def load_state_dict(self, state: object) -> None:
        """Go on where a checkpoint was: call it before `start`.

        Raises:
            ArgumentError: if it is something else.
        """
        if not isinstance(state, Mapping) or set(state) != {"updates", "control"}:
            checks.refuse("state", "from Follow.state_dict()", state)
        self.updates = checks.whole("updates", state["updates"], at_least=0)
        self.control.load_state_dict(state["control"])

    def close(self) -> None:
        """The run has ended: close the record and the page."""
        self.control.close()

    def __enter__(self) -> Self:
        """The object itself, which is closed at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()


IN_PLACE = (
    "an update that changes its arguments in place cannot be left out, and a controller asks for it: give step what was "
    "before the update and what is after it, or use learnrate.jax.controlled, which decides before the step"
)


def _accumulated(run: Any) -> list[int]:
    """Calls of the present update so far, for each `optax.MultiSteps`."""
    return [int(array(part.mini_step)) for part in of_kind(state_of(run), optax.MultiStepsState)]


def _require_there(name: str, tree: Any) -> None:
    if any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in jax.tree.leaves(tree)):
        raise ArgumentError(
            f"{name} must still exist after the update, because a controller may put it back: leave out donate_argnums, or "
            "use learnrate.jax.controlled, which decides before the step"
        )
