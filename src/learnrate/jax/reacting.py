"""What an optimizer under control does in an update, inside of `jax.jit`: see `controlled`."""

import functools
import operator
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from learnrate import checks
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.guard import DELAY
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.jax.carried import (
    ControlledState,
    Cooling,
    Older,
    Row,
    Snapshot,
    Tree,
    as_arrays,
    like_before,
    packed,
)
from learnrate.jax.control_state import product
from learnrate.jax.optimizers import Adjustable
from learnrate.jax.places import of_kind
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length

MOST_CYCLES = 10_000
"""Beginnings of cycles that a compiled update knows; they are a constant of the program, of 40 kB at most."""

FARTHEST = 10_000_000
"""Updates of a schedule without an end up to which the beginnings of its cycles are listed."""


class Settings(NamedTuple):
    """What `controlled` was called with, checked."""

    optimizer: Adjustable
    schedule: Schedule
    controllers: Mapping[str, Controller[Any]]
    history: int
    metrics: tuple[str, ...]

    def any_needs(self, what: str, otherwise: bool) -> bool:
        """Whether a controller says of itself that it needs something, such as "needs_loss"."""
        return any(getattr(controller, what, otherwise) for controller in self.controllers.values())


def init(settings: Settings, params: Tree) -> ControlledState:
    """The state before the first update."""
    inner = settings.optimizer.init(params)
    _require_inner(settings, inner, params)
    count = jnp.zeros((), jnp.asarray(0).dtype)  # 64 bits if jax_enable_x64 is set, and then the LR has them too
    lr = _planned(settings.schedule, count, None)
    number = lr.dtype.type
    controllers = as_arrays({name: controller.init() for name, controller in settings.controllers.items()})
    factor, no = jnp.asarray(number(1)), jnp.zeros((), jnp.bool_)
    snapshot = None
    if settings.any_needs("needs_snapshots", otherwise=False):
        # Copies: a program that donates its arrays must not donate one twice.
        first, older = (jax.tree.map(jnp.copy, (params, inner)) for _ in range(2))
        snapshot = Snapshot(first[0], first[1], jnp.copy(count), jnp.copy(no), Older(older[0], older[1]))
    state = ControlledState(
        count=count,
        calls=jnp.zeros((), jnp.int32),
        lr=lr,
        factor=factor,
        hand=jnp.copy(factor),
        factors={name: jnp.copy(factor) for name in settings.controllers},
        controllers=controllers,
        cooling=Cooling(jnp.full_like(count, -1), jnp.zeros_like(lr), jnp.zeros_like(lr), jnp.ones_like(count)),
        skipped=no,
        rolled_back=jnp.copy(no),
        stopped=jnp.copy(no),
        inner=inner,
        snapshot=snapshot,
        history=None,
    )
    if settings.history:
        width = packed(row_form(settings.controllers, settings.metrics, state)).size
        state = state._replace(history=jnp.zeros((settings.history, width), jnp.uint32))
    return state


def _require_inner(settings: Settings, inner: Tree, params: Tree) -> None:
    if of_kind(inner, ControlledState):
        raise ArgumentError("optimizer must not be under control itself: give one list of controllers to one call")
    if of_kind(inner, optax.MultiStepsState):
        raise ArgumentError(
            "optimizer must not accumulate inside, because controllers react to whole updates: write "
            "optax.MultiSteps(learnrate.jax.controlled(...), every_k_schedule=...)"
        )
    settings.optimizer.require_lr(inner)
    settings.optimizer.require_free(inner, params)


def row_form(controllers: Iterable[str], metrics: Iterable[str], state: ControlledState) -> Row:
    """A row whose scalars have the dtypes of those in the history of a state."""
    number, whole, no = state.lr, state.count, state.stopped
    actions = {name: Action(number, no, no, whole, no) for name in controllers}
    scores = dict.fromkeys(metrics, number)
    return Row(no, whole, number, number, number, no, no, no, no, number, scores, actions, state.controllers)


def _apart(value: Any) -> jax.Array:
    array: jax.Array = jax.lax.optimization_barrier(value)  # type: ignore[no-untyped-call]
    return array


