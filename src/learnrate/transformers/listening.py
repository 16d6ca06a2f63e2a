"""Tells a comparison what happens in a run of a Trainer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

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
        self._checkpoints, self._is_for_resuming = checkpoints, False
        self._shares: list[Tensor] = []
        self.updates, self.evaluated_at = 0, -1
        self.schedule = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, note what `training_step` returns, which no callback is given, and the time of evaluations."""
        trainer: Any = self._trainer
        training_step, evaluate = trainer.training_step, trainer.evaluate
        own = {name: vars(trainer)[name] for name in ("training_step", "evaluate") if name in vars(trainer)}

        def noting(*args: Any, **kwargs: Any) -> Any:
            loss = training_step(*args, **kwargs)
            self._shares.append(loss.detach())
            return loss

        def pausing(*args: Any, **kwargs: Any) -> Any:
            self._listener.pause()
            result = evaluate(*args, **kwargs)
            self._listener.go_on()
            return result

        try:
            vars(trainer).update(training_step=noting, evaluate=pausing)
            yield
        finally:
            for name in ("training_step", "evaluate"):
                vars(trainer).pop(name, None)
            vars(trainer).update(own)

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
        """Tell of an update, if one was made, and let the trainer write a checkpoint, if it is time for one."""
        attachment = self._follow.attachment
        if attachment is not None and attachment.updates > self.updates and self._shares:
            self.updates = attachment.updates
            # Each is the share of its micro-batch in the loss of the update.
            if not self._listener.updated(float(sum(self._shares))):
                control.should_training_stop = True
        is_due = self._checkpoints is not None and self._checkpoints.is_due() and state.global_step < state.max_steps
        self._is_for_resuming = is_due and not control.should_save
        control.should_save = control.should_save or is_due

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The trainer has written a checkpoint, after the evaluation if there was one."""
        if self._checkpoints is not None and state.global_step < state.max_steps:
            path = Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            self._checkpoints.written(str(path), for_resuming=self._is_for_resuming)
            self._is_for_resuming = False

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell the scores."""
        if self._monitor is not None and self._mode is not None:
            metrics = {name: value for name, value in (kwargs.get("metrics") or {}).items() if is_score(name, value)}
            self._listener.evaluated(ordered(metrics, self._monitor, self._mode))
            self.evaluated_at = self.updates
