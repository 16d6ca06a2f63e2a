"""Tells a comparison what happens in a run of a Trainer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from learnrate.torch.training import fingerprint
from learnrate.trainer_runs import Mode, TrainingListener, ordered
from learnrate.transformers.attributes import methods_replaced
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

    Attributes:
        evaluated_at: The number of updates before the last evaluation.
        updates: The number of updates so far.
        schedule: What the LR follows, as text.
    """

    def __init__(
        self, trainer: Trainer, listener: TrainingListener, follow: Follow, monitor: str | None, mode: Mode | None
    ) -> None:
        self._trainer, self._listener, self._follow = trainer, listener, follow
        self._monitor, self._mode = monitor, mode
        self._shares: list[Tensor] = []
        self.updates, self.evaluated_at = 0, -1
        self.schedule = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, note what `training_step` returns, which no callback is given, and the time of evaluations."""
        trainer = self._trainer
        with methods_replaced(
            trainer, training_step=self._noting(trainer.training_step), evaluate=self._pausing(trainer.evaluate)
        ):
            yield

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

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The training begins, or goes on from a checkpoint."""
        assert self._follow.attachment is not None
        self.updates = self._follow.attachment.updates
        self.schedule = self._follow.attachment.state_dict()["schedules"]["lr"]
        model: Any = self._trainer.model
        self._listener.began(fingerprint(model))

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Forget what is left of an update that was not made."""
        self._shares = []

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell of an update, if one was made."""
        attachment = self._follow.attachment
        if attachment is not None and attachment.updates > self.updates and self._shares:
            self.updates = attachment.updates
            # Each is the share of its micro-batch in the loss of the update.
            if not self._listener.updated(float(sum(self._shares))):
                control.should_training_stop = True

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell the scores."""
        if self._monitor is not None and self._mode is not None:
            metrics = {name: value for name, value in (kwargs.get("metrics") or {}).items() if is_score(name, value)}
            self._listener.evaluated(ordered(metrics, self._monitor, self._mode))
            self.evaluated_at = self.updates