def _planned(schedule: Schedule, n: Any, cooling: Cooling | None) -> jax.Array:
    """The LR of an update without factors.

    The barriers keep the compiler from merging the formula with what surrounds it, which could round it in another way than
    where the schedule is evaluated alone.
    """
    lr = jnp.asarray(schedule(_apart(n)))
    number = lr.dtype if jnp.issubdtype(lr.dtype, jnp.floating) else jnp.asarray(0.0).dtype
    lr = _apart(jax.lax.convert_element_type(lr, number))
    if cooling is None:
        return lr
    left = cooling.length - jnp.clip(n - cooling.begin, 0, cooling.length)
    # The products in the order in which XLA computes `linear(start, end, length)` with numbers that it knows.
    share = jnp.asarray(1, lr.dtype) / cooling.length
    fall = cooling.end * (1 - left * share) + left * (cooling.start * share)
    planned: jax.Array = jnp.where((cooling.begin >= 0) & (n >= cooling.begin), fall.astype(lr.dtype), lr)
    return planned


def update(
    settings: Settings,
    gradients: Tree,
    state: ControlledState,
    params: Tree | None = None,
    *,
    value: Any = None,
    gradient_norm: Any = None,
    **more: Any,
) -> tuple[Tree, ControlledState]:
    """The steps and the next state."""
    number = state.lr.dtype
    planned = _planned(settings.schedule, state.count, state.cooling)
    lr = planned * state.factor
    loss, norm, finite = _seen(settings, gradients, value, gradient_norm, number)
    restarts = _restarts(settings, state)
    observation = Observation(state.count, lr, loss, norm, {}, finite, restarts, jnp)
    controllers, actions = _reacted(settings, state, observation)
    rollback = ~state.stopped & _any(action.rollback for action in actions.values())
    left_out = _any([state.stopped, rollback, *(action.skip for action in actions.values())])
    is_due = ~left_out & _any(_wants_snapshot(settings, controllers, state.count))
    before, snapshot = _prepared(state, params, is_due, rollback)
    steps, inner = settings.optimizer.update(
        lr, gradients, before, params, **({"value": value} if value is not None else {}), **more
    )
    if settings.controllers:
        inner = _chosen(left_out, before, inner)
        steps = jax.tree.map(lambda step: jnp.where(left_out, jnp.zeros_like(step), step), steps)
    if snapshot is not None:
        steps = jax.tree.map(
            lambda step, old, now: jnp.where(rollback, (old - now).astype(step.dtype), step), steps, snapshot.params, params
        )
    after = state._replace(
        count=state.count + jnp.where(left_out, 0, 1).astype(state.count.dtype),
        lr=lr,
        skipped=left_out,
        rolled_back=rollback,
        inner=inner,
        snapshot=snapshot,
    )
    after = _followed(settings, after, controllers, actions)
    row = _row(settings, observation, state.hand, actions, controllers)
    return steps, _unless_stopped(state, _written(state, after, row))


def _seen(settings: Settings, gradients: Tree, value: Any, gradient_norm: Any, number: Any) -> tuple[Any, Any, Any]:
    """The loss, the norm of the gradient, and whether both are finite."""
    if value is None and settings.any_needs("needs_loss", otherwise=True):
        raise ArgumentError(
            "value must be the loss, because a controller reads it: write optimizer.update(gradients, state, params, "
            "value=loss); TrainState.apply_gradients of flax passes none on, so call state.tx.update instead"
        )
    loss, norm = (
        None if given is None else _scalar(name, given, number)
        for name, given in (("value", value), ("gradient_norm", gradient_norm))
    )
    finite = jnp.ones((), jnp.bool_) if loss is None else jnp.isfinite(loss)
    if not settings.controllers:
        return loss, norm, finite
    if norm is not None:
        return loss, norm, finite & jnp.isfinite(norm)
    finite = functools.reduce(operator.and_, [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients)], finite)
    if settings.any_needs("needs_gradient_norm", otherwise=False):
        norm = optax.tree.norm(gradients).astype(number)
    return loss, norm, finite


def _scalar(name: str, value: Any, number: Any) -> jax.Array:
    array = jnp.asarray(value)
    if array.shape != () or not jnp.issubdtype(array.dtype, jnp.number) or jnp.iscomplexobj(array):
        checks.refuse_type(name, "a number, the mean over the batch", value)
    return array.astype(number)


