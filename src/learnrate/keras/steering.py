"""Observes the updates of a `fit`, and says what its control decides; the same on every backend."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from learnrate.control import Control, Decision, Observation
from learnrate.control.report import gave_up
from learnrate.control.snapshots import Snapshots
from learnrate.errors import LossError, OverruledWarning
from learnrate.keras.writing import LR, Driven
from learnrate.trainable import scalar
from learnrate.user_code import warn


class Steering:
    """Collects what the batches of an update show, lets the control decide, and keeps what is followed.

    Args:
        control: The control of the run.
        driven: The schedules of the optimizer.
        losses: Losses of the batches that the present update has had already, from a checkpoint.

    Attributes:
        control: The control of the run.
        driven: What the optimizer follows now.
        snapshots: The last good snapshots; None if no controller may ask for one.
        losses: The losses of the batches of the present update so far.
        batches: Number of batches that were made, as the optimizer counts them.
    """

    def __init__(self, control: Control, driven: Driven, losses: list[float]) -> None:
        self.control, self.losses, self.batches = control, losses, driven.batches()
        self.driven = replace(driven, schedules={**driven.schedules, LR: control.schedules[0]})
        self.snapshots = Snapshots(control) if control.needs_snapshots else None
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
        needing = [name for name, controller in self.control.controllers.items() if getattr(controller, "needs_loss", True)]
        if needing:
            raise LossError(
                'train_step of model must give its loss to a metric named "loss", or return it under "loss" in its logs, '
                f"where controllers read it ({', '.join(needing)}), received none"
            )

    def observe(self, update: int, lr: float, gradient_norm: Any, *, applied: bool = False) -> Decision:
        """Let the control react to an update whose batches were added.

        Args:
            update: Its number.
            lr: Its LR.
            gradient_norm: The norm of its gradient; None if it was not measured.
            applied: Whether it was made, and the state before it is not there any more.

        Raises:
            LossError: if a controller needs the norm of the gradient, and there is none.
        """
        loss = sum(self.losses) / len(self.losses) if self.losses else None
        self.losses = []
        norm = self._checked_norm(gradient_norm)
        finite = (loss is None or math.isfinite(loss)) and (norm is None or math.isfinite(norm))
        restarts = self.control.restarts(update)
        decision = self.control.observe(
            Observation(update, lr, loss, norm, finite=finite, restarts=restarts, applied=applied)
        )
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

    def raise_if_given_up(self) -> None:
        """Raise if a guard has ended the run in this `fit`.

        Raises:
            GaveUpError: with the report.
        """
        if self.is_stopped and (error := gave_up(self.control)) is not None:
            raise error

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


def number(name: str, value: Any) -> float:
    """A number of the backend as a float; of torch without its gradient."""
    return scalar(name, value.detach() if hasattr(value, "detach") else value)


def leaves_out(decision: Decision) -> bool:
    """Whether the update is to be left out."""
    return decision.skip or decision.rollback
