"""A callback that writes the checkpoints from which a training of a comparison goes on in a new process."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from learnrate.trainer_runs import TrainerCheckpoints
from learnrate.transformers.attributes import methods_replaced
from learnrate.transformers.follow import Follow

NOT_RESUMABLE = ("save_only_model", "ignore_data_skip")
"""Arguments of a Trainer with which its checkpoints lack something, or are not followed by the next batch."""


class Resuming(TrainerCallback):
    """Writes checkpoints when they are due, and restores what the Trainer itself does not.

    Args:
        trainer: The trainer.
        checkpoints: When the next one is due, and which one the training goes on from.
        follow: What drives the LR, whose state the Trainer restores by itself.
    """

    def __init__(self, trainer: Trainer, checkpoints: TrainerCheckpoints, follow: Follow) -> None:
        self._trainer, self._checkpoints, self._follow = trainer, checkpoints, follow
        self._has_epoch_ended = False

    @contextmanager
    def resuming(self) -> Iterator[None]:
        """While it lasts, write checkpoints where the Trainer evaluates and saves: later it has drawn the next batches."""
        trainer: Any = self._trainer
        writing = self._writing(trainer._maybe_log_save_evaluate)
        with methods_replaced(trainer, _maybe_log_save_evaluate=writing, _load_callback_state=self._restore_state):
            yield

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Do without checkpoints from which the training could not go on."""
        for option in NOT_RESUMABLE:
            if getattr(args, option):
                self._checkpoints.impossible(f"the trainer has args.{option}")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The epoch goes on."""
        self._has_epoch_ended = False

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The evaluation of the epoch follows, and then a checkpoint, if it is time for one."""
        self._has_epoch_ended = True

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
        state = self._trainer.state
        is_between = self._has_epoch_ended or not float(state.epoch or 0.0).is_integer()
        if is_between and not self._trainer.control.should_training_stop and self._checkpoints.is_due():
            self._checkpoints.write(f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}", self._save)

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
        assert self._checkpoints.last is not None
        state = TrainerState.load_from_json(str(Path(self._checkpoints.last) / TRAINER_STATE_NAME))
        if state.best_model_checkpoint is not None:
            best = Path(str(self._trainer.args.output_dir)) / Path(state.best_model_checkpoint).name
            self._trainer.state.best_model_checkpoint = str(best) if best.is_dir() else None
