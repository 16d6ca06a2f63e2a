"""Tells a comparison what happens in a run of a Trainer."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from learnrate.torch.training import fingerprint
from learnrate.trainer_runs import Mode, TrainerCheckpoints, TrainingListener, ordered
from learnrate.transformers.follow import Follow
from learnrate.transformers.observing import is_score


class Listening(TrainerCallback):
    """Tells losses, counts and scores of a run that a `Follow` drives, whose count of updates is exact.

    Args:
        trainer: The trainer.
        listener: What is told.
        follow: What drives the LR; it comes before this callback.
        monitor: The metric of evaluations that decides; None for none.
        mode: Whether lower or higher is better.
        checkpoints: From which the training may go on in a new process; None for none.

    Attributes:
        evaluated_at: The number of updates before the last evaluation.
        updates: The number of updates so far.
        schedule: What the LR follows, as text.
    """

    def __init__(
        self,
        trainer: Trainer,
        listener: TrainingListener,
        follow: Follow,
        monitor: str | None,
        mode: Mode | None,
        checkpoints: TrainerCheckpoints | None = None,
    ) -> None:
        self._trainer, self._listener, self._follow = trainer, listener, follow
        self._monitor, self._mode = monitor, mode
        self._checkpoints, self._has_epoch_ended = checkpoints, False
        self._shares: list[Tensor] = []
        self.updates, self.evaluated_at = 0, -1
        self.schedule = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, note what `training_step` returns, which no callback is given, and the time of evaluations.

        With checkpoints, also write them where the trainer evaluates and saves: later it has drawn the next batches.
        """
        trainer: Any = self._trainer
        methods = {"training_step": self._noting(trainer.training_step), "evaluate": self._pausing(trainer.evaluate)}
        if self._checkpoints is not None:
            methods["_maybe_log_save_evaluate"] = self._writing(trainer._maybe_log_save_evaluate)
            methods["_load_callback_state"] = self._restore_state
        own = {name: vars(trainer)[name] for name in methods if name in vars(trainer)}
        try:
            vars(trainer).update(methods)
            yield
        finally:
            for name in methods:
                vars(trainer).pop(name, None)
            vars(trainer).update(own)

    def _noting(self, training_step: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any, **kwargs: Any) -> Any:
            loss = training_step(*args, **kwargs)
            self._shares.append(loss.detach())
            return loss

        return noting

    def _pausing(self, evaluate: Callable[..., Any]) -> Callable[..., Any]:
        def pausing(*args: Any, **kwargs: Any) -> Any:
            self._listener.pause()
            result = evaluate(*args, **kwargs)
            self._listener.go_on()
            return result

        return pausing

    def _writing(self, evaluate_and_save: Callable[..., Any]) -> Callable[..., Any]:
        def writing(*args: Any, **kwargs: Any) -> Any:
            result = evaluate_and_save(*args, **kwargs)
            self._write_checkpoint()
            return result

        return writing

    def _write_checkpoint(self) -> None:
        """Write a checkpoint, if it is time for one. There is none in an epoch that has no update left and has not ended.

        The evaluation at the end of an epoch comes after its last update, and a training that went on from there would leave
        it out.
        """
        state, checkpoints = self._trainer.state, self._checkpoints
        is_between = self._has_epoch_ended or not float(state.epoch or 0.0).is_integer()
        if checkpoints is None or self._trainer.control.should_training_stop or not is_between or not checkpoints.is_due():
            return
        checkpoints.write(f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}", self._save)

    def _save(self, path: str) -> None:
        """Save what the trainer saves, but neither count it as one of its own checkpoints nor take it for the best one."""
        trainer: Any = self._trainer
        args = trainer.args
        others = {"save_strategy": SaveStrategy.NO, "save_total_limit": None, "push_to_hub": False}
        trainer.args = copy.copy(args)
        vars(trainer.args).update(output_dir=str(Path(path).parent), **others)
        try:
            trainer._save_checkpoint(trainer.model_wrapped, trial=None)
        finally:
            trainer.args = args

    def _restore_state(self) -> None:
        """Put the states of callbacks back, such as the counter of an EarlyStoppingCallback.

        The trainer does so only if its arguments ask for it, and then makes new callbacks: a `Follow` without its control.
        """
        self._find_best_model()
        trainer: Any = self._trainer
        for name, states in trainer.state.stateful_callbacks.items():
            callbacks = [entry for entry in trainer.callback_handler.callbacks if type(entry).__name__ == name]
            last = states[-len(callbacks) :] if isinstance(states, list) else [states]
            for callback, state in zip(callbacks, last, strict=False):
                attributes = {} if callback is self._follow else state.get("attributes", {})
                for attribute, value in attributes.items():
                    setattr(callback, attribute, value)

    def _find_best_model(self) -> None:
        """The trainer looks for the best model where it was saved, but a study may have been moved since."""
        assert self._checkpoints is not None
        assert self._checkpoints.last is not None
        state = TrainerState.load_from_json(str(Path(self._checkpoints.last) / TRAINER_STATE_NAME))
        if state.best_model_checkpoint is not None:
            best = Path(str(self._trainer.args.output_dir)) / Path(state.best_model_checkpoint).name
            self._trainer.state.best_model_checkpoint = str(best) if best.is_dir() else None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The training begins, or goes on from a checkpoint."""
        assert self._follow.attachment is not None
        self.updates = self._follow.attachment.updates
        self.schedule = self._follow.attachment.state_dict()["schedules"]["lr"]
        model: Any = self._trainer.model
        self._listener.began(fingerprint(model))
        for option in ("save_only_model", "ignore_data_skip"):
            if self._checkpoints is not None and getattr(args, option):
                self._checkpoints.impossible(f"the trainer has args.{option}")
                self._checkpoints = None

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Forget what is left of an update that was not made."""
        self._shares = []

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell of an update, if one was made."""
        self._has_epoch_ended = False
        attachment = self._follow.attachment
        if attachment is not None and attachment.updates > self.updates and self._shares:
            self.updates = attachment.updates
            # Each is the share of its micro-batch in the loss of the update.
            if not self._listener.updated(float(sum(self._shares))):
                control.should_training_stop = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The evaluation of the epoch follows, and then a checkpoint, if it is time for one."""
        self._has_epoch_ended = True

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell the scores."""
        if self._monitor is not None and self._mode is not None:
            metrics = {name: value for name, value in (kwargs.get("metrics") or {}).items() if is_score(name, value)}
            self._listener.evaluated(ordered(metrics, self._monitor, self._mode))
            self.evaluated_at = self.updates
