"""Observes the updates of a `fit`, and says what its control decides; the same on every backend."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from learnrate.control import Control, Decision, Observation
from learnrate.errors import LossError, OverruledWarning
from learnrate.keras.writing import LR, Driven
from learnrate.trainable import scalar
from learnrate.user_code import warn

EVERY = 500
"""Updates between two snapshots, where no controller has an attribute `every`."""

DELAY = 30
"""Updates by which something may have begun to go wrong before a controller notices it."""


class Snapshots:
    """The last two good snapshots of weights and optimizer.

    A snapshot is good once the loss of an update that begins with it was seen: an update with a finite loss can leave
    weights that are not.

    Args:
        every: Updates between two of them.
    """

    def __init__(self, every: int) -> None:
        self._kept: list[tuple[int, Any]] = []
        self._new: tuple[int, Any] | None = None
        self._used: tuple[int, Any] | None = None
        self._every = every

    def is_due(self, update: int) -> bool:
        """Whether one is to be taken before this update."""
        return not self._kept or update % self._every == 0

    def take(self, update: int, snapshot: Any) -> None:
        """The state before the present update."""
        self._new = (update, snapshot)

    def judge(self, was_good: bool) -> None:
        """Whether the present update was good."""
        if self._new is not None and was_good:
            self._kept = [*self._kept[-1:], self._new]
        self._new = None

    def to_put_back(self, update: int) -> Any:
        """The snapshot for a rollback after this update; None if there is none.

        An older one if the last is so young that what went wrong may have begun before it, or was put back before.
        """
        while len(self._kept) > 1 and (update - self._kept[-1][0] < DELAY or self._kept[-1] is self._used):
            self._kept.pop()
        self._used = self._kept[-1] if self._kept else None
        return None if self._used is None else self._used[1]


class Steering:
    """Collects what the batches of an update show, lets the control decide, and keeps what is followed.

    Args:
        control: The control of the run.
        driven: The schedules of the optimizer.
        losses: Losses of the batches that the present update has had already, from a checkpoint.

    Attributes:
        control: The control of the run.
        driven: What the optimizer follows now.
        snapshots: The last good snapshot; None if no controller may ask for one.
        losses: The losses of the batches of the present update so far.
        batches: Number of batches that were made, as the optimizer counts them.
    """

    def __init__(self, control: Control, driven: Driven, losses: list[float]) -> None:
        self.control, self.losses, self.batches = control, losses, driven.batches()
        self.driven = replace(driven, schedules={**driven.schedules, LR: control.schedules[0]})
        self.snapshots = Snapshots(_every(control)) if control.needs_snapshots else None
        self._stopped_before = control.stopped
        self._warned = False

    @property
    def is_stopped(self) -> bool:
        """Whether the run was ended in this `fit`."""
        return self.control.stopped is not self._stopped_before

    def settle(self, update: int) -> None:
        """Apply what was decided and asked for, from this update on."""
        if self.control.settle(update):
            self.driven = replace(self.driven, schedules={**self.driven.schedules, LR: self.control.schedules[0]})

    def add(self, loss: Any) -> None:
        """Note the loss of a batch, a number or an array of the backend with one element.

        Raises:
            LossError: if a controller needs it, and there is none.
        """
        if loss is not None:
            self.losses.append(number("loss", loss))
            return
        needing = [name for name, each in self.control.controllers.items() if getattr(each, "needs_loss", True)]
        if needing:
            raise LossError(
                'train_step of model must give its loss to a metric named "loss", or return it under "loss" in its logs, '
                f"where controllers read it ({', '.join(needing)}), received none"
            )

    def observe(self, update: int, lr: float, gradient_norm: Any) -> Decision:
        """Let the control react to an update whose batches were added.

        Raises:
            LossError: if a controller needs the norm of the gradient, and there is none.
        """
        loss = sum(self.losses) / len(self.losses) if self.losses else None
        self.losses = []
        norm = self._checked_norm(gradient_norm)
        finite = (loss is None or math.isfinite(loss)) and (norm is None or math.isfinite(norm))
        restarts = self.control.restarts(update)
        decision = self.control.observe(Observation(update, lr, loss, norm, finite=finite, restarts=restarts))
        if self.snapshots is not None:
            self.snapshots.judge(finite and not leaves_out(decision))
        return decision

    def _checked_norm(self, gradient_norm: Any) -> float | None:
        if gradient_norm is not None:
            return number("gradient_norm", gradient_norm)
        if self.control.needs_gradient_norm:
            raise LossError(
                "train_step of model must hand its gradients to the optimizer of the model (apply, on JAX stateless_apply) "
                f"where a controller reads their norm ({', '.join(self.control.controllers)}), no call was seen"
            )
        return None

    def evaluated(self, update: int, lr: float, metrics: Mapping[str, float]) -> None:
        """Let the control react to an evaluation after an update."""
        finite = all(map(math.isfinite, metrics.values()))
        self.control.observe(Observation(update, lr, metrics=dict(metrics), finite=finite))
        self.settle(update + 1)

    def warn_of_no_snapshot(self, update: int) -> None:
        """Say once that an update stays which was to be left out."""
        if not self._warned:
            self._warned = True
            warn(
                f"update {update} was to be left out, and stays: its loss was seen after it was made, and there is no good "
                "snapshot to go back to; controllers that leave updates out must say needs_snapshots = True",
                OverruledWarning,
            )


def _every(control: Control) -> int:
    """Updates between two snapshots: the fewest that a controller which needs them has as its `every`."""
    needing = [each for each in control.controllers.values() if getattr(each, "needs_snapshots", False)]
    chosen = [every for each in needing if isinstance(every := getattr(each, "every", None), int) and every > 0]
    return min(chosen, default=EVERY)


def number(name: str, value: Any) -> float:
    """A number of the backend as a float; of torch without its gradient."""
    return scalar(name, value.detach() if hasattr(value, "detach") else value)


def leaves_out(decision: Decision) -> bool:
    """Whether the update is to be left out."""
    return decision.skip or decision.rollback
