"""What attachments and schedulers offer for reacting while training."""

from typing import Any

from learnrate.control import Control, Scale
from learnrate.torch.control.snapshots import Snapshots
from learnrate.torch.control.steering import Steering


class Steered:
    """Adds `observe`, `scale`, `stopped` and `control` to what drives the LR of an optimizer.

    Attributes:
        control: The control of the run: events, requests, what is followed.
    """

    _steering: Steering | None = None

    def _make_steering(self) -> Steering:
        """The steering, made now if there is none yet."""
        raise NotImplementedError

    @property
    def control(self) -> Control:
        """The control of the run; made at the first use where the run was begun without controllers."""
        return self._make_steering().control

    @property
    def stopped(self) -> bool:
        """Whether a controller or a person has ended the run. The loop has to look at it, and to leave."""
        return self._steering is not None and self._steering.control.stopped is not None

    @property
    def snapshots(self) -> Snapshots | None:
        """The snapshots of a guard; None without one."""
        return self._make_steering().snapshots

    def observe(self, loss: Any = None, *, gradient_norm: Any = None, **metrics: Any) -> None:
        """Say what was measured: the loss of each update, before `optimizer.step()`; scores after an evaluation.

        With accumulated gradients once for each micro-batch; the loss of the update is their mean. Reading a loss on another
        device waits for it.

        Args:
            loss: The loss: a number, or a tensor with one element.
            gradient_norm: The norm of the gradient, for example as `clip_grad_norm_` returns it; measured otherwise if a
                controller needs it, as the optimizer receives the gradients.
            **metrics: Scores of an evaluation by name, in a call of their own.

        Raises:
            LossError: if something is not a number.
        """
        self._make_steering().observe(loss, gradient_norm, metrics)

    def scale(self, factor: float, why: str = "") -> None:
        """Multiply the LR from the next update on, by hand; `control.request(learnrate.control.Undo())` takes it back.

        Args:
            factor: Above 0.
            why: The reason, for the record.

        Raises:
            ArgumentError: if it is not above 0.
        """
        self.control.request(Scale(factor), why)
