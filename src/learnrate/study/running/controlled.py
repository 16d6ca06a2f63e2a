"""A training with controllers: every update uses the LR of the control, which observes its loss and may undo the update."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from learnrate.control import Control, Decision, Observation
from learnrate.control.running import begin
from learnrate.control.snapshots import Snapshot, Snapshots
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.trainable import SKIPPED, LeftOut, Metrics, NoSnapshotError, Trainable
from learnrate.updates import StopReason

NORM = "gradient_norm"
"""The metric of an update that is the norm of its gradient."""


class Saved(NamedTuple):
    """What a checkpoint keeps of the control.

    Attributes:
        control: The state of the control.
        snapshots: The snapshots, and which of them was put back last; None without a controller that may roll back.
        is_stopped: Whether a controller has ended the training.
    """

    control: dict[str, Any]
    snapshots: tuple[list[Snapshot], int | None] | None
    is_stopped: bool = False


class Controlled(Trainable):
    """A trainable whose updates follow a control, as the loop of a training sees it.

    The loss of an update is known only after the update. If a controller may put weights back, a snapshot is therefore taken
    before each update, so that an update can be left out as if it had never been made. If losses are on a device, or the
    guard has `late=True`, only the snapshots for rollbacks are taken, as in a run of torch: then a batch whose loss is not
    finite causes a rollback. In both cases the training goes on with the next batch.

    Args:
        trainable: The training, at its start or where its checkpoint was.
        schedule: The LR of each update; resolved.
        controllers: A controller, several, or a mapping from names.
        updates: Number of updates so far.
        saved: The control there; None at the start.

    Attributes:
        control: The control.
        lr: The LR of the next update.
        updates: Number of updates that were not left out.

    Raises:
        ArgumentError: if a controller needs something that the training does not have.
    """

    def __init__(
        self, trainable: Trainable, schedule: Schedule, controllers: Any, updates: int = 0, saved: Saved | None = None
    ) -> None:
        self._trainable, self.updates = trainable, updates
        self.control: Control = begin([schedule], control=controllers, start=updates)
        self._require_measured()
        self._snapshots = Snapshots(self.control) if self.control.needs_snapshots else None
        # The loop must not go on before a loss is known, so losses are read one by one here.
        self._is_late = self._snapshots is not None and self._reads_late()
        self._before: Any = None
        if saved is not None:
            self.control.load_state_dict(saved.control)
            if saved.is_stopped:  # load_state_dict forgets it, because a user who resumes a run wants it to go on
                self.control.stopped = [event for event in self.control.events if event.kind == "stop"][-1]
            if self._snapshots is not None and saved.snapshots is not None:
                self._snapshots.load(saved.snapshots)
        self.lr = self.control.schedules[0](self.updates)

    def _require_measured(self) -> None:
        names = [
            name
            for name, controller in self.control.controllers.items()
            if getattr(controller, "needs_gradient_norm", False)
        ]
        if names and not self._trainable.measure_gradient_norm():
            raise ArgumentError(
                f"control must do without the norm of the gradient in this training, which does not measure it, received "
                f"{names[0]}, which reads it: leave it out, or let Trainable.measure_gradient_norm return True"
            )
        names = [
            name for name, controller in self.control.controllers.items() if getattr(controller, "needs_snapshots", False)
        ]
        if names:
            try:
                self._trainable.snapshot()
            except NoSnapshotError as error:
                raise ArgumentError(
                    f"control must do without rollbacks in this training, received {names[0]}: {error}: leave it out, or "
                    "write the methods snapshot and put_back of the Trainable"
                ) from error

    def _reads_late(self) -> bool:
        choices = [getattr(controller, "late", False) for controller in self.control.controllers.values()]
        return True in choices or (None in choices and self._trainable.reading.every > 1)

    def update(self, lr: float) -> Any:
        """Make updates until one is not left out; or none, if a controller ends the training.

        Args:
            lr: Not used: the LR is that of the control, which may change while updates are left out.
        """
        while True:
            returned = self._attempt()
            if returned is not None or self.control.stopped is not None:
                return SKIPPED if returned is None else returned

    def _attempt(self) -> Any:
        """Make one update. Returns its metrics; None if it was left out by the control."""
        self._keep()
        returned = self._trainable.update(self.lr)
        if returned is SKIPPED or (isinstance(returned, LeftOut) and self._snapshots is None):
            return returned
        was_made = not isinstance(returned, LeftOut)
        metrics = self._trainable.read([returned])[0] if was_made else {"loss": returned.loss}
        decision = self.control.observe(self._observation(metrics, applied=was_made and self._undoes_nothing))
        is_left_out = decision.skip or decision.rollback
        self._obey(decision, was_made)
        self.updates += not is_left_out
        self._settle()
        return None if is_left_out else metrics

    @property
    def _undoes_nothing(self) -> bool:
        """Whether a single update cannot be left out any more once its loss is known."""
        return self._snapshots is None or self._is_late

    def _keep(self) -> None:
        """Take a snapshot before an update, where one is needed."""
        self._before = None
        if self._snapshots is not None and (not self._is_late or self._snapshots.is_due(self.updates)):
            self._before = self._trainable.snapshot()
            self._snapshots.take(self.updates, self._before)

    def _observation(self, metrics: Metrics, applied: bool) -> Observation:
        loss, norm = metrics["loss"], metrics.get(NORM)
        finite = math.isfinite(loss) and (norm is None or math.isfinite(norm))
        restarts = self.control.restarts(self.updates)
        return Observation(self.updates, self.lr, loss, norm, finite=finite, restarts=restarts, applied=applied)

    def _obey(self, decision: Decision, was_made: bool) -> None:
        if self._snapshots is None:
            if decision.skip:
                raise ArgumentError(
                    "needs_snapshots of a controller that leaves updates out must be True in a study, received False: an "
                    "update was made before its loss is known, and a snapshot has to be put back"
                )
            return
        if decision.rollback:
            snapshot = self._snapshots.to_put_back(self.updates)
            # Before the first good loss there is what the update began with; later on a snapshot is always kept.
            self._trainable.put_back(self._before if snapshot is None else snapshot.state)
            self.control.explain(restored=self.updates if snapshot is None else snapshot.update)
        elif decision.skip and was_made and self._before is not None:
            self._trainable.put_back(self._before)
        self._snapshots.judge(not (decision.skip or decision.rollback))

    def _settle(self) -> None:
        self.control.settle(self.updates)
        self.lr = self.control.schedules[0](self.updates)

    def evaluated(self, scores: Mapping[str, float]) -> None:
        """Let the controllers see an evaluation."""
        last = max(0, self.updates - 1)
        finite = all(map(math.isfinite, scores.values()))
        self.control.observe(Observation(last, self.control.schedules[0](last), metrics=scores, finite=finite))
        self._settle()

    def stop_reason(self) -> StopReason | None:
        """Why the training ends here: a controller has ended it."""
        stopped = self.control.stopped
        return None if stopped is None else StopReason("stopped", f"{stopped.who} has ended the training: {stopped.reason}")

    def state(self) -> Saved:
        """What a checkpoint keeps."""
        snapshots = None if self._snapshots is None else self._snapshots.state()
        return Saved(self.control.state_dict(), snapshots, self.control.stopped is not None)

    def agree(self, decision: Any) -> Any:
        """See `Trainable.agree`."""
        return self._trainable.agree(decision)

    def save(self) -> Any:
        """See `Trainable.save`. Not needed in a training that is made once."""
        raise NotImplementedError

    def restore(self, state: Any) -> None:
        """See `Trainable.restore`. Not needed in a training that is made once."""
        raise NotImplementedError
