"""A callback that tells a comparison what happens in a run."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, stack
from torch.optim import Optimizer

from learnrate.lightning.follow import Follow
from learnrate.lightning.observing import scaler_of
from learnrate.torch.training import fingerprint
from learnrate.trainer_runs import Mode, TrainingListener, ordered


class Listening(Callback):
    """Tells losses, counts and scores of a run that a `Follow` drives, whose count of updates is exact.

    Args:
        listener: What is told.
        follow: What drives the LR.
        monitor: The metric of validations that decides; None for none.
        mode: Whether lower or higher is better.

    Attributes:
        evaluated_at: The number of updates before the last validation.
        updates: The number of updates so far.
        schedule: What the LR follows, as text.
    """

    def __init__(self, listener: TrainingListener, follow: Follow, monitor: str | None, mode: Mode | None) -> None:
        self._listener, self._follow, self._monitor, self._mode = listener, follow, monitor, mode
        self._losses: list[Tensor] = []
        self._is_complete = False
        self.updates, self.evaluated_at = 0, -1
        self.schedule = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The training begins, or goes on from a checkpoint."""
        self.updates = self._follow.updates_of(0)
        [state] = self._follow.state_dict()["optimizers"].values()
        self.schedule = state["schedules"]["lr"]
        self._listener.began(fingerprint(pl_module))

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Note the loss of a micro-batch, which Lightning has divided by their number and multiplied by the scaler."""
        if self._is_complete:  # what is left is of an update that was not made
            self._losses, self._is_complete = [], False
        scaler = scaler_of(trainer)
        scale = 1.0 if scaler is None else scaler.get_scale()
        self._losses.append(loss.detach() / scale * trainer.accumulate_grad_batches)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """All micro-batches of an update are there."""
        self._is_complete = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell of an update, if one was made."""
        updates = self._follow.updates_of(0)
        if updates > self.updates and self._losses:
            self.updates = updates
            if not self._listener.updated(float(stack(self._losses).mean())):
                trainer.should_stop = True
            self._losses, self._is_complete = [], False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        if not trainer.sanity_checking:
            self._listener.pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the scores that the trainer's own callbacks read."""
        if trainer.sanity_checking:
            return
        if self._monitor is not None and self._mode is not None:
            self._listener.evaluated(ordered(trainer.callback_metrics, self._monitor, self._mode))
            self.evaluated_at = self.updates
        self._listener.go_on()
