"""Reading and writing the states of optax: `lr_of`, `updates_of`, `at`, `replace`, `resumed`.

A transformation of optax is a pair of functions, and a schedule in it cannot be seen or exchanged. Its state holds the
number of updates, and with `optax.inject_hyperparams` the LR. All functions here take the state of any transformation, a
tree that contains states (flax's `TrainState`), the state of an `nnx.Optimizer` with its variables, or the `nnx.Optimizer`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from learnrate import checks
from learnrate.errors import AlreadyDrivenError, ArgumentError, LostRatiosWarning
from learnrate.jax.carried import ControlledState
from learnrate.jax.places import (
    INJECTED,
    NAME,
    Path,
    Tree,
    array,
    fields_of,
    holds_lr,
    is_driven,
    like,
    mapped,
    parts_of,
    state_of,
    with_state,
)
from learnrate.schedules import Schedule
from learnrate.schedules.resume import OnChange, check_on_change
from learnrate.schedules.resume import resumed as resumed_schedule
from learnrate.user_code import warn

State = TypeVar("State")


def lr_of(opt_state: Tree, schedule: Callable[[Any], Any] | None = None) -> jax.Array:
    """The LR in force: that of the last update; before the first update, that of the first one.

    A number that `replace` has written is that of the next update. Several LRs (`optax.partition`) give the largest; see
    `lrs_of`. The factor of `optax.contrib.reduce_on_plateau` is included. Inside of `jax.jit` the result is traced.

    Args:
        opt_state: The state of the optimizer, or an `nnx.Optimizer`.
        schedule: The schedule of the optimizer, from which the LR follows. Needed unless the optimizer was made with
            `optax.inject_hyperparams`, because the state holds only the number of updates then.

    Returns:
        A scalar array.

    Raises:
        ArgumentError: if the state holds no LR (without `schedule`), or no count of a schedule (with `schedule`).
        ArgumentTypeError: if `schedule` is no function.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> schedule = lr.linear(0.0, 1.0, 10)
        >>> optimizer, params = optax.adam(schedule), jnp.zeros(3)
        >>> state = optimizer.init(params)
        >>> for _ in range(3):
        ...     _, state = optimizer.update(params, state, params)
        >>> round(float(lr.jax.lr_of(state, schedule)), 4)
        0.2
    """
    lrs = list(lrs_of(opt_state, schedule).values())
    return lrs[0] if len(lrs) == 1 else jnp.stack(lrs).max()


def lrs_of(opt_state: Tree, schedule: Callable[[Any], Any] | None = None) -> dict[str, jax.Array]:
    """The LRs in force, by the place in the state that they were read from; see `lr_of`."""
    checks.function_or_none("schedule", schedule, "(number of updates)")
    parts = list(parts_of(state_of(opt_state)))
    if controlled := [(path, part) for path, part in parts if isinstance(part, ControlledState)]:
        if schedule is not None:
            raise ArgumentError("schedule must be left out for learnrate.jax.controlled, whose state holds the LR")
        return {jax.tree_util.keystr(path): array(part.lr) for path, part in controlled}
    factors = [(path[:-1], array(part.scale)) for path, part in parts if hasattr(part, "plateau_count")]
    if schedule is None:
        lrs = [(path, array(part.hyperparams[NAME])) for path, part in parts if holds_lr(part)]
    else:
        # Injected schedules of other hyper-parameters have counts too.
        counted = [(path, part) for path, part in parts if is_driven(part) or isinstance(part, optax.ScaleByScheduleState)]
        lrs = [(path, jnp.asarray(schedule(jnp.maximum(array(part.count) - 1, 0)))) for path, part in counted]
    if not lrs:
        raise ArgumentError(_no_lr(parts, schedule is not None))
    for place, factor in factors:
        lrs = [(path, lr * factor if path[: len(place)] == place else lr) for path, lr in lrs]
    return {jax.tree_util.keystr(path): lr for path, lr in lrs}


def updates_of(opt_state: Tree) -> jax.Array:
    """Number of updates so far, as the schedules in a state count them.

    Calls in which `optax.MultiSteps` only accumulates, and those that `optax.apply_if_finite` skipped, are no updates.

    Raises:
        ArgumentError: if there is no count of a schedule in it.
    """
    parts = list(parts_of(state_of(opt_state)))
    # What controllers left out does not count, and optax around them counts it.
    controlled = [(path, part) for path, part in parts if isinstance(part, ControlledState)]
    counts = [
        array(getattr(part, name)) - first for _, part in controlled or parts for name, first in fields_of(part).items()
    ]
    if not counts:
        raise ArgumentError(_no_count(opt_state))
    return jnp.stack([count.astype(counts[0].dtype) for count in counts]).max()


def at(opt_state: State, n: int | jax.Array) -> State:
    """The state with the count of every schedule set to n, so that the next update uses `schedule(n)`.

    For a run that goes on without its whole state, for example from weights alone. Whole states, saved and loaded, need
    nothing. Counts of moments, as in Adam, stay: they belong to the moments beside them, and a count of n with moments of 0
    would make steps that are too large. The LR that `lr_of` reads off an injected schedule is that from before, until the
    next update.

    `optax.tree_utils.tree_set(state, count=n)` sets Adam's count too, and leaves the schedules of `optax.inject_hyperparams`
    at 0.

    Args:
        opt_state: The state of the optimizer; or an `nnx.Optimizer`, which is changed in place.
        n: Number of updates, from 0 to the largest number of the counts' type (2 ** 31 - 1 for int32).

    Returns:
        The state; the same optimizer for an `nnx.Optimizer`.

    Raises:
        ArgumentError: if n is out of range, or there is no count of a schedule.
        ArgumentTypeError: if n is no integer.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> optimizer, params = optax.sgd(lr.linear(0.0, 1.0, 10)), jnp.ones(1)
        >>> state = lr.jax.at(optimizer.init(params), 5)
        >>> optimizer.update(params, state)[0].tolist()
        [-0.5]
    """
    before = state_of(opt_state)
    counts = [(getattr(part, name), first) for _, part in parts_of(before) for name, first in fields_of(part).items()]
    if not counts:
        raise ArgumentError(_no_count(opt_state))
    largest = min(int(np.iinfo(array(count).dtype).max) - first for count, first in counts)
    n = _count(n, largest)

    def changed(part: Any) -> Any:
        fields = fields_of(part)
        return part._replace(
            **{
                name: like(value, n + fields[name]) if name in fields else mapped(value, changed)
                for name, value in part._asdict().items()
            }
        )

    return with_state(opt_state, mapped(before, changed))  # type: ignore[no-any-return]


def replace(opt_state: State, lr: float | jax.Array | Schedule, *, relative: bool = False) -> State:
    """The state with another LR from the next update on, for an optimizer made with `optax.inject_hyperparams` and a number.

    Nothing is compiled again. A schedule that is a part of the transformation cannot be exchanged in its state: build the
    optimizer with the new schedule and go on with the state as it is, whose counts go on.

    Args:
        opt_state: The state of the optimizer; or an `nnx.Optimizer`, which is changed in place.
        lr: The LR: a number, also a traced one; or a schedule, whose value at the present count of updates is written. A
            loop that does so before each update can change to another schedule whenever it likes.
        relative: With several LRs (`optax.partition`), whether they keep their ratios and `lr` is the largest of them.
            Otherwise all become `lr`.

    Returns:
        The state; the same optimizer for an `nnx.Optimizer`.

    Raises:
        AlreadyDrivenError: if a schedule in the transformation writes the LR, which would overwrite it at the next update.
        ArgumentError: if there is no LR in the state, or `lr` is not finite or below 0.
        ArgumentTypeError: if `lr` is neither a number nor a schedule.

    Warns:
        LostRatiosWarning: if the LRs differed and now are the same.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> optimizer, params = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1), jnp.ones(1)
        >>> state = lr.jax.replace(optimizer.init(params), 0.5)
        >>> optimizer.update(params, state)[0].tolist()
        [-0.5]
    """
    checks.flag("relative", relative)
    parts = list(parts_of(state_of(opt_state)))
    if any(isinstance(part, ControlledState) for _, part in parts):
        raise AlreadyDrivenError(
            f"the schedule and the controllers of learnrate.jax.controlled give the LR and would overwrite "
            f"{checks.shown(lr)}: learnrate.jax.scale(opt_state, factor) multiplies it; for another schedule, call "
            "controlled with it and go on with this state"
        )
    driven = [path for path, part in parts if is_driven(part) or isinstance(part, optax.ScaleByScheduleState)]
    if driven:
        raise AlreadyDrivenError(
            f"a schedule in the optimizer gives the LR (state{jax.tree_util.keystr(driven[0])}) and would overwrite "
            f"{checks.shown(lr)}: build the optimizer with the new schedule and go on with this state, or build it with "
            "optax.inject_hyperparams and a number, which can be replaced"
        )
    lrs = [array(part.hyperparams[NAME]) for _, part in parts if holds_lr(part)]
    if not lrs:
        raise ArgumentError(_no_lr(parts, False))
    if not relative:
        _tell_of_lost_ratios(lrs, lr)
    largest = jnp.stack(lrs).max()
    if not isinstance(lr, Schedule):
        lr = _checked("lr", lr)

    def changed(part: Any) -> Any:
        inside = {name: mapped(value, changed) for name, value in part._asdict().items()}
        if holds_lr(part):
            before = part.hyperparams[NAME]
            value = lr(array(part.count)) if isinstance(lr, Schedule) else lr
            ratio = array(before) / largest if relative else 1
            inside["hyperparams"] = {**inside["hyperparams"], NAME: like(before, value * ratio)}
        return part._replace(**inside)

    return with_state(opt_state, mapped(state_of(opt_state), changed))  # type: ignore[no-any-return]


def resumed(opt_state: Tree, schedule: Schedule, saved: str, on_change: OnChange = "error") -> Schedule:
    """The schedule with which a run goes on after its state was loaded, where the run or its length may have changed.

    The state of an optimizer does not say which schedule it counted for: save `repr(schedule)` beside it.

    Args:
        opt_state: The state that was loaded, or an `nnx.Optimizer`; it says the number of updates.
        schedule: The schedule that is given now, resolved for the length that the run has now.
        saved: The text of the schedule that was saved.
        on_change: "error", "keep", "rebase" or "new"; see `learnrate.schedules.resume.resumed`.

    Returns:
        The schedule to build the optimizer with; the state goes on as it is.

    Raises:
        ArgumentError: if the schedules differ and `on_change` is "error", or the saved one cannot be kept or rebased.

    Warns:
        OtherScheduleWarning: if they differ.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> schedule = lr.cosine(0.1, 0.0, 100)
        >>> state = optax.adam(schedule).init(jnp.zeros(3))
        >>> lr.jax.resumed(state, schedule, saved=repr(schedule)) == schedule
        True
    """
    checks.instance(Schedule, "a schedule")("schedule", schedule)
    updates = int(updates_of(opt_state))
    return resumed_schedule(checks.text("saved", saved), schedule, updates, check_on_change(on_change))


def _checked(name: str, value: Any) -> Any:
    """An LR as a number or a scalar array, checked where it has a value."""
    if not isinstance(value, jax.Array):
        return checks.rate(name, value)
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        checks.refuse_type(name, "a number, a scalar array of floats, or a schedule", value)
    return value if isinstance(value, jax.core.Tracer) else checks.rate(name, float(value))


def _count(n: Any, largest: int) -> Any:
    if not isinstance(n, jax.Array):
        return checks.whole("n", n, at_least=0, at_most=largest)
    if n.shape != () or not jnp.issubdtype(n.dtype, jnp.integer):
        checks.refuse_type("n", "an integer", n)
    return n if isinstance(n, jax.core.Tracer) else checks.whole("n", int(n), at_least=0, at_most=largest)


def _tell_of_lost_ratios(lrs: list[jax.Array], lr: Any) -> None:
    if len(lrs) < 2 or any(isinstance(value, jax.core.Tracer) for value in lrs):
        return
    values = [float(value) for value in lrs]
    if max(values) > min(values):
        shown = ", ".join(f"{value:.3g}" for value in values)
        warn(f"the LRs {shown} all become {checks.shown(lr)}: relative=True keeps their ratios", LostRatiosWarning)


def _no_lr(parts: list[tuple[Path, Any]], has_schedule: bool) -> str:
    if has_schedule:
        return (
            "opt_state must hold the count of a schedule, received the state of an optimizer without one: leave out "
            "schedule for optax.inject_hyperparams with a number, and build the optimizer with the schedule otherwise"
        )
    injected = sorted({name for _, part in parts if isinstance(part, INJECTED) for name in part.hyperparams})
    if injected:
        return f"opt_state must hold the hyper-parameter {NAME}, received one with {', '.join(injected)}"
    if any(isinstance(part, optax.ScaleByScheduleState) for _, part in parts):
        return "opt_state holds the count of a schedule and no LR: give the schedule too, lr_of(opt_state, schedule)"
    return (
        "opt_state must hold the LR, received the state of an optimizer that keeps it to itself: make it with "
        "optax.inject_hyperparams, for example optax.inject_hyperparams(optax.adam)(learning_rate=0.001)"
    )


def _no_count(opt_state: Any) -> str:
    return (
        f"opt_state must hold the count of a schedule, received {checks.shown(type(opt_state).__name__)} without one: build "
        "the optimizer with a schedule in place of a number"
    )
