"""What the callbacks that drive optimizers have in common: when they begin, what they save, when they end."""

import weakref
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from learnrate.control import Control
from learnrate.errors import AlreadyDrivenError, ArgumentError
from learnrate.lightning.driven import Driven, State, saved_of
from learnrate.lightning.observing import Observing
from learnrate.lightning.owners import callbacks_of
from learnrate.torch.driving import Attachment


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

    def updates_of(self, number: int) -> int:
        """Updates so far of one optimizer that is driven; quicker than `updates`, for a call at every update."""
        return 0 if self._driven is None else self._driven.updates_of(number)

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

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Observe the loss."""
        if (observing := self._observing) is not None:
            observing.before_backward(pl_module, loss)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Observe the gradients before they are clipped."""
        if (observing := self._observing) is not None:
            observing.before_update(optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run, if a controller or a person wants it."""
        if (observing := self._observing) is not None:
            observing.after_update()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Observe the scores."""
        if (observing := self._observing) is not None:
            observing.after_validation()

    @property
    def _observing(self) -> Observing | None:
        return None if self._driven is None else self._driven.observing

    @property
    def control(self) -> Control:
        """The control of the run: events, requests, what is followed; made at the first use where none was asked for.

        Raises:
            ArgumentError: before the training begins, and where the LRs of several optimizers are driven.
        """
        return self._steered.control

    def scale(self, factor: float, why: str = "") -> None:
        """Multiply the LR from the next update on, by hand; see `learnrate.torch.attach`.

        Args:
            factor: Above 0.
            why: The reason, for the record.

        Raises:
            ArgumentError: if it is not above 0; before the training begins.
        """
        self._steered.scale(factor, why)

    def observe(self, loss: Any = None, *, gradient_norm: Any = None, **metrics: Any) -> None:
        """Say what was measured, in manual optimisation; see `learnrate.torch.attach`. Otherwise it is not needed.

        Args:
            loss: The loss of each update, before `optimizer.step()`.
            gradient_norm: The norm of the gradient.
            **metrics: Scores of an evaluation by name, in a call of their own.

        Raises:
            ArgumentError: before the training begins.
            LossError: if something is not a number.
        """
        self._steered.observe(loss, gradient_norm=gradient_norm, **metrics)

    @property
    def _steered(self) -> Attachment:
        if self._driven is None:
            raise ArgumentError(f"the training must have begun before {type(self).__name__} can react, it has not")
        return self._driven.steered

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
