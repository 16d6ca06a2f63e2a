"""Callbacks that write the checkpoints from which a training of a comparison goes on in a new process."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint

from learnrate import random_numbers
from learnrate.lightning.follow import Follow
from learnrate.own_state import OwnState
from learnrate.trainable import NotResumableError
from learnrate.trainer_runs import TrainerCheckpoints


class Resuming(Callback):
    """Begins the epoch that follows a checkpoint as a run does that was not interrupted. It must be the first callback.

    A run of `max_steps` that goes on from the end of an epoch would end this epoch a second time, without the metrics that
    callbacks such as EarlyStopping need, and without a validation train one batch more.
    """

    def __init__(self) -> None:
        self._saved: dict[str, Any] = {}
        self._restored: dict[str, Any] | None = None
        self._data: OwnState | None = None

    def keep(self, trainer: Trainer) -> None:
        """Keep for the next checkpoint what Lightning's own do not have: random numbers, state of the data, metrics.

        Raises:
            NotResumableError: if the data keep too much.
        """
        assert self._data is not None
        self._saved = {
            "random numbers": random_numbers.states(),
            "data": self._data.changes(),
            "metrics": dict(trainer.callback_metrics),
        }

    def forget(self) -> None:
        """Leave what was kept out of the checkpoints that other callbacks write."""
        self._saved = {}

    def state_dict(self) -> dict[str, Any]:
        """What was kept."""
        return self._saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it for the start of the next epoch."""
        self._restored = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the epoch of the checkpoint as ended, and let the next one begin as in the middle of a run."""
        self._data = OwnState({"the training data": trainer.train_dataloader})
        if self._restored is None:
            return
        self._data.put(self._restored["data"])  # before samplers are given the number of the epoch
        trainer.callback_metrics.update(self._restored["metrics"])
        loop = trainer.fit_loop
        for progress in (loop.epoch_progress.total, loop.epoch_progress.current):
            progress.completed = progress.processed  # type: ignore[attr-defined]
        loop.on_iteration_done()  # it forgets that the run goes on from a checkpoint
        loop.epoch_loop.on_iteration_done()
        loop.epoch_loop.restarting = False  # and the loops inside of it

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random numbers: this run has taken others, and makes the iterator of the epoch after this."""
        if self._restored is not None:
            random_numbers.put_back(self._restored["random numbers"])
            self._restored = None


class Checkpoints(Checkpoint):
    """Writes checkpoints at ends of epochs. It must be the last callback.

    At the end of an epoch, because in the middle of one Lightning does not find the next batch of an ordinary loader.
    As a `Checkpoint`, it is called after the module and after the other callbacks.

    Args:
        checkpoints: When the next one is due, and which one the training goes on from.
        resuming: What restores the rest.
        follow: What counts the updates.
    """

    def __init__(self, checkpoints: TrainerCheckpoints, resuming: Resuming, follow: Follow) -> None:
        self._checkpoints, self._resuming, self._follow = checkpoints, resuming, follow

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do without checkpoints where new data are made between the checkpoint and the next epoch."""
        if trainer.reload_dataloaders_every_n_epochs:  # type: ignore[attr-defined]
            self._checkpoints.impossible("the trainer has reload_dataloaders_every_n_epochs")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a checkpoint, if it is time for it."""
        updates = self._follow.updates_of(0)
        if trainer.should_stop or trainer.global_step >= trainer.max_steps or not self._checkpoints.is_due():
            return
        try:
            self._resuming.keep(trainer)
        except NotResumableError as error:
            self._checkpoints.impossible(str(error))
        else:
            self._checkpoints.write(f"after-{updates}-updates.ckpt", trainer.save_checkpoint)
        self._resuming.forget()
