"""A schedule with control in a loop of any kind, without a framework."""

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from learnrate import checks
from learnrate.control.control import Control, Decision
from learnrate.control.controller import Observation
from learnrate.control.requests import Scale
from learnrate.control.running import Path, begin
from learnrate.control.snapshots import wants_snapshot
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.schedules.given import as_schedule
from learnrate.trainable import scalar


class Follow:
    """Gives the LR of each update to a loop, and lets controllers and people change it.

    The loop uses `follow.lr`, and calls `observe` after each update.

    Args:
        schedule: What is followed, with lengths in updates; or its text.
        control: A controller of `learnrate.control`, several in a list, or a mapping from the names that the record has.
        record: File of the record; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.
        start: Number of updates so far.

    Attributes:
        updates: Number of updates so far.
        lr: The LR of the next update.
        control: The control of the run: events, requests, what is followed.
        wants_snapshot: Whether the loop has to keep the state that the last observed update began with, for a rollback.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> import learnrate as lr
        >>> weight = 5.0
        >>> with lr.control.Follow(lr.constant(0.25)) as follow:
        ...     for _ in range(3):
        ...         loss = weight**2
        ...         weight -= follow.lr * 2 * weight
        ...         decision = follow.observe(loss)
        ...     follow.scale(0.5)
        ...     decision = follow.observe(weight**2)
        >>> follow.updates, follow.lr, follow.schedule
        (4, 0.125, constant(value=0.25) * piecewise_constant(values=(1.0, 0.5), milestones=(4,)))
    """

    def __init__(
        self,
        schedule: Schedule | str,
        control: object = None,
        *,
        record: Path | None = None,
        page: object = False,
        start: int = 0,
    ) -> None:
        self.updates = checks.whole("start", start, at_least=0, at_most=checks.LONGEST)
        given = as_schedule("schedule", schedule)
        self.control: Control = begin([given], control=control, record=record, page=page, start=self.updates)
        self.lr = self.schedule(self.updates)
        self.wants_snapshot = False

    @property
    def schedule(self) -> Schedule:
        """What was used so far, and will be used if nothing else happens."""
        return self.control.schedules[0]

    @property
    def stopped(self) -> bool:
        """Whether a controller or a person has ended the run. The loop has to look at it, and to leave."""
        return self.control.stopped is not None

    def observe(self, loss: Any = None, *, gradient_norm: Any = None, applied: bool = False, **metrics: Any) -> Decision:
        """Say what an update showed; or, with scores alone, an evaluation.

        Args:
            loss: The loss of the update: a number, or an array with one element.
            gradient_norm: The norm of its gradient, for controllers that need it.
            applied: Whether the update was made, and the state before it is not there any more, so that it can only be taken
                back by a rollback.
            **metrics: Scores of an evaluation by name, in a call of their own.

        Returns:
            What is to be done with the update. One that is to be left out (`skip`, `rollback`) does not count, and the loop
            has to put back the weights: those from before the update, or for a rollback those of a snapshot, which it takes
            where `wants_snapshot` says so. Let a snapshot be at least 30 updates old, because an explosion begins before it
            is noticed.

        Raises:
            ArgumentError: if loss and scores are given at once, or a controller reads the norm of the gradient, which is
                missing.
            LossError: if something is not a number, or an update has no loss.
        """
        if metrics:
            if loss is not None or gradient_norm is not None:
                raise ArgumentError(
                    f"scores of an evaluation must be given in a call of their own, received {', '.join(metrics)} beside "
                    f"{'gradient_norm' if loss is None else 'loss'}"
                )
            decision = self._evaluated({name: scalar(name, value) for name, value in metrics.items()})
        else:
            checks.flag("applied", applied)
            decision = self._updated(scalar("loss", loss), gradient_norm, applied)
        self.control.settle(self.updates)
        self.lr = self.schedule(self.updates)
        return decision

    def _updated(self, loss: float, gradient_norm: Any, applied: bool) -> Decision:
        if gradient_norm is None and self.control.needs_gradient_norm:
            raise ArgumentError(
                "gradient_norm must be given, because a controller reads it: observe(loss, gradient_norm=...)"
            )
        norm = None if gradient_norm is None else scalar("gradient_norm", gradient_norm)
        finite = math.isfinite(loss) and (norm is None or math.isfinite(norm))
        restarts = self.control.restarts(self.updates)
        decision = self.control.observe(
            Observation(self.updates, self.lr, loss, norm, finite=finite, restarts=restarts, applied=applied)
        )
        is_left_out = decision.skip or decision.rollback
        self.wants_snapshot = not is_left_out and wants_snapshot(self.control, self.updates)
        self.updates += not is_left_out
        return decision

    def _evaluated(self, scores: Mapping[str, float]) -> Decision:
        last = max(0, self.updates - 1)
        finite = all(map(math.isfinite, scores.values()))
        return self.control.observe(Observation(last, self.schedule(last), metrics=scores, finite=finite))

    def scale(self, factor: float, why: str = "") -> None:
        """Multiply the LR by hand, after the update that is observed next. Any thread may call it.

        Args:
            factor: Above 0.
            why: The reason, for the record.

        Raises:
            ArgumentError: if it is not above 0, or the run has ended.
        """
        future = self.control.request(Scale(factor), why)
        if future.done():  # refused
            future.result()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep, as JSON: the number of updates, and the control."""
        return {"updates": self.updates, "control": self.control.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a checkpoint was.

        Raises:
            ArgumentError: if it is not from `state_dict()`.
        """
        if not isinstance(state, Mapping) or not {"updates", "control"} <= set(state):
            checks.refuse("state", "from state_dict(), with the keys 'updates' and 'control'", state)
        updates = checks.whole("updates", state["updates"], at_least=0, at_most=checks.LONGEST)
        self.control.load_state_dict(state["control"])
        self.updates = updates
        self.lr = self.schedule(updates)

    def close(self) -> None:
        """The run has ended: the record is complete, the page closes."""
        self.control.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
