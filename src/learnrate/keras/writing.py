"""How the values of a schedule get into an optimizer of Keras while `fit` trains, on each backend."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras

from learnrate.errors import ArgumentError
from learnrate.keras.optimizers import accumulation_of, batch_counter, innermost, lr_source
from learnrate.keras.train_function import TrainFunction, compiled
from learnrate.schedules import Schedule

LR = "learning_rate"


@dataclass(frozen=True)
class Driven:
    """What drives an optimizer: schedules in updates, by the name of the hyper-parameter, the LR among them.

    Attributes:
        optimizer: The optimizer that makes the steps.
        schedules: The schedules by name.
        accumulation: Batches of an update.
    """

    optimizer: Any
    schedules: Mapping[str, Schedule]
    accumulation: int

    @property
    def others(self) -> dict[str, Schedule]:
        """The schedules of hyper-parameters other than the LR."""
        return {name: schedule for name, schedule in self.schedules.items() if name != LR}

    def batches(self) -> int:
        """Number of batches whose update was not skipped."""
        return int(batch_counter(self.optimizer))

    def updates(self) -> int:
        """Number of updates made."""
        return self.batches() // self.accumulation

    def lr(self) -> float:
        """The LR in force."""
        return float(lr_source(self.optimizer))


def driven(optimizer: Any, schedules: Mapping[str, Schedule]) -> Driven:
    """The schedules of an optimizer."""
    return Driven(innermost(optimizer), schedules, accumulation_of(optimizer))


class Writer(Protocol):
    """Writes the values of each update."""

    def before_batch(self) -> None:
        """Called before each batch, or block of batches (`steps_per_execution`)."""

    def close(self) -> None:
        """Called after the last batch."""

    def again(self, driven: Driven) -> bool:
        """Whether it can be used for a further `fit` that is driven in this way."""


Overruled = Callable[[float, float], None]
"""Called with the LR that was written, and the one that stands in its place."""


@dataclass
class TorchWriter:
    """Writes before each batch. The hyper-parameters are plain numbers, which each step reads.

    Attributes:
        written: The LR that was written last; NaN before the first batch.
    """

    driven: Driven
    overruled: Overruled
    written: float = math.nan

    def before_batch(self) -> None:
        """See `Writer.before_batch`."""
        driven, present = self.driven, self.driven.lr()
        if not math.isnan(self.written) and self.written != present:
            self.overruled(self.written, present)
        updates = driven.updates()
        driven.optimizer.learning_rate = driven.schedules[LR](updates)
        for name, schedule in driven.others.items():
            setattr(driven.optimizer, name, schedule(updates))
        self.written = driven.lr()

    def again(self, driven: Driven) -> bool:
        """See `Writer.again`."""
        return False

    def close(self) -> None:
        """See `Writer.close`."""
        present = self.driven.lr()
        if not math.isnan(self.written) and self.written != present:
            self.overruled(self.written, present)


@dataclass
class JaxWriter:
    """Writes inside of the compiled `train_step`, so that nothing is copied between the updates.

    On JAX, `fit` keeps the variables of optimizer and model out of their objects. To assign one of them in a callback makes
    it write all of them into the objects and read them again, for each batch. The count of the optimizer is at hand in
    `train_step`, so its LR and other hyper-parameters can be computed there, also within `steps_per_execution`.
    """

    model: Any
    driven: Driven
    overruled: Overruled
    _last: Any = None
    _function: Any = None
    _indices: tuple[int, int] = field(default=(0, 0))

    def __post_init__(self) -> None:
        self._place = TrainFunction(self.model, self._call)
        self._indices = indices(self.model.optimizer)
        self._function = compiled(self.model, self._train_step(self.model.train_step))

    def again(self, driven: Driven) -> bool:
        """Whether it can be used for a further `fit`, without compiling again. Keras compiles again after `compile`."""
        self._last = None
        return self.driven == driven and self._place.is_current()

    def before_batch(self) -> None:
        """See `Writer.before_batch`."""
        self._place.take()

    def close(self) -> None:
        """See `Writer.close`."""
        self._place.leave()
        if self._last is not None:
            self._compare(lr_source(self.driven.optimizer).value)
        self._last = None

    def _train_step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A `train_step` which writes first."""

        def train_step(state: Any, data: Any) -> Any:
            weights, others, of_optimizer, metrics = state
            lr_at, count_at = self._indices
            updates = of_optimizer[count_at] // self.driven.accumulation
            lr = self.driven.schedules[LR](updates).astype(of_optimizer[lr_at].dtype)
            of_optimizer = [lr if index == lr_at else value for index, value in enumerate(of_optimizer)]
            with traced(self.driven, updates):
                return original((weights, others, of_optimizer, metrics), data)

        return train_step

    def _call(self, state: Any, iterator: Any) -> Any:
        lr_at = self._indices[0]
        present = state[2][lr_at]
        if self._last is not None and present is not self._last:
            self._compare(present)
        logs, state = self._function(state, iterator)
        self._last = state[2][lr_at]
        return logs, state

    def _compare(self, present: Any) -> None:
        if float(present) != float(self._last):
            self.overruled(float(self._last), float(present))


