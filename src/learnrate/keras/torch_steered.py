"""Lets a control see each update on torch, and obeys it."""

import math
from typing import Any

import keras

from learnrate.keras.observing import Shown, Watch
from learnrate.keras.optimizers import batch_counter, lr_source
from learnrate.keras.steering import Steering, number
from learnrate.keras.train_function import TrainFunction
from learnrate.keras.writing import Overruled, TorchWriter


class TorchSteered:
    """Around each call of the train function.

    Args:
        model: The model.
        steering: What reacts.
        overruled: See `TorchWriter`.
    """

    def __init__(self, model: Any, steering: Steering, overruled: Overruled) -> None:
        self.model, self.steering = model, steering
        self._writer = TorchWriter(steering.driven, overruled)
        self._counter = batch_counter(model.optimizer)
        self._watch = Watch(model, steering.control.needs_gradient_norm)
        self._metrics = model.metrics_variables
        self._place = TrainFunction(model, self._call)

    def before_batch(self) -> None:
        """See `Steered.before_batch`."""
        self._place.take()

    def flush(self) -> None:
        """See `Steered.flush`: nothing waits."""

    def again(self, steering: Steering) -> bool:
        """See `Steered.again`."""
        return False

    def close(self, *, compare: bool = True) -> None:
        """See `Steered.close`."""
        self._place.leave()
        if compare:
            self._writer.close()

    def _call(self, data: Any) -> Any:
        steering, batches = self.steering, int(self._counter)
        update, part = divmod(batches, steering.driven.accumulation)
        if not part:
            steering.settle(update)
        metrics = []
        if steering.snapshots is not None:
            metrics = [(variable, keras.ops.copy(variable.value)) for variable in self._metrics]
            if not part and steering.snapshots.is_due(update):
                steering.snapshots.take(self._copied())
        self._writer.driven = steering.driven
        self._writer.before_batch()
        with self._watch as shown:
            logs = self._place.before(data)
        snapshot = self._observed(shown, logs, update, batches)
        for variable, value in [] if snapshot is None else [*snapshot, *metrics]:
            variable.assign(value)
        return logs

    def _observed(self, shown: Shown, logs: Any, update: int, batches: int) -> Any:
        """Let the control react; return the snapshot to go back to, if it says so."""
        steering, loss = self.steering, logs.get("loss") if shown.loss is None else shown.loss
        made = steering.batches = int(self._counter)
        was_left_out = made == batches  # by a loss scale
        if was_left_out and (loss is None or math.isfinite(number("loss", loss))):
            return None
        steering.add(loss)
        if made % steering.driven.accumulation and not was_left_out:
            return None
        snapshot = steering.observe(update, self._writer.driven.lr(), shown.gradient_norm)
        steering.settle(made // steering.driven.accumulation)
        self.model.stop_training = self.model.stop_training or steering.is_stopped
        return snapshot

    def _copied(self) -> list[tuple[Any, Any]]:
        """Weights and the state of the optimizer; not the count, which is never set back, and not the LR."""
        model = self.model
        kept = {id(self._counter), id(lr_source(model.optimizer))}
        variables = [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
        return [(variable, keras.ops.copy(variable.value)) for variable in variables if id(variable) not in kept]
