"""Lets a control see each update on JAX, and obeys it."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnrate.control import Decision
from learnrate.keras.observing import Watch
from learnrate.keras.optimizers import innermost, lr_source
from learnrate.keras.steering import Steering, leaves_out, number
from learnrate.keras.train_function import TrainFunction, compiled, without_donation
from learnrate.keras.writing import LR, Overruled, indices, traced

PENDING = 64
"""Updates whose losses may wait on a device, where nobody reacts to them."""

STATE = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")
"""What `fit` hands from update to update, as a model keeps it (`_jax_state`)."""


@dataclass
class Made:
    """An update whose batches were dispatched, with what it shows.

    Attributes:
        update: Its number.
        lr: Its LR.
        losses: Of its batches, perhaps still being computed.
        gradient_norm: The same.
    """

    update: int
    lr: float
    losses: list[Any] = field(default_factory=list)
    gradient_norm: Any = None

    def is_ready(self) -> bool:
        """Whether everything was computed."""
        values = (*self.losses, self.gradient_norm)
        return all(value.is_ready() for value in values if hasattr(value, "is_ready"))


class JaxSteered:
    """Around each call of the compiled step, whose LR is an argument, so that nothing is compiled again.

    The LR is what the schedule gives for the number of the update as a Python number, rounded to the type of the optimizer's
    LR (float32). If controllers are at work, each update waits for the loss of the one before; without them, for a record
    alone, losses are read when they are there. If a controller may ask for snapshots, an update leaves the state before it
    intact, so that it can be left out; the snapshots are such states, and not copies.

    Args:
        model: The model.
        steering: What reacts.
        overruled: See `JaxWriter`.
    """

    def __init__(self, model: Any, steering: Steering, overruled: Overruled) -> None:
        self.model, self.steering, self._overruled = model, steering, overruled
        self._place = TrainFunction(model, self._call)
        self._lr_at, self._count_at = indices(model.optimizer)
        self._may_skip = innermost(model.optimizer) is not model.optimizer
        self._watch = Watch(model, steering.control.needs_gradient_norm)
        self._dtype = lr_source(model.optimizer).dtype
        train_step = self._train_step(model.train_step)
        if steering.snapshots is None:
            self._function = compiled(model, train_step, steps_per_execution=1)
        else:
            self._function = without_donation(model, train_step)
        self._forget()

    def _forget(self) -> None:
        """Before the first update: neither the LR nor the count was written, and nothing waits."""
        self._lr: tuple[Any, float] = (None, math.nan)
        self._count: tuple[Any, int] = (None, 0)
        self._present: Made | None = None
        self._pending: deque[Made] = deque()
        self._before: Any = None

    def before_batch(self) -> None:
        """See `Steered.before_batch`."""
        self._place.take()

    def again(self, steering: Steering) -> bool:
        """See `Steered.again`. What was compiled knows the schedules of the hyper-parameters other than the LR."""
        if not (self._place.is_current() and _needs(self.steering) == _needs(steering)):
            return False
        self.steering = steering
        self._forget()
        return True

    def flush(self) -> None:
        """See `Steered.flush`."""
        while self._pending:
            self._observe(self._pending.popleft())
        if self._present is not None:  # batches of an update that has not been made yet
            for loss in self._present.losses:
                self.steering.add(loss)
            self._present.losses = []

    def close(self, *, compare: bool = True) -> None:
        """See `Steered.close`."""
        self._place.leave()
        self.flush()
        if compare and self._lr[0] is not None:
            self._compare(lr_source(self.steering.driven.optimizer).value)

    def _train_step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A `train_step` that shows its loss and the norm of its gradient beside its logs."""

        def train_step(state: Any, data: Any) -> Any:
            count, driven = state[2][self._count_at], self.steering.driven
            with self._watch as shown, traced(driven, count // driven.accumulation):
                logs, state = original(state, data)
            loss = logs.get("loss") if shown.loss is None else shown.loss
            return (logs, (loss, shown.gradient_norm)), state

        return train_step

    def _call(self, state: Any, iterator: Any) -> Any:
        logs: Any = None
        for step in range(self.model.steps_per_execution):
            try:
                logs, state = self._step(state, iterator)
            except StopIteration:
                if step == 0:
                    raise
                break
            if self.model.stop_training:
                break
        return logs, state

    def _step(self, state: Any, iterator: Any) -> Any:
        steering, batches = self.steering, self._batches(state[2][self._count_at])
        update, part = divmod(batches, steering.driven.accumulation)
        if self._lr[0] is not None and state[2][self._lr_at] is not self._lr[0]:
            self._compare(state[2][self._lr_at])
        if not part:
            steering.settle(update)
            if steering.snapshots is not None:
                self._before = state[:3]
                if steering.snapshots.is_due(update):
                    steering.snapshots.take(update, state[:3])
        metrics = state[3]
        lr = np.asarray(steering.driven.schedules[LR](update), self._dtype)
        of_optimizer = [lr if index == self._lr_at else value for index, value in enumerate(state[2])]
        (logs, loss_and_norm), state = self._function((*state[:2], of_optimizer, state[3]), iterator)
        self._lr = state[2][self._lr_at], float(lr)
        count = state[2][self._count_at]
        try:
            self._count = count, int(count) if self._may_skip else batches + 1
            steering.batches = self._count[1]
            return logs, self._observed(state, loss_and_norm, metrics, batches)
        except BaseException:
            # Also Ctrl-C while a loss is awaited: the memory of the former state has gone into this one.
            self.model._jax_state = dict(zip(STATE, state, strict=True))
            raise

    def _batches(self, count: Any) -> int:
        """The number of batches that the optimizer has counted; read only if something else has set it."""
        return self._count[1] if self._count[0] is count else int(count)

    def _observed(self, state: Any, loss_and_norm: Any, metrics: Any, batches: int) -> Any:
        """Let the control react; return the state to go on with."""
        steering, accumulation = self.steering, self.steering.driven.accumulation
        dispatched_update = self._present or Made(batches // accumulation, self._lr[1])
        loss, norm = loss_and_norm
        was_left_out = self._count[1] == batches  # by a loss scale
        if was_left_out and (loss is None or math.isfinite(number("loss", loss))):
            return state
        dispatched_update.losses.append(loss)
        dispatched_update.gradient_norm = norm
        if self._count[1] % accumulation and not was_left_out:
            self._present = dispatched_update
            return state
        self._present = None
        if steering.control.controllers:
            state = self._obeyed(dispatched_update, state, metrics)
        else:
            self._pending.append(dispatched_update)
            while self._pending and (len(self._pending) > PENDING or self._pending[0].is_ready()):
                self._observe(self._pending.popleft())
        steering.settle(self._count[1] // accumulation)
        self.model.stop_training = self.model.stop_training or steering.is_stopped
        return state

    def _observe(self, dispatched_update: Made) -> Decision:
        """Read what an update shows, and let the control react."""
        for loss in dispatched_update.losses:
            self.steering.add(loss)
        return self.steering.observe(dispatched_update.update, dispatched_update.lr, dispatched_update.gradient_norm)

    def _obeyed(self, dispatched_update: Made, state: Any, metrics: Any) -> Any:
        """The state to go on with: this one, the one before the update, or the last good snapshot.

        The count is the present one, which is never set back, and the metrics are those before the last batch.
        """
        decision, snapshots = self._observe(dispatched_update), self.steering.snapshots
        if not leaves_out(decision):
            return state
        before = None if snapshots is None else self._before
        if (
            snapshots is not None
            and decision.rollback
            and (snapshot := snapshots.to_put_back(dispatched_update.update)) is not None
        ):
            before = snapshot.state
            self.steering.control.explain(restored=snapshot.update)
        if before is None:  # also if the run goes on in the midst of this update
            self.steering.warn_of_no_snapshot(dispatched_update.update)
            return state
        weights, others, of_optimizer = before
        of_optimizer = list(of_optimizer)
        for index in (self._lr_at, self._count_at):
            of_optimizer[index] = state[2][index]
        return weights, others, of_optimizer, metrics

    def _compare(self, present: Any) -> None:
        if float(present) != self._lr[1]:
            self._overruled(self._lr[1], float(present))


def _needs(steering: Steering) -> tuple[Any, ...]:
    """What the compiled step depends on, beside the model."""
    driven, control = steering.driven, steering.control
    return id(driven.optimizer), driven.others, driven.accumulation, control.needs_gradient_norm, control.needs_snapshots
