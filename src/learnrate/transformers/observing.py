"""What a control is shown of a Trainer's run: the losses that it back-propagates, the norms of its gradients, its scores."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import Trainer

from learnrate.accelerate.attachment import Attachment

OF_THE_CLOCK = ("runtime", "samples_per_second", "steps_per_second", "jit_compilation_time", "model_preparation_time")
"""How the Trainer's own metrics of speed end, which are no scores."""


class Observing:
    """While it lasts, notes what `training_step` of a trainer returns, and the norms by which its accelerator clips.

    A callback is given neither. The outputs of the model have a loss, but it is not the one that is trained with where
    labels are smoothed, `compute_loss` is another one, or the sum over all tokens of an update is divided by their number.
    What `training_step` returns is what the Trainer adds up for its own logs: the share of the loss of the update that the
    micro-batch has.

    Args:
        trainer: The trainer.
        attachment: What drives the LR.
    """

    def __init__(self, trainer: Trainer, attachment: Attachment) -> None:
        self._trainer, self._attachment = trainer, attachment
        self._shares: list[Any] = []
        self._norm: Any = None
        self._training_step, self._clip = trainer.training_step, trainer.accelerator.clip_grad_norm_
        self._before = [
            (owner, name, vars(owner).get(name))
            for owner, name in ((trainer, "training_step"), (trainer.accelerator, "clip_grad_norm_"))
        ]
        vars(trainer)["training_step"] = self.training_step
        vars(trainer.accelerator)["clip_grad_norm_"] = self.clip_grad_norm_

    def end(self) -> None:
        """Give the trainer its own methods back."""
        for owner, name, own in self._before:
            if own is None:
                vars(owner).pop(name, None)
            else:
                vars(owner)[name] = own

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """The trainer's own, whose result is noted."""
        loss = self._training_step(*args, **kwargs)
        if isinstance(loss, Tensor) and self._attachment.reads_losses:
            self._shares.append(loss.detach())
        return loss

    def clip_grad_norm_(self, *args: Any, **kwargs: Any) -> Any:
        """The accelerator's own, whose result is noted: the norm before the gradients are clipped."""
        self._norm = self._clip(*args, **kwargs)
        return self._norm

    def begin_update(self) -> None:
        """Forget what is left of an update that the scaler has skipped."""
        self._shares, self._norm = [], None
        self._attachment.forget()

    def end_update(self) -> None:
        """Observe the loss and the norm of an update that is about to be made."""
        if self._shares:
            self._attachment.observe(sum(self._shares), gradient_norm=self._norm)

    def evaluated(self, metrics: Mapping[str, Any]) -> None:
        """Observe the scores of an evaluation."""
        scores = {name: value for name, value in metrics.items() if is_score(name, value)}
        if scores and self._attachment.reads_losses:
            self._attachment.evaluated(scores)


def is_score(name: str, value: Any) -> bool:
    """Whether an entry of the metrics of an evaluation is a score, and no time."""
    return (
        name != "epoch" and not name.endswith(OF_THE_CLOCK) and not isinstance(value, bool) and hasattr(value, "__float__")
    )