def indices(optimizer: Any) -> tuple[int, int]:
    """Where the LR and the count of batches are among the variables of an optimizer, which `fit` hands round on JAX.

    Raises:
        ArgumentError: in the NNX mode of Keras, which hands no variables round.
    """
    if keras.config.is_nnx_enabled():
        raise ArgumentError("Follow must be used without the NNX mode of Keras: compile with learnrate.keras.Schedule")
    positions = {id(variable): index for index, variable in enumerate(optimizer.variables)}
    return positions[id(lr_source(optimizer))], positions[id(batch_counter(optimizer))]


class traced:  # noqa: N801 - used like a function
    """While JAX traces: the hyper-parameters other than the LR are the values of their schedules."""

    def __init__(self, driven: Driven, updates: Any) -> None:
        self._optimizer = driven.optimizer
        self._before = {name: getattr(driven.optimizer, name) for name in driven.others}
        # A schedule may have ended at 0 in a former `fit`. The optimizer was built with a number above 0.
        self._during = {
            name: Traced(schedule(updates), self._before[name] or 1.0) for name, schedule in driven.others.items()
        }

    def __enter__(self) -> None:
        for name, value in self._during.items():
            setattr(self._optimizer, name, value)

    def __exit__(self, *error: object) -> None:
        for name, value in self._before.items():
            setattr(self._optimizer, name, value)


class Traced:
    """A hyper-parameter that JAX traces, in the place of a number in an optimizer.

    Optimizers compute with it, and decide by comparing it (`if self.momentum != 0`), which a traced array cannot answer. The
    number with which the optimizer was built answers.

    Args:
        value: The traced array.
        number: The number.
    """

    def __init__(self, value: Any, number: float) -> None:
        self.value, self.number = value, number
        self.dtype, self.shape, self.ndim = value.dtype, value.shape, value.ndim

    def __jax_array__(self) -> Any:
        return self.value

    def __bool__(self) -> bool:
        return bool(self.number)

    def __hash__(self) -> int:
        return id(self)

    def __neg__(self) -> Any:
        return -self.value


def _forward(name: str) -> None:
    setattr(Traced, name, lambda self, other: getattr(self.value, name)(_plain(other)))


def _answer(name: str) -> None:
    setattr(Traced, name, lambda self, other: getattr(operator, name)(self.number, other))


def _plain(other: Any) -> Any:
    return other.value if isinstance(other, (Traced, keras.Variable)) else other


for _operation in ("add", "sub", "mul", "truediv", "pow"):
    _forward(f"__{_operation}__")
    _forward(f"__r{_operation}__")
for _comparison in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
    _answer(_comparison)
