"""What a controller is: pure functions from a state and an observation of an update to a new state and an action."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from learnrate import checks, records
from learnrate.control.events import Kind
from learnrate.errors import ArgumentError
from learnrate.schedules.numerics import NUMBERS, Namespace

State = TypeVar("State", bound=tuple[Any, ...])


class Observation(NamedTuple):
    """What is seen of an update (optimizer step), or of an evaluation after it.

    Attributes:
        update: Number of the update, counted from 0.
        lr: The LR of the update; the largest of several parameter groups.
        loss: Its loss, the mean over its micro-batches and over all processes; None in the observation of an evaluation.
        gradient_norm: The norm of the gradient over all parameters, before it is clipped; None if it was not measured.
        metrics: Scores of an evaluation by name; empty in the observation of an update.
        finite: Whether the loss and the gradients are finite.
        restarts: Whether a cycle of the schedule begins with this update, so that what was learned about the loss before it
            does not count any more.
        xp: The functions of the library of these numbers: `math` for Python numbers, `jax.numpy` inside of `jax.jit`.
        applied: Whether the update was made before its loss was seen, so that it cannot be left out any more.
    """

    update: Any
    lr: Any
    loss: Any = None
    gradient_norm: Any = None
    metrics: Mapping[str, Any] = {}
    finite: Any = True
    restarts: Any = False
    xp: Namespace = NUMBERS
    applied: Any = False


class Action(NamedTuple):
    """What a controller wants.

    Attributes:
        factor: The controller's own factor on the LR of the schedule, from the next update on, above 0. It stands until the
            controller returns another one; the factors of several controllers are multiplied.
        skip: Leave this update out, because its batch is at fault: the weights stay as they are, and it does not count.
        rollback: Put the last good snapshot of weights and optimizer back, and leave this update out.
        cooldown: Begin the cooldown of the run with the next update, over this number of updates; 0 for none.
        stop: End the run after this update.
    """

    factor: Any = 1.0
    skip: Any = False
    rollback: Any = False
    cooldown: Any = 0
    stop: Any = False

    def kinds(self, factor: float) -> list[Kind]:
        """The kinds of events that it leads to, if the factor was this one before. For plain numbers."""
        wants: list[tuple[Kind, bool]] = [
            ("scale", float(self.factor) != factor),
            ("skip", bool(self.skip) and not self.rollback),
            ("rollback", bool(self.rollback)),
            ("cooldown", int(self.cooldown) > 0),
            ("stop", bool(self.stop)),
        ]
        return [kind for kind, wanted in wants if wanted]

    def require_possible(self, name: str, has_snapshots: bool) -> None:
        """Check what a controller wants. For plain numbers.

        Args:
            name: The name of the controller.
            has_snapshots: Whether it has said that it needs snapshots.

        Raises:
            ArgumentError: if the factor is not above 0, or a snapshot is to be put back where none is taken.
        """
        if not (self.factor > 0 and math.isfinite(self.factor)):
            checks.refuse(f"the factor of the controller {name}", "finite and above 0", self.factor)
        if self.rollback and not has_snapshots:
            raise ArgumentError(
                f"needs_snapshots of the controller {name} must be True where it asks for a rollback, received False: no "
                "snapshot was taken that could be put back"
            )


@dataclass(frozen=True)
class Decision:
    """What is to be done with the update that was observed.

    Attributes:
        skip: Leave it out.
        rollback: Put the last good snapshot back, and leave it out.
    """

    skip: bool = False
    rollback: bool = False


class Controller(Protocol[State]):
    """Reacts to what a training run shows: pure, as a transformation of optax is.

    Subclass it as a frozen dataclass, whose fields are the settings, and give `init` and `update`. The state is a NamedTuple
    of plain numbers, so that it can be saved as JSON beside the count of updates, and be carried through `jax.jit`, where
    `update` has to decide with `observation.xp.where(condition, yes, no)` and not with `if`.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing import NamedTuple
        >>> class Lowest(NamedTuple):
        ...     loss: float = float("inf")
        ...     factor: float = 1.0
        >>> @dataclass(frozen=True)
        ... class halve_when_above(Controller):
        ...     "Halve the LR whenever the loss is `ratio` times its lowest value."
        ...     ratio: float = 2.0
        ...     def init(self):
        ...         return Lowest()
        ...     def update(self, state, observation):
        ...         where, loss = observation.xp.where, observation.loss
        ...         factor = where(loss > self.ratio * state.loss, 0.5 * state.factor, state.factor)
        ...         state = Lowest(where(loss < state.loss, loss, state.loss), factor)
        ...         return state, Action(factor)
        >>> controller = halve_when_above()
        >>> state = controller.init()
        >>> for n, loss in enumerate([3.0, 1.0, 2.5]):
        ...     state, action = controller.update(state, Observation(n, lr=0.1, loss=loss))
        >>> action.factor
        0.5
    """

    needs_gradient_norm: ClassVar[bool] = False
    """Whether it reads `Observation.gradient_norm`, which costs a pass over the gradients."""

    needs_loss: ClassVar[bool] = True
    """Whether it reads `Observation.loss`."""

    needs_snapshots: ClassVar[bool] = False
    """Whether it may ask for a rollback."""

    def init(self) -> State:
        """The state before the first update."""
        raise NotImplementedError

    def update(self, state: State, observation: Observation) -> tuple[State, Action]:
        """React to an update or an evaluation.

        Args:
            state: From `init` or the last call. It is not changed.
            observation: Its `loss` is None for an evaluation, its `metrics` are empty for an update.

        Returns:
            The new state, and what is to be done.
        """
        raise NotImplementedError

    def wants_snapshot(self, state: State, update: Any) -> Any:
        """Whether the weights of an update that was just let through are to be kept, for a controller that may roll back.

        Args:
            state: From `update`.
            update: Number of the update.
        """
        return update % 100 == 0

    def reason(self, before: State, after: State, observation: Observation) -> str:
        """Why the last call of `update` changed something, in words, for the record. Called where numbers are plain.

        Args:
            before: The state that `update` received.
            after: The state that it returned.
            observation: What it was called with.
        """
        return f"at loss {observation.loss}" if observation.loss is not None else f"at {dict(observation.metrics)}"


def named(controllers: object) -> dict[str, Controller[Any]]:
    """Controllers by the names that the record has for them: their own, with a number from the second of a kind on.

    Args:
        controllers: A controller, several, a mapping from names, or None. An `Opener` among them is left out.

    Raises:
        ArgumentError: if a name is empty or kept for something else.
        ArgumentTypeError: if one is no controller.
    """
    if controllers is None:
        return {}
    if isinstance(controllers, Mapping):
        controllers = {name: entry for name, entry in controllers.items() if not isinstance(entry, Opener)}
        for name, controller in controllers.items():
            _require_controller(f"control[{name!r}]", controller)
            if checks.text("the name of a controller", name) in RESERVED or not name:
                checks.refuse("the name of a controller", f"a text other than '' and {', '.join(map(repr, RESERVED))}", name)
        return dict(controllers)
    entries: list[Any] = list(controllers) if isinstance(controllers, (list, tuple)) else [controllers]
    by_name: dict[str, Controller[Any]] = {}
    for index, controller in enumerate(entries):
        if isinstance(controller, Opener):
            continue
        _require_controller(f"control[{index}]" if len(entries) > 1 else "control", controller)
        kind = type(controller).__name__
        same = sum(name.rpartition("-")[0] == kind or name == kind for name in by_name)
        by_name[f"{kind}-{same + 1}" if same else kind] = controller
    return by_name


class Opener:
    """What people use among controllers to ask for changes: it opens a channel. See `learnrate.control.by_hand`."""

    def open(self) -> Any:
        """The `Channel` of a run that begins."""
        raise NotImplementedError


def openers(controllers: object) -> list[Opener]:
    """Those of the argument `control` that open a channel, which `named` leaves out."""
    values = list(controllers.values()) if isinstance(controllers, Mapping) else controllers
    entries = values if isinstance(values, (list, tuple)) else [values]
    return [entry for entry in entries if isinstance(entry, Opener)]


RESERVED = ("by hand",)
"""Who acts in the record, beside controllers."""


def _require_controller(name: str, value: Any) -> None:
    if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in ("init", "update")):
        remedy = f"write {value.__name__}(...)" if isinstance(value, type) else "use those of learnrate.control"
        checks.refuse_type(name, "a controller, with init and update", value, remedy)
    state = value.init()
    if not (isinstance(state, tuple) and hasattr(state, "_asdict")):
        checks.refuse_type(f"the state that init of {name} returns", "a NamedTuple of numbers", state)


def restored(controller: Controller[State], saved: object) -> State:
    """The state of a controller from its JSON form.

    Raises:
        ArgumentError: if it is not the state of such a controller.
    """
    initial: Any = controller.init()
    if not isinstance(saved, Mapping) or set(saved) != set(initial._fields):
        raise ArgumentError(
            f"the saved state of {type(controller).__name__} must have {', '.join(initial._fields)}, received "
            f"{checks.shown(saved)}"
        )
    state: State = type(initial)(**{name: _number(f"{name} of the saved state", value) for name, value in saved.items()})
    return state


def as_json(state: Any) -> dict[str, Any]:
    """The state of a controller as JSON, which has no NaN and no infinity."""
    return {name: _text(value) for name, value in state._asdict().items()}


def _number(name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_number(name, entry) for entry in value)
    return value if isinstance(value, (bool, int)) else records.decode_float(name, value)


def _text(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_text(entry) for entry in value]
    return records.encode_float(value) if isinstance(value, float) else value


def numbers_of(observation: Observation) -> dict[str, Any]:
    """The numbers of an observation, for the record."""
    numbers = {"loss": observation.loss, "gradient_norm": observation.gradient_norm, **observation.metrics}
    return {name: value for name, value in {"lr": observation.lr, **numbers}.items() if value is not None}
