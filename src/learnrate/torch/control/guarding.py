"""Obeys a guard: takes snapshots, puts them back, mends what a batch has spoilt, and says which gradients were at fault."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.control import Control, Decision
from learnrate.control.guard import DELAY
from learnrate.control.report import gave_up
from learnrate.control.snapshots import wants_snapshot
from learnrate.errors import ArgumentError, NotRestoredWarning
from learnrate.torch.control.measured import Number
from learnrate.torch.control.options import ControlOptions
from learnrate.torch.control.snapshots import Snapshots, Where
from learnrate.user_code import warn

NAMED = 3
"""How many parameters with the largest gradients are named."""


WITHOUT_STEP = 32
"""Losses in a row that are not finite, without an update, after which the weights are at fault and not the batches."""


class Guarding:
    """What is beside the control of a run where a controller may ask for a rollback.

    Args:
        control: The control of the run.
        model: The model.
        scaler: The gradient scaler, whose scale an explosion lowers; None for none.

    Attributes:
        snapshots: The snapshots.
        optimizer: The optimizer that steps. Weakly, because it holds the attachment that holds this.
        has_scaler: Whether a gradient scaler skips updates whose gradients are not finite.
        without_step: Losses in a row that are not finite, since the last update.
    """

    def __init__(self, control: Control, model: nn.Module, scaler: torch.amp.GradScaler | None) -> None:
        self._control, self._model = control, model
        self._guards = [
            name for name, controller in control.controllers.items() if getattr(controller, "needs_snapshots", False)
        ]
        where: Where = getattr(control.controllers[self._guards[0]], "where", "memory")
        self.snapshots = Snapshots(model, where, scaler)
        self.optimizer: Callable[[], Optimizer | None] = lambda: None
        self.has_scaler = scaler is not None and scaler.is_enabled()
        self.without_step = 0
        self._has_warned = False

    @property
    def is_late(self) -> bool | None:
        """Whether numbers are read one update later; None: if they are on a device that would have to be waited for."""
        choices = [getattr(self._control.controllers[name], "late", False) for name in self._guards]
        return True if True in choices else None if None in choices else False

    def obey(self, update: int, decision: Decision) -> None:
        """Do what was decided about an update, whose gradients are still there.

        Args:
            update: Number of updates so far.
            decision: From `Control.observe`.

        Warns:
            NotRestoredWarning: if there is no room for a snapshot on the disk.
        """
        optimizer = self.optimizer()
        if optimizer is None:
            return
        if decision.rollback:
            gradients = self._gradients()
            restored = self.snapshots.restore(optimizer, update, DELAY)
            self._control.explain(restored=restored, gradients=gradients)
        elif decision.skip:
            gradients = self._gradients()
            self._control.explain(gradients=gradients, mended=self.mend())
        elif self.snapshots.newest != update and self._is_wanted(update):
            self.snapshots.take(optimizer, update)

    def is_stuck(self, loss: Number) -> bool:
        """Whether losses in a row were not finite, without an update, for so long that the weights are at fault."""
        self.without_step = 0 if math.isfinite(float(loss)) else (self.without_step + 1) % WITHOUT_STEP
        return self.without_step == 0 and not math.isfinite(float(loss))

    def warn_that_it_is_stuck(self) -> None:
        """Say once that nothing is put back where a gradient scaler skips every update in many processes.

        Warns:
            NotRestoredWarning: at the first call.
        """
        if not self._has_warned:
            self._has_warned = True
            warn(
                f"the last {WITHOUT_STEP} losses were not finite, and no update was made, as where a gradient scaler skips "
                "all: the guard puts no snapshot back, because in many processes it decides in optimizer.step(), which is "
                "not called: stop the run, and go on from a checkpoint with a lower LR",
                NotRestoredWarning,
            )

    def mend(self) -> list[str]:
        """Put the buffers back that a batch has spoilt; returns their names."""
        optimizer = self.optimizer()
        return [] if optimizer is None else self.snapshots.mend(optimizer)

    def raise_if_given_up(self) -> None:
        """Raise if it was a guard that ended the run.

        Raises:
            GaveUpError: with the report.
        """
        if (error := gave_up(self._control)) is not None:
            self._control.close()  # not every trainer tells its callbacks of an error, and the record has to be complete
            raise error

    def forget(self) -> None:
        """Forget the snapshots, because a checkpoint was loaded."""
        self.snapshots.clear()

    def _is_wanted(self, update: int) -> bool:
        return self.snapshots.newest is None or wants_snapshot(self._control, update)

    def _gradients(self) -> list[str]:
        """Parameters whose gradients are not finite, or those with the largest, in words."""
        norms = {
            name: float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
            for name, parameter in self._model.named_parameters()
            if parameter.grad is not None
            for norm in (torch.linalg.vector_norm(_values(parameter.grad)),)
        }
        faulty = [name for name, norm in norms.items() if not math.isfinite(norm)]
        if faulty:
            more = [f"and {len(faulty) - NAMED} more"] if len(faulty) > NAMED else []
            return [*(f"{name}: not finite" for name in faulty[:NAMED]), *more]
        return [f"{name}: {norms[name]:.3g}" for name in sorted(norms, key=lambda name: -norms[name])[:NAMED]]


def _values(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def guarding(control: Control, options: ControlOptions) -> Guarding | None:
    """What a run with a guard needs; None without one.

    Raises:
        ArgumentError: if there is no model.
        ArgumentTypeError: if the scaler is something else.
    """
    if not control.needs_snapshots:
        return None
    model = options.get("model")
    if model is None:
        raise ArgumentError(
            "model must be given where a controller may put snapshots back, received None: attach(..., model=model)"
        )
    scaler = options.get("scaler")
    if not (scaler is None or isinstance(scaler, torch.amp.GradScaler)):
        checks.refuse_type("scaler", "a torch.amp.GradScaler", scaler)
    return Guarding(control, model, scaler)