def _restarts(settings: Settings, state: ControlledState) -> jax.Array:
    ends = _beginnings(settings.schedule) if settings.controllers else ()
    if not ends:
        return jnp.zeros((), jnp.bool_)
    table = jnp.asarray(ends, jnp.int32)
    place = jnp.minimum(jnp.searchsorted(table, state.count), len(ends) - 1)
    cooling = (state.cooling.begin >= 0) & (state.count >= state.cooling.begin)
    begins: jax.Array = (table[place] == state.count) & ~cooling
    return begins


@functools.lru_cache(maxsize=64)
def _beginnings(schedule: Schedule) -> tuple[int, ...]:
    """The first updates of cycles after the first one."""
    length = known_length(schedule)
    limit = 1000 if length is None else length
    ends = schedule.cycle_ends(limit)
    while length is None and limit < FARTHEST and len(ends) < MOST_CYCLES:
        limit *= 10
        ends = schedule.cycle_ends(limit)
    return tuple(-int(-end // 1) for end in ends[:MOST_CYCLES])


def _reacted(
    settings: Settings, state: ControlledState, observation: Observation
) -> tuple[dict[str, Any], dict[str, Action]]:
    """The new states of the controllers, and what they want, as arrays."""
    controllers: dict[str, Any] = {}
    actions: dict[str, Action] = {}
    for name, controller in settings.controllers.items():
        after, action = controller.update(state.controllers[name], observation)
        controllers[name] = like_before(name, state.controllers[name], after)
        if state.snapshot is None and action.rollback is not False:
            raise ArgumentTypeError(
                f"the controller {name} must have needs_snapshots = True, because it may ask for a rollback"
            )
        flags = {field: jnp.asarray(getattr(action, field), jnp.bool_) for field in ("skip", "rollback", "stop")}
        actions[name] = Action(
            factor=jnp.asarray(action.factor, state.lr.dtype),
            cooldown=jnp.asarray(action.cooldown, state.count.dtype),
            **flags,
        )
    return controllers, actions


def _any(flags: Iterable[jax.Array]) -> jax.Array:
    either: jax.Array = functools.reduce(operator.or_, flags, jnp.zeros((), jnp.bool_))
    return either


def _followed(
    settings: Settings, state: ControlledState, controllers: dict[str, Any], actions: dict[str, Action]
) -> ControlledState:
    """The state with the factors, the cooldown and the end that the controllers want."""
    factors = {name: action.factor for name, action in actions.items()}
    cooling = state.cooling
    for action in actions.values():
        start = _planned(settings.schedule, state.count, cooling)
        wanted = Cooling(state.count, start, jnp.zeros_like(start), action.cooldown)
        begins = (action.cooldown > 0) & (start > 0)
        cooling = Cooling(*(jnp.where(begins, new, old) for new, old in zip(wanted, cooling, strict=True)))
    return state._replace(
        factor=product([state.hand, *factors.values()]),
        factors=factors,
        controllers=controllers,
        cooling=cooling,
        stopped=_any([state.stopped, *(action.stop for action in actions.values())]),
    )


def _wants_snapshot(settings: Settings, controllers: Mapping[str, Any], update: Any) -> list[jax.Array]:
    """Whether the controllers that may roll back want the state before this update to be kept."""
    return [
        jnp.asarray(controller.wants_snapshot(controllers[name], update), jnp.bool_)
        for name, controller in settings.controllers.items()
        if getattr(controller, "needs_snapshots", False)
    ]


def _prepared(
    state: ControlledState, params: Tree | None, is_due: jax.Array, rollback: jax.Array
) -> tuple[Tree, Snapshot | None]:
    """The state of the optimizer that the update goes on from, and the snapshot.

    Both in a loop of no or one iteration, before the update of the optimizer: so the arrays stay where they are in nearly
    all updates. `lax.cond` copies its results in either case, and a selection reads the snapshot in each update.
    """
    if state.snapshot is None:
        return state.inner, None
    if params is None:
        raise ArgumentError("params must be given to update, because a controller may put a snapshot of them back")

    def exchanged(_: Any, now: tuple[Tree, Snapshot]) -> tuple[Tree, Snapshot]:
        inner, kept = now
        taken = Snapshot(params, inner, state.count, jnp.zeros_like(kept.used), Older(kept.params, kept.inner))
        snapshot = _chosen(rollback, _put_back(kept, state.count), taken)
        return _chosen(rollback, snapshot.inner, inner), snapshot

    return jax.lax.fori_loop(  # type: ignore[no-any-return]
        0, (is_due | rollback).astype(jnp.int32), exchanged, (state.inner, state.snapshot)
    )


def _put_back(kept: Snapshot, update: Any) -> Snapshot:
    """What a rollback at this update leaves of the snapshots: the first one is put back.

    The older one if the last one is so young that the explosion may have begun before it, or was put back before.
    """
    passes = kept.used | (update - kept.update < DELAY)
    params, inner = _chosen(passes, tuple(kept.older), (kept.params, kept.inner))
    return kept._replace(params=params, inner=inner, used=jnp.ones_like(kept.used))


def _chosen(condition: jax.Array, yes: Tree, no: Tree) -> Tree:
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), yes, no)


