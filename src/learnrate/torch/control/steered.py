"""What attachments and schedulers offer for reacting while training."""

from collections.abc import Mapping
from typing import Any

from learnrate.control import Control, Scale
from learnrate.errors import ArgumentError
from learnrate.torch.control.exchange import several_processes
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

    def _settle_after_evaluation(self) -> None:
        """Let what was decided hold for the next update already."""
        raise NotImplementedError

    @property
    def control(self) -> Control:
        """The control of the run; made at the first use where the run was begun without controllers.

        Raises:
            ArgumentError: in many processes, if it was not asked for at the beginning, in all of them.
        """
        return self._begun().control

    def _begun(self) -> Steering:
        if self._steering is None and several_processes():  # one that is made in a single process would wait for the others
            raise ArgumentError(
                "control must be given at the beginning where there are several processes, received none: give control=[] "
                "in all of them for changes by hand alone"
            )
        return self._make_steering()

    @property
    def stopped(self) -> bool:
        """Whether a controller or a person has ended the run. The loop has to look at it, and to leave."""
        return self._steering is not None and self._steering.is_stopped

    @property
    def is_steered(self) -> bool:
        """Whether there is a control."""
        return self._steering is not None

    @property
    def reads_losses(self) -> bool:
        """Whether anything looks at what is observed; for callers that would have to wait for a loss on another device."""
        return self._steering is not None and self._steering.reads_losses

    @property
    def snapshots(self) -> Snapshots | None:
        """The snapshots of a guard; None without one."""
        return self._make_steering().snapshots

    def observe(self, loss: Any = None, *, gradient_norm: Any = None, **metrics: Any) -> None:
        """Say what was measured: the loss of each update, before `optimizer.step()`; scores after an evaluation.

        With accumulated gradients once for each micro-batch; the loss of the update is their mean. Reading a loss on another
        device waits for it.

        In a closure that `optimizer.step(closure)` calls, observe the loss there.

        Args:
            loss: The loss: a number, or a tensor with one element.
            gradient_norm: The norm of the gradient, for example as `clip_grad_norm_` returns it; measured otherwise if a
                controller needs it, as the optimizer receives the gradients.
            **metrics: Scores of an evaluation by name, in a call of their own.

        Raises:
            ArgumentError: if nothing is given, or the optimizer is not driven any more.
            LossError: if something is not a number; at an update, if a controller reads losses and none was observed.
            GaveUpError: if a gradient scaler has skipped all updates, and a guard has given the run up.
        """
        if loss is None and gradient_norm is None and not metrics:
            raise ArgumentError("observe must be given a loss or scores, received none")
        steering = self._begun()
        steering.observe(loss, gradient_norm)
        if steering.is_unsettled:
            self._settle_after_evaluation()
        if metrics:
            self.evaluated(metrics)

    def evaluated(self, metrics: Mapping[str, Any]) -> None:
        """The same as `observe(**metrics)`, for scores whose names may be any texts.

        Args:
            metrics: Scores of an evaluation by name.

        Raises:
            ArgumentError: if the optimizer is not driven any more.
            LossError: if something is not a number.
        """
        self._begun().evaluated(metrics)
        self._settle_after_evaluation()

    def forget(self) -> None:
        """Forget the losses that were observed since the last update, because a gradient scaler has skipped their update.

        An update that is skipped does not reach the optimizer, so that its loss would count as one of the next update's.
        """
        if self._steering is not None:
            self._steering.forget()

    def scale(self, factor: float, why: str = "") -> None:
        """Multiply the LR from the next update on, by hand; `control.request(learnrate.control.Undo())` takes it back.

        In many processes call it in all of them, or in the first one: all do what that one is asked for.

        Args:
            factor: Above 0.
            why: The reason, for the record.

        Raises:
            ArgumentError: if it is not above 0, or nothing is driven any more.
        """
        change, control = Scale(factor), self.control
        if control.rank == 0:
            future = control.request(change, why)
            if future.done():  # refused
                future.result()
