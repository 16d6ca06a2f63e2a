"""A callback that writes the checkpoints from which a training of a comparison goes on in a new process."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from learnrate import random_numbers
from learnrate.lightning.follow import Follow
from learnrate.trainer_runs import TrainerCheckpoints


class Checkpoints(Checkpoint):
    """Writes checkpoints at ends of epochs, with the random numbers, which Lightning's own do not have.

    At the end of an epoch, because in the middle of one Lightning does not find the next batch of an ordinary loader.
    As a `Checkpoint`, it is called after the other callbacks.

    Args:
        checkpoints: When the next one is due, and which one the training goes on from.
        folder: Where they are written.
        follow: What counts the updates.
    """

    def __init__(self, checkpoints: TrainerCheckpoints, folder: str, follow: Follow) -> None:
        self._checkpoints, self._folder, self._follow = checkpoints, Path(folder), follow
        self._random_numbers: random_numbers.States | None = None

    def state_dict(self) -> dict[str, Any]:
        """The random numbers of this process."""
        return {"random numbers": random_numbers.states()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the random numbers for the start of the next epoch."""
        self._random_numbers = state_dict["random numbers"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random numbers: a resumed run has taken others, and makes the iterator of the epoch after this."""
        if self._random_numbers is not None:
            random_numbers.put_back(self._random_numbers)
            self._random_numbers = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a checkpoint, if it is time for it."""
        updates = self._follow.updates_of(0)
        # A resumed run ends the epoch of its checkpoint once more, with other random numbers.
        resumes = self._random_numbers is not None
        if resumes or trainer.should_stop or updates >= trainer.max_steps or not self._checkpoints.is_due():
            return
        path = self._folder / f"learnrate-{updates}.ckpt"
        try:
            trainer.save_checkpoint(path)
        except OSError as error:
            self._checkpoints.not_written(str(error))
        else:
            self._checkpoints.written(str(path), for_resuming=True)
