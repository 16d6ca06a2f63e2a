"""Observes the updates of an optimizer, and obeys what the control of its run decides."""

import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from learnrate import checks, records
from learnrate.control import Control, Decision, Observation
from learnrate.control.running import begin
from learnrate.errors import ArgumentError
from learnrate.schedules import Schedule
from learnrate.torch.control.exchange import Exchange
from learnrate.torch.control.gradients import drop_gradients, gradient_norm
from learnrate.torch.control.guarding import Guarding
from learnrate.torch.control.options import ControlOptions
from learnrate.torch.control.readings import Reading
from learnrate.torch.control.snapshots import Snapshots
from learnrate.torch.inputs import check_model, require_hooks, stepping
from learnrate.trainable import scalar

Followed = Schedule | Sequence[Schedule]
"""One schedule for all parameter groups, or one for each."""


WITHOUT_STEP = 32
"""Losses in a row that are not finite, without an update, after which the weights are at fault and not the batches."""


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
        self._guarding = _guarding(self.control, options)
        self._is_late = False if self._guarding is None else self._guarding.is_late
        self._previous: _Measured | None = None
        self._losses: list[float | Reading] = []
        self._norm: float | Reading | None = None
        self._without_step = 0
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
        if self._guarding is not None:
            self._guarding.forget()
        self.control.close()

    def observe(self, loss: Any, gradient_norm: Any, metrics: dict[str, Any]) -> None:
        """Note what the user has measured; see `Steered.observe`."""
        if loss is not None:
            self._losses.append(self._number("loss", loss))
            self._watch_for_updates_without_end()
        if gradient_norm is not None:
            self._norm = self._number("gradient_norm", gradient_norm)
        if metrics:
            scores = self._exchange.mean_scores({name: scalar(name, value) for name, value in metrics.items()})
            finite = all(map(math.isfinite, scores.values()))
            self.control.observe(Observation(self._update, self._lr, metrics=scores, finite=finite))

    def _number(self, name: str, value: Any) -> float | Reading:
        """A number that was measured: read now, or one update later if its device would have to be waited for."""
        if isinstance(value, Tensor) and self._is_late is None:
            self._is_late = value.device.type != "cpu"
        return Reading(name, value) if self._is_late and isinstance(value, Tensor) else scalar(name, value)

    def _watch_for_updates_without_end(self) -> None:
        """Notice that a gradient scaler skips every update, because no loss of these weights is finite."""
        if self._guarding is None or self._is_late or self._exchange.is_shared:
            return
        self._without_step = 0 if math.isfinite(float(self._losses[-1])) else self._without_step + 1
        if self._without_step == WITHOUT_STEP:
            self._without_step = 0
            update = self._update + 1
            decision = self.control.observe(Observation(update, self._lr, math.nan, finite=False, applied=True))
            self._guarding.obey(update, decision)

    def before_step(self, optimizer: Optimizer, update: int) -> bool:
        """Let the control decide about an update whose gradients are there.

        Returns:
            Whether it is made. If not, the gradients are dropped, so that the step changes nothing.
        """
        if self._guarding is not None:
            self._guarding.optimizer = weakref.ref(optimizer)
        self._without_step = 0
        found_inf = getattr(optimizer, "found_inf", None)
        if found_inf is not None and found_inf.item():  # a fused optimizer skips the update in its step
            if self._guarding is not None and not all(math.isfinite(float(loss)) for loss in self._losses):
                self._guarding.mend()
            self._losses = []
            return True
        present = self._measured(optimizer, update)
        observed, self._previous = (self._previous, present) if self._is_late else (present, None)
        decision = Decision() if observed is None else self._decision(observed)
        if self._guarding is not None:
            self._guarding.obey(update, decision)
        if decision.skip or decision.rollback:
            self._previous = None
            drop_gradients(optimizer)
            return False
        return True

    def _measured(self, optimizer: Optimizer, update: int) -> "_Measured":
        losses, self._losses = self._of_this_update(optimizer), []
        norm, self._norm = self._norm, None
        if norm is None and self.control.needs_gradient_norm:
            norm = self._number("gradient_norm", gradient_norm(optimizer))
        lr = max(float(group["lr"]) for group in optimizer.param_groups)
        return _Measured(update, lr, losses, norm, self.control.restarts(update))

    def _of_this_update(self, optimizer: Optimizer) -> tuple[float | Reading, ...]:
        """The losses since the last update, without those of updates that a gradient scaler has skipped."""
        finite = [number for number, loss in enumerate(self._losses) if self._is_late or math.isfinite(float(loss))]
        if self._exchange.is_shared or len(finite) == len(self._losses) or not finite:
            return tuple(self._losses)
        if not math.isfinite(float(gradient_norm(optimizer))):
            return tuple(self._losses)
        # The gradients of a loss that is not finite are not finite. These are, so that they are of other losses.
        if self._guarding is not None:
            self._guarding.mend()
        return tuple(self._losses[number] for number in finite)

    def _decision(self, measured: "_Measured") -> Decision:
        losses = [float(loss) for loss in measured.losses]
        loss = sum(losses) / len(losses) if losses else math.nan
        norm = None if measured.norm is None else float(measured.norm)
        loss, self._requests = self._exchange.mean(loss, self.control.waiting())
        finite = (not losses or math.isfinite(loss)) and (norm is None or math.isfinite(norm))
        self._update, self._lr = measured.update, measured.lr
        return self.control.observe(
            Observation(
                measured.update,
                measured.lr,
                loss if losses else None,
                norm,
                finite=finite,
                restarts=measured.restarts,
                applied=bool(self._is_late),
            )
        )

    @property
    def snapshots(self) -> Snapshots | None:
        """The snapshots of a guard; None without one."""
        return None if self._guarding is None else self._guarding.snapshots

    @property
    def schedules(self) -> Followed:
        """What the LR follows: what was used so far, and what will be used if nothing else happens."""
        schedules = self.control.schedules
        return schedules[0] if len(schedules) == 1 else list(schedules)

    def settle(self, update: int) -> Followed | None:
        """Apply what was decided and asked for. Returns the schedules to follow from now on, if they are others.

        Raises:
            GaveUpError: if a guard has given the run up.
        """
        before = self.control.stopped
        changed = self.control.settle(update, requests=self._requests or not self._exchange.is_shared)
        if self._guarding is not None and self.control.stopped is not before:
            self._guarding.raise_if_given_up()
        return self.schedules if changed else None

    def replaced(self, schedules: Followed, update: int) -> None:
        """Note that the program itself follows other schedules from an update on."""
        self.control.replaced(_listed(schedules), update)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep beside the count and the text of what is followed."""
        original = [repr(schedule) for schedule in self.control.original]
        previous = None if self._previous is None else self._previous.to_json()
        return {"control": {**self.control.state_dict(), "original": original, "previous": previous}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a checkpoint was, from the state of an attachment or a scheduler; one without a control is left."""
        if "control" in state:
            self.control.load_state_dict(state["control"])
        previous = state["control"].get("previous") if "control" in state else None
        self._previous = None if previous is None else _Measured.from_json(previous)
        if self._guarding is not None:
            self._guarding.forget()


@dataclass(frozen=True)
class _Measured:
    """What was measured of an update."""

    update: int
    lr: float
    losses: tuple[float | Reading, ...]
    norm: float | Reading | None
    restarts: bool

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint keeps of an update whose loss was not looked at yet."""
        losses = [records.encode_float(float(loss)) for loss in self.losses]
        norm = None if self.norm is None else records.encode_float(float(self.norm))
        return {"update": self.update, "lr": self.lr, "losses": losses, "norm": norm, "restarts": self.restarts}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "_Measured":
        """Read what `to_json` wrote; numbers that are not finite are texts in JSON."""
        norm = None if content["norm"] is None else float(content["norm"])
        losses = tuple(float(loss) for loss in content["losses"])
        return cls(int(content["update"]), float(content["lr"]), losses, norm, bool(content["restarts"]))


def _guarding(control: Control, options: ControlOptions) -> Guarding | None:
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


def _listed(schedules: Followed) -> list[Schedule]:
    return [schedules] if isinstance(schedules, Schedule) else list(schedules)
