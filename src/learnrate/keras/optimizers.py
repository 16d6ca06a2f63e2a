"""What is read off an optimizer of Keras: its counts, its LR, what drives it, and its kind."""

from typing import Any

import keras

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.traits import ADAGRAD_DRIFT, LR_DRIFT, OptimizerKind, OptimizerTraits

BACKENDS = ("torch", "jax")


def check_backend() -> str:
    """The name of the backend of Keras.

    Raises:
        ArgumentError: if learnrate does not know it.
    """
    backend = keras.backend.backend()
    if backend not in BACKENDS:
        checks.refuse("the backend of Keras", "torch or jax", backend, "set KERAS_BACKEND before keras is imported")
    return str(backend)


def check_model(model: object) -> Any:
    """A compiled model, and its optimizer.

    Raises:
        ArgumentError: if it is not compiled with an optimizer.
        ArgumentTypeError: if it is no model.
    """
    check_backend()
    if not isinstance(model, keras.Model):
        remedy = f"create it, {model.__name__}(...)" if isinstance(model, type) else ""
        checks.refuse_type("model", "a keras.Model", model, remedy)
    if not model.compiled or model.optimizer is None:
        raise ArgumentError(
            f"model must be compiled, received {model.name!r} without an optimizer: call "
            "model.compile(optimizer=..., loss=...)"
        )
    if not isinstance(model.optimizer, keras.optimizers.Optimizer):
        checks.refuse_type("the optimizer of model", "a keras.optimizers.Optimizer", model.optimizer)
    return model.optimizer


def innermost(optimizer: Any) -> Any:
    """The optimizer that makes the steps: the one inside of a `LossScaleOptimizer`, whose own settings have no effect."""
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer


def accumulation_of(optimizer: Any) -> int:
    """Batches of an update."""
    return int(innermost(optimizer).gradient_accumulation_steps or 1)


def check_accumulation(accumulation: object) -> int | None:
    """Batches of an update, or None for what the optimizer says, checked."""
    return None if accumulation is None else checks.whole("accumulation", accumulation, at_least=1)


def require_same_accumulation(accumulation: int | None, optimizer: Any) -> int:
    """The batches of an update of this optimizer.

    Raises:
        ArgumentError: if another number was given.
    """
    steps = accumulation_of(optimizer)
    if accumulation not in (None, steps):
        raise ArgumentError(
            f"accumulation must be the gradient_accumulation_steps of the optimizer, {steps}, received {accumulation}: "
            "leave it out, then it is read from the optimizer"
        )
    return steps


def batch_counter(optimizer: Any) -> keras.Variable:
    """The variable that counts batches whose update was not skipped.

    `optimizer.iterations` is this variable too, but with accumulation it is the quotient.
    """
    inner = innermost(optimizer)
    return next(variable for variable in inner.variables if variable.name == "iteration")


def updates_of(optimizer: Any) -> int:
    """Number of updates that an optimizer has made."""
    return int(batch_counter(optimizer)) // accumulation_of(optimizer)


def lr_source(optimizer: Any) -> Any:
    """What gives the LR: the variable of a number, a schedule, or a function.

    The public `learning_rate` is the present value of a schedule, and not the schedule.
    """
    return innermost(optimizer)._learning_rate


def lr_of(optimizer: Any) -> float:
    """The LR of the next update."""
    return float(innermost(optimizer).learning_rate)


def has_own_lr(optimizer: Any) -> bool:
    """Whether the LR is a number that can be assigned."""
    return isinstance(lr_source(optimizer), keras.Variable)


def name_of_source(optimizer: Any) -> str:
    """What gives the LR, as its user would name it; empty for a number."""
    source = lr_source(optimizer)
    if isinstance(source, keras.Variable):
        return ""
    schedule = getattr(source, "schedule", None)
    if isinstance(schedule, Schedule):
        return repr(schedule)
    return str(getattr(source, "__name__", type(source).__name__))


def traits_of(optimizer: Any) -> OptimizerTraits:
    """What the tuner has to know about an optimizer."""
    inner = innermost(optimizer)
    clips = any(value is not None for value in (inner.clipnorm, inner.clipvalue, inner.global_clipnorm))
    is_sgd = isinstance(inner, keras.optimizers.SGD)
    kind: OptimizerKind | None = "sgd" if is_sgd and not clips else None
    if isinstance(inner, keras.optimizers.Adam):  # AdamW is a subclass
        kind = "adam"
    drift = LR_DRIFT + ADAGRAD_DRIFT if isinstance(inner, keras.optimizers.Adagrad) else LR_DRIFT
    return OptimizerTraits(drift, is_sgd and not clips, kind)
