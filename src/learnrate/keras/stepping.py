"""One update of a compiled model at a given LR, through the model's own `train_step`."""

from typing import Any, Protocol

import keras
import numpy as np

from learnrate.keras.optimizers import batch_counter, has_own_lr, innermost, lr_source

Batch = tuple[Any, Any, Any]
"""Inputs, targets, sample weights."""


class Given(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The LR that is given, in the place of a schedule. Keras lets nobody assign the LR of an optimizer with a schedule."""

    def __init__(self) -> None:
        super().__init__()
        self.lr: Any = 0.0

    def __call__(self, step: Any) -> Any:
        """The LR, whatever the count."""
        return keras.ops.convert_to_tensor(self.lr, dtype=keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        """Nothing that could be saved."""
        return {}


class Steps(Protocol):
    """Makes the steps of one backend."""

    def step(self, lr: float, batch: Batch) -> dict[str, Any]:
        """Train on a batch; return what `train_step` returns."""

    def batches_made(self) -> int:
        """Number of batches that the optimizer has counted. It does not count those that a loss scale skipped."""

    def sync(self) -> None:
        """Write what was trained into the variables of the model."""

    def drop(self) -> None:
        """Forget what was trained."""


def steps_of(model: Any, given: Given | None) -> Steps:
    """The steps of a model on the present backend.

    Args:
        model: The compiled model.
        given: What gives the LR, if the optimizer has none that can be assigned.
    """
    return TorchSteps(model, given) if keras.backend.backend() == "torch" else JaxSteps(model, given)


class TorchSteps:
    """By `train_on_batch`."""

    def __init__(self, model: Any, given: Given | None) -> None:
        self._model, self._given = model, given

    def step(self, lr: float, batch: Batch) -> dict[str, Any]:
        """See `Steps.step`."""
        x, y, weights = batch
        if self._given is None:
            self._model.optimizer.learning_rate = lr
        else:
            self._given.lr = lr
        self._model.train()  # as `fit` does; an evaluation ends in the other mode
        logs: dict[str, Any] = self._model.train_on_batch(x, y, sample_weight=weights, return_dict=True)
        return logs

    def batches_made(self) -> int:
        """See `Steps.batches_made`."""
        return int(batch_counter(self._model.optimizer))

    def sync(self) -> None:
        """See `Steps.sync`."""

    def drop(self) -> None:
        """See `Steps.drop`."""


class JaxSteps:
    """By the stateless `train_step`, whose state stays out of the variables between the updates.

    `train_on_batch` writes all variables at each call, which takes longer than a small update; and after Ctrl-C in its
    midst, the next `fit` would write into the variables what was trained before.
    """

    def __init__(self, model: Any, given: Given | None) -> None:
        self._model, self._given = model, given
        self._state: Any = None
        self._fresh_metrics: list[Any] = []
        variables = model.optimizer.variables
        self._count = _index(variables, batch_counter(model.optimizer))
        self._lr = None if given is not None else _index(variables, lr_source(model.optimizer))
        self._train: Any = self._step
        if not model.run_eagerly and model.jit_compile:
            import jax

            self._train = jax.jit(self._step, donate_argnums=1)

    def _step(self, lr: Any, state: Any, batch: Batch) -> tuple[Any, Any]:
        weights, others, of_optimizer, metrics = state
        if self._given is not None:
            self._given.lr = lr
        else:
            of_optimizer = [lr if index == self._lr else value for index, value in enumerate(of_optimizer)]
        try:
            logs, state = self._model.train_step((weights, others, of_optimizer, metrics), batch)
        finally:
            if self._given is not None:
                self._given.lr = 0.0  # and not a traced number
        return logs, state

    def step(self, lr: float, batch: Batch) -> dict[str, Any]:
        """See `Steps.step`."""
        if self._state is None:
            self._state = self._from_variables()
        state, self._state = self._state, None  # whose memory the update takes
        dtype = keras.config.floatx() if self._lr is None else state[2][self._lr].dtype
        logs, self._state = self._train(np.asarray(lr, dtype), (*state[:3], self._fresh_metrics), batch)
        return dict(logs)

    def batches_made(self) -> int:
        """See `Steps.batches_made`."""
        if self._state is None:
            return int(batch_counter(self._model.optimizer))
        return int(self._state[2][self._count])

    def sync(self) -> None:
        """See `Steps.sync`."""
        if self._state is not None:
            for variables, values in zip(self._variables(), self._state, strict=True):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
        self._state = None

    def drop(self) -> None:
        """See `Steps.drop`."""
        self._state = None

    def _variables(self) -> list[list[keras.Variable]]:
        model = self._model
        return [
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        ]

    def _from_variables(self) -> Any:
        # The metrics of an update are those of its batch alone. NumPy arrays, whose memory no update can take.
        self._model.reset_metrics()
        self._fresh_metrics = [np.asarray(variable.value) for variable in self._model.metrics_variables]
        return tuple([variable.value for variable in variables] for variables in self._variables())


def _index(variables: list[Any], wanted: Any) -> int:
    return next(index for index, variable in enumerate(variables) if variable is wanted)


def give_lr(optimizer: Any) -> tuple[Given | None, Any]:
    """Put a given LR in the place of a schedule.

    Returns:
        What gives the LR, and what gave it before; None if the LR is a number, which can be assigned.
    """
    if has_own_lr(optimizer):
        return None, None
    inner = innermost(optimizer)
    before, given = lr_source(optimizer), Given()
    inner.learning_rate = given
    return given, before
