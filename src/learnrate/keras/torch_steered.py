"""Lets a control see each update on torch, and obeys it."""

import math
from collections.abc import Iterable
from typing import Any

from learnrate.control import Decision
from learnrate.keras.observing import Shown, Watch
from learnrate.keras.optimizers import batch_counter, innermost, lr_source
from learnrate.keras.steering import Steering, leaves_out, number
from learnrate.keras.train_function import TrainFunction
from learnrate.keras.writing import Overruled, TorchWriter

Copies = list[tuple[Any, Any]]
"""Variables, and copies of what they held."""


class TorchSteered:
    """Around each call of the train function.

    The control sees an update when the optimizer receives its gradients, so that an update which is left out is not made. It
    sees it afterwards with a loss scale, which may leave the update out itself, and where `train_step` shows its loss late.

    Args:
        model: The model.
        steering: What reacts.
        overruled: See `TorchWriter`.
    """

    def __init__(self, model: Any, steering: Steering, overruled: Overruled) -> None:
        self.model, self.steering = model, steering
        self._writer = TorchWriter(steering.driven, overruled)
        self._counter = batch_counter(model.optimizer)
        self._has_scale = innermost(model.optimizer) is not model.optimizer
        decide = self._decide
        if model.jit_compile:
            import torch

            decide = torch.compiler.disable(decide)  # type: ignore[no-untyped-call]
        self._watch = Watch(model, steering.control.needs_gradient_norm, decide)
        self._place = TrainFunction(model, self._call)
        self._batches = 0
        self._decision: Decision | None = None
        self._others: Copies = []

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

    @property
    def _update(self) -> int:
        return self._batches // self.steering.driven.accumulation

    def _ends_update(self, batches: int) -> bool:
        return batches % self.steering.driven.accumulation == 0

    def _call(self, data: Any) -> Any:
        steering, model = self.steering, self.model
        self._batches, self._decision = int(self._counter), None
        metrics: Copies = []
        if self._ends_update(self._batches):
            steering.settle(self._update)
        if steering.snapshots is not None:
            metrics = _copied(model.metrics_variables)
            if self._ends_update(self._batches):
                self._others = _copied(model.non_trainable_variables)
                if steering.snapshots.is_due(self._update):
                    steering.snapshots.take(self._update, self._state())
        self._writer.driven = steering.driven
        self._writer.before_batch()
        with self._watch as shown:
            logs = self._place.before(data)
        self._finish(shown, logs, metrics)
        return logs

    def _decide(self, shown: Shown) -> bool:
        """Let the control react before the update is made; whether it is made."""
        if self._has_scale or shown.loss is None or not self._ends_update(self._batches + 1):
            return True
        if self._decision is None:  # a `train_step` may use the optimizer twice
            self.steering.add(shown.loss)
            self._decision = self._observed(shown)
        return not leaves_out(self._decision)

    def _observed(self, shown: Shown, *, applied: bool = False) -> Decision:
        return self.steering.observe(self._update, self._writer.written, shown.gradient_norm, applied=applied)

    def _finish(self, shown: Shown, logs: Any, metrics: Copies) -> None:
        steering, batches = self.steering, int(self._counter)
        decision, is_made = self._decision, batches != self._batches
        if decision is None:
            loss = logs.get("loss") if shown.loss is None else shown.loss
            if not is_made and (loss is None or math.isfinite(number("loss", loss))):
                return  # left out by a loss scale
            steering.add(loss)
            if is_made and not self._ends_update(batches):
                steering.batches = batches
                return
            decision = self._observed(shown, applied=is_made)
        elif not is_made:
            batches = self._count_on()
        steering.batches = batches
        if leaves_out(decision):
            self._leave_out(decision, metrics, is_made)
        steering.settle(batches // steering.driven.accumulation)
        self.model.stop_training = self.model.stop_training or steering.is_stopped

    def _count_on(self) -> int:
        """An update that was left out before it was made counts too, as one that was taken back."""
        if self.steering.driven.accumulation > 1:
            self.steering.driven.optimizer._backend_reset_gradient_accumulators()
        self._counter.assign(self._batches + 1)
        return self._batches + 1

    def _leave_out(self, decision: Decision, metrics: Copies, is_made: bool) -> None:
        """Put back what the update has changed, or all of the last good snapshot."""
        snapshots = self.steering.snapshots
        snapshot = None
        if snapshots is not None and (decision.rollback or is_made):
            snapshot = snapshots.to_put_back(self._update)
        if snapshot is not None:
            self.steering.control.explain(restored=snapshot.update)
        elif is_made:
            self.steering.warn_of_no_snapshot(self._update)
            return
        for variable, value in [*(self._others if snapshot is None else snapshot.state), *metrics]:
            variable.assign(value)

    def _state(self) -> Copies:
        """Weights and the state of the optimizer; not the count, which is never set back, and not the LR."""
        model = self.model
        kept = {id(self._counter), id(lr_source(model.optimizer))}
        variables = [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
        return _copied(variable for variable in variables if id(variable) not in kept)


def _copied(variables: Iterable[Any]) -> Copies:
    return [(variable, variable.value.detach().clone()) for variable in variables]
