"""What the callbacks that drive optimizers have in common: when they begin, what they save, when they end."""

import weakref
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from learnrate.errors import AlreadyDrivenError
from learnrate.lightning.driven import Driven, State, saved_of
from learnrate.lightning.owners import callbacks_of


class Drives(Callback):
    """A callback that drives optimizers from the start of the training to its end; a subclass writes `begin`."""

    def __init__(self) -> None:
        self._driven: Driven | None = None
        self._loaded: dict[str, State] = {}
        self._last_trainer: weakref.ref[Trainer] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy, for another process or another trainer, has the counts, and drives nothing."""
        # Lightning puts the methods log and log_dict of the module into every callback, at each fit again.
        own = {name: value for name, value in vars(self).items() if name not in ("log", "log_dict")}
        return {**own, "_loaded": self._states(), "_driven": None, "_last_trainer": None}

    @property
    def updates(self) -> dict[int, int]:
        """Updates so far, by the number of the optimizer; empty before the training begins."""
        return {int(number): state["updates"] for number, state in self._states().items()}

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to drive; called when the optimizers have their states from a checkpoint, if there is one."""
        raise NotImplementedError

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget another run, before a checkpoint is loaded; a second fit of the same trainer goes on."""
        if stage != "fit":
            return
        others = [entry for entry in callbacks_of(trainer) if isinstance(entry, Drives) and entry is not self]
        if others:
            raise AlreadyDrivenError(
                f"the LR must have one owner, and the trainer has both {type(self).__name__} and "
                f"{type(others[0]).__name__}: give it one of them"
            )
        same = self._last_trainer is not None and self._last_trainer() is trainer
        self._loaded = self._states() if same and trainer.global_step > 0 else {}
        self._end()
        self._driven = None
        self._last_trainer = weakref.ref(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to drive. Earlier, a checkpoint could still replace what is written."""
        self.begin(trainer, pl_module)
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the LR over to another callback, if one takes it."""
        if self._driven is not None:
            self._driven.begin_epoch()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Take note of parameter groups that were added."""
        if self._driven is not None:
            self._driven.begin_batch()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop driving. Checkpoints are saved after this, so the counts stay."""
        self._end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop driving, also at Ctrl-C."""
        self._end()

    def state_dict(self) -> dict[str, Any]:
        """The number of updates of each optimizer, and the texts of the schedules; empty if there are none."""
        states = self._states()
        return {"optimizers": states} if states else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the counts of a checkpoint.

        Raises:
            ArgumentError: if it is no state of such a callback.
        """
        saved = saved_of(state_dict)
        if self._driven is not None and self._driven.is_attached:
            self._driven.load(saved)
        else:
            self._loaded = saved

    def _states(self) -> dict[str, State]:
        return self._loaded if self._driven is None else self._driven.state()

    def _end(self) -> None:
        if self._driven is not None and self._driven.is_attached:
            self._driven.detach()
