"""Observes the updates of an optimizer, and obeys what the control of its run decides."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from learnrate.control import Control, Observation
from learnrate.control.running import begin
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.torch.control.exchange import Exchange
from learnrate.torch.control.gradients import drop_gradients, gradient_norm
from learnrate.torch.control.options import ControlOptions
from learnrate.torch.inputs import check_model, require_hooks, stepping
from learnrate.trainable import scalar

Followed = Schedule | Sequence[Schedule]
"""One schedule for all parameter groups, or one for each."""


def asks_for_control(options: ControlOptions) -> bool:
    """Whether one of the options makes a control necessary.

    Raises:
        ArgumentError: if the model is none that can be trained.
        ArgumentTypeError: if it is no module.
    """
    if (model := options.get("model")) is not None:
        check_model(model)
    return options.get("control") is not None or options.get("record") is not None or bool(options.get("page"))


class Steering:
    """Collects what is observed of each update, lets the control decide, and leaves updates out.

    Args:
        schedules: What the LR follows: one schedule for all parameter groups, or one for each.
        start: Number of updates so far.
        options: See `ControlOptions`.

    Attributes:
        control: The control of the run.

    Raises:
        ArgumentError: if an argument breaks its rule; if a controller may ask for snapshots, and there is no model.
    """

    def __init__(self, schedules: Followed, start: int, options: ControlOptions) -> None:
        self._exchange = Exchange()
        self.control: Control = begin(
            _listed(schedules),
            control=options.get("control"),
            record=options.get("record"),
            page=options.get("page", False),
            start=start,
            rank=self._exchange.rank,
            share=self._exchange.share if self._exchange.is_shared else None,
        )
        if self.control.needs_snapshots and options.get("model") is None:
            raise ArgumentError(
                "model must be given where a controller may put snapshots back, received None: attach(..., model=model)"
            )
        self._losses: list[float] = []
        self._norm: float | None = None
        self._update, self._lr = max(0, start - 1), self.control.schedules[0](max(0, start - 1))
        self._requests = False
        self._left_out = False
        self._paused = 0
        self._handle: RemovableHandle | None = None

    def watch(self, optimizer: Optimizer, updates: Callable[[], int]) -> None:
        """Observe the steps of an optimizer through a hook of its own, for what has none.

        Args:
            optimizer: The optimizer, also in a wrapper.
            updates: Returns the number of updates so far.

        Raises:
            ArgumentError: if its steps cannot be followed.
        """
        inner = stepping(optimizer)
        require_hooks(inner)

        def before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            if not self._paused:
                self._left_out = not self.before_step(optimizer, updates())

        self._handle = inner.register_step_pre_hook(before_step)

    def was_left_out(self) -> bool:
        """Whether the last update was left out; asked once for each."""
        left_out, self._left_out = self._left_out, False
        return left_out

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Observe nothing inside the block."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def close(self) -> None:
        """The run has ended, or is not driven any more."""
        if self._handle is not None:
            self._handle.remove()
        self.control.close()

    def observe(self, loss: Any, gradient_norm: Any, metrics: dict[str, Any]) -> None:
        """Note what the user has measured; see `Steered.observe`."""
        if loss is not None:
            self._losses.append(scalar("loss", loss))
        if gradient_norm is not None:
            self._norm = scalar("gradient_norm", gradient_norm)
        if metrics:
            scores = self._exchange.mean_scores({name: scalar(name, value) for name, value in metrics.items()})
            finite = all(map(math.isfinite, scores.values()))
            self.control.observe(Observation(self._update, self._lr, metrics=scores, finite=finite))

    def before_step(self, optimizer: Optimizer, update: int) -> bool:
        """Let the control decide about an update whose gradients are there.

        Returns:
            Whether it is made. If not, the gradients are dropped, so that the step changes nothing.
        """
        loss = sum(self._losses) / len(self._losses) if self._losses else math.nan
        has_loss = bool(self._losses)
        self._losses.clear()
        loss, self._requests = self._exchange.mean(loss, self.control.waiting())
        norm, self._norm = self._norm, None
        if norm is None and self.control.needs_gradient_norm:
            norm = float(gradient_norm(optimizer))
        finite = (not has_loss or math.isfinite(loss)) and (norm is None or math.isfinite(norm))
        self._update, self._lr = update, max(float(group["lr"]) for group in optimizer.param_groups)
        restarts = self.control.restarts(update)
        decision = self.control.observe(
            Observation(update, self._lr, loss if has_loss else None, norm, finite=finite, restarts=restarts)
        )
        if decision.skip or decision.rollback:
            drop_gradients(optimizer)
            return False
        return True

    @property
    def schedules(self) -> Followed:
        """What the LR follows: what was used so far, and what will be used if nothing else happens."""
        schedules = self.control.schedules
        return schedules[0] if len(schedules) == 1 else list(schedules)

    def settle(self, update: int) -> Followed | None:
        """Apply what was decided and asked for. Returns the schedules to follow from now on, if they are others."""
        changed = self.control.settle(update, requests=self._requests or not self._exchange.is_shared)
        return self.schedules if changed else None

    def replaced(self, schedules: Followed, update: int) -> None:
        """Note that the program itself follows other schedules from an update on."""
        self.control.replaced(_listed(schedules), update)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep beside the count and the text of what is followed."""
        original = [repr(schedule) for schedule in self.control.original]
        return {"control": {**self.control.state_dict(), "original": original}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a checkpoint was, from the state of an attachment or a scheduler; one without a control is left."""
        if "control" in state:
            self.control.load_state_dict(state["control"])


def _listed(schedules: Followed) -> list[Schedule]:
    return [schedules] if isinstance(schedules, Schedule) else list(schedules)
