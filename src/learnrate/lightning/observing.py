"""What a control is shown of a Lightning run, and how it ends the run."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from learnrate.torch.control.gradients import gradient_norm
from learnrate.torch.driving import Attachment
from learnrate.torch.inputs import stepping


def scaler_of(trainer: Trainer) -> Any:
    """The gradient scaler of a trainer; None if it has none."""
    return getattr(trainer.precision_plugin, "scaler", None)


class Observing:
    """Passes losses and scores of a run to the attachment of its optimizer.

    In automatic optimisation losses come from the hook before the backward pass. In manual optimisation nothing says to
    which optimizer a loss belongs, so that the module passes them itself.

    Args:
        trainer: The trainer.
        attachment: What drives the LR of the optimizer.
    """

    def __init__(self, trainer: Trainer, attachment: Attachment) -> None:
        self._trainer, self.attachment = trainer, attachment
        self._is_complete = False

    def before_backward(self, module: LightningModule, loss: Tensor) -> None:
        """Observe the loss of a micro-batch, which Lightning has divided by their number and multiplied by the scaler."""
        if not module.automatic_optimization or not self.attachment.reads_losses:
            return
        if self._is_complete:  # what is left is of an update that the scaler skipped
            self.attachment.forget()
            self._is_complete = False
        scaler = scaler_of(self._trainer)
        scale = 1.0 if scaler is None else scaler.get_scale()
        self.attachment.observe(loss.detach() / scale * self._trainer.accumulate_grad_batches)

    def before_update(self, optimizer: Optimizer) -> None:
        """All micro-batches of an update are there, and its gradients are not clipped yet."""
        self._is_complete = True
        attachment, trainer = self.attachment, self._trainer
        if attachment.reads_losses and attachment.control.needs_gradient_norm and trainer.gradient_clip_val:
            attachment.observe(gradient_norm=gradient_norm(stepping(optimizer)))

    def after_update(self) -> None:
        """End the run where a controller or a person has ended it."""
        if self.attachment.stopped:
            self._trainer.should_stop = True

    def after_validation(self) -> None:
        """Observe the scores that the trainer has now, as its own callbacks read them."""
        if self._trainer.sanity_checking or not self.attachment.reads_losses:
            return
        scores = dict(self._trainer.callback_metrics)
        if scores:
            self.attachment.evaluated(scores)
            self.after_update()
