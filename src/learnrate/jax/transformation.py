"""An optimizer whose LR follows a schedule and controllers, inside of `jax.jit`: `controlled`."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import optax

from learnrate import checks
from learnrate.control.controller import Controller, named
from learnrate.control.watched import LOSS
from learnrate.errors import ArgumentError
from learnrate.jax.carried import ControlledState
from learnrate.jax.control_state import changed, control_of
from learnrate.jax.optimizers import Adjustable, Optimizer
from learnrate.jax.places import in_form_of, plain
from learnrate.jax.reacting import Settings, evaluated, init, update
from learnrate.schedules import Schedule
from learnrate.schedules.given import as_schedule

State = TypeVar("State")


class Controlled(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """What `controlled` returns: a transformation of optax that also says what it follows."""

    @property
    def settings(self) -> Settings:
        """What it was built with."""
        # Not an attribute: a transformation is a tuple, which `jax.tree.map` and the `nnx.jit` of flax 0.11 build again.
        settings: Settings = self.init.args[0]
        return settings

    @property
    def schedule(self) -> Schedule:
        """The schedule that factors multiply."""
        return self.settings.schedule

    @property
    def controllers(self) -> Mapping[str, Controller[Any]]:
        """The controllers by name."""
        return self.settings.controllers

    def evaluated(self, opt_state: State, metrics: Mapping[str, Any]) -> State:
        """The state after the controllers have seen the scores of an evaluation, inside of `jax.jit` or outside.

        Args:
            opt_state: The state, a tree that contains it, or an `nnx.Optimizer`, which is changed in place.
            metrics: A number for each name that `controlled` was given as `metrics`.

        Raises:
            ArgumentError: if the names are others, or the optimizer is not under control.
            ArgumentTypeError: if a score is no number.
        """
        checks.instance(Mapping, "scores by their names")("metrics", metrics)
        if set(metrics) != set(self.settings.metrics):
            checks.refuse(
                "the names in metrics",
                f"those that controlled was given, {', '.join(self.settings.metrics) or 'none'}",
                sorted(map(str, metrics)),
                f"write learnrate.jax.controlled(..., metrics={sorted(map(str, metrics))})",
            )

        def evaluate(part: ControlledState) -> ControlledState:
            return in_form_of(part, evaluated(self.settings, plain(part), metrics))  # type: ignore[no-any-return]

        control_of(opt_state)
        return changed(opt_state, evaluate)  # type: ignore[no-any-return]


def controlled(
    optimizer: Optimizer,
    schedule: Schedule | str,
    control: object = None,
    *,
    history: int = 256,
    metrics: Sequence[str] = (),
) -> Controlled:
    """An optimizer of optax whose LR is the schedule times the factors of controllers, which react inside of `jax.jit`.

    It wraps the whole optimizer, and is no part of `optax.chain` beside it: an update that a controller leaves out must not
    enter the moments of Adam either, and the norm of the gradient is that before clipping. So give the whole optimizer as a
    function of the LR, as for `learnrate.jax.tune`:
    `lambda lr: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(lr))`.

    `update(gradients, state, params, value=loss)` takes the loss as `optax.contrib.reduce_on_plateau` does, and the
    `gradient_norm` if it is already computed: otherwise one pass over the gradients finds out whether they are finite, and
    measures their norm if a controller reads it. An update that is left out changes neither weights nor the optimizer, and
    does not count. After a controller has ended the run, every update is left out, so that the result does not depend on
    when the program looks at `learnrate.jax.control_of(state).stopped`.

    A rollback puts the state of the optimizer back, and returns the steps that lead to the weights of the snapshot, up to
    rounding. Write `params = learnrate.jax.put_back(params, state)` after `optax.apply_updates` to have them bit for bit,
    and also if the present weights are not finite. Snapshots are taken when a controller wants them (`guard(every=...)`), of
    weights whose loss the controllers have seen and did not object to. The last two are kept: two more copies of weights and
    optimizer on the device.

    The state is a pytree of arrays: it goes through `jax.jit`, `lax.scan`, `jax.vmap` (one control for each seed) and into
    checkpoints as it is. Numbers have the dtype of the LR, float32 unless jax_enable_x64 is set.

    Args:
        optimizer: A function from an LR to a transformation, such as `optax.adam`; or one made with
            `optax.inject_hyperparams` and a number. `optax.MultiSteps` belongs around the result.
        schedule: What the factors multiply, resolved; or its text.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names; None for none.
        history: How many of the last calls the state remembers for `learnrate.jax.Monitor`; 0 for none. A call takes about
            100 bytes and 20 more for each controller.
        metrics: The names of the scores of evaluations, for `state = optimizer.evaluated(state, {"accuracy": accuracy})`.

    Returns:
        An `optax.GradientTransformationExtraArgs`, which also has `schedule`, `controllers` and `evaluated`.

    Raises:
        ArgumentError: if the schedule is not resolved, or a number is out of range; from `init` if the optimizer has a
            schedule of its own or accumulates; from `update` if the loss is missing.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> optimizer = lr.jax.controlled(optax.adam, lr.linear(0.1, 0.0, 100))
        >>> params = jnp.ones(3)
        >>> state = optimizer.init(params)
        >>> steps, state = optimizer.update(params, lr.jax.scale(state, 0.5), params, value=3.0)
        >>> round(float(lr.jax.lr_of(state)), 6)
        0.05
    """
    schedule = as_schedule("schedule", schedule)
    if not schedule.is_resolved:
        raise ArgumentError(
            f"schedule must be resolved before it is followed, received {schedule!r}: schedule.resolve(number of updates)"
        )
    checks.whole("history", history, at_least=0)
    if isinstance(metrics, str):
        checks.refuse_type("metrics", "several names", metrics, f"write [{metrics!r}]")
    names = checks.several(checks.text, of="names")("metrics", metrics)
    settings = Settings(Adjustable(optimizer), schedule, _watching(named(control), names), history, names)
    return Controlled(functools.partial(init, settings), functools.partial(update, settings))


def _watching(controllers: Mapping[str, Controller[Any]], metrics: tuple[str, ...]) -> Mapping[str, Controller[Any]]:
    """Refuse a controller that watches a metric which it will never see."""
    for name, controller in controllers.items():
        monitor = getattr(controller, "monitor", LOSS)
        if monitor not in (LOSS, *metrics):
            checks.refuse(
                f"monitor of the controller {name}",
                f"{LOSS!r}, or a name in metrics, which has {', '.join(metrics) or 'none'}",
                monitor,
                f"write learnrate.jax.controlled(..., metrics={sorted({*metrics, monitor})})",
            )
    return controllers