def _written(before: ControlledState, after: ControlledState, row: Row) -> ControlledState:
    """The state with another row in its history, unless the run had ended."""
    if before.history is None:
        return after._replace(calls=before.calls + 1)
    # A selection, because an update of a slice requires equal shardings, and is a scatter for each seed under `jax.vmap`.
    places = jnp.arange(before.history.shape[0])
    is_place = (places == before.calls % places.size) & ~before.stopped
    history = jnp.where(is_place[:, None], packed(row), before.history)
    return after._replace(history=history, calls=before.calls + 1)


LARGE = ("inner", "snapshot", "history")


def _unless_stopped(before: ControlledState, after: ControlledState) -> ControlledState:
    """The state as it was, if the run had ended before. What is large has been kept already."""
    small = {name: value for name, value in after._asdict().items() if name not in (*LARGE, "skipped", "rolled_back")}
    kept = {name: getattr(before, name) for name in small}
    return after._replace(**jax.tree.map(lambda old, new: jnp.where(before.stopped, old, new), kept, small))


def evaluated(settings: Settings, state: ControlledState, metrics: Mapping[str, Any]) -> ControlledState:
    """The state after the controllers have seen the scores of an evaluation."""
    scores = {name: _scalar(f"metrics[{name!r}]", metrics[name], state.lr.dtype) for name in settings.metrics}
    yes, no = jnp.ones((), jnp.bool_), jnp.zeros((), jnp.bool_)
    finite = functools.reduce(operator.and_, map(jnp.isfinite, scores.values()), yes)
    observation = Observation(jnp.maximum(state.count - 1, 0), state.lr, None, None, scores, finite, no, jnp)
    controllers, actions = _reacted(settings, state, observation)
    back = ~state.stopped & _any(action.rollback for action in actions.values())
    after = _followed(settings, state._replace(rolled_back=back, skipped=no), controllers, actions)
    if state.snapshot is not None:
        snapshot = _chosen(back, _put_back(state.snapshot, state.count), state.snapshot)
        after = after._replace(inner=_chosen(back, snapshot.inner, state.inner), snapshot=snapshot)
    row = _row(settings, observation, state.hand, actions, controllers)
    return _unless_stopped(state, _written(state, after, row))


def _row(
    settings: Settings, observation: Observation, hand: Any, actions: dict[str, Action], controllers: dict[str, Any]
) -> Row:
    number = observation.lr.dtype
    loss, norm = observation.loss, observation.gradient_norm
    return Row(
        is_evaluation=jnp.asarray(bool(observation.metrics)),
        update=observation.update,
        lr=observation.lr,
        loss=jnp.asarray(jnp.nan if loss is None else loss, number),
        gradient_norm=jnp.asarray(jnp.nan if norm is None else norm, number),
        has_loss=jnp.asarray(loss is not None),
        has_norm=jnp.asarray(norm is not None),
        finite=observation.finite,
        restarts=observation.restarts,
        hand=hand,
        metrics={name: jnp.asarray(observation.metrics.get(name, jnp.nan), number) for name in settings.metrics},
        actions=actions,
        controllers=controllers,
    )
