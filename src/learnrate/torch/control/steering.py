"""Observes the updates of an optimizer, and obeys what the control of its run decides."""

import math
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from learnrate.control import Control, Decision, Event, Observation
from learnrate.control.control import HAND
from learnrate.control.running import begin
from learnrate.errors import ArgumentError, LossError
from learnrate.schedules import Schedule
from learnrate.torch.control.closures import with_closure
from learnrate.torch.control.exchange import Exchange, Seen, several_processes, summary
from learnrate.torch.control.gradients import drop_gradients, gradient_norm
from learnrate.torch.control.guarding import guarding
from learnrate.torch.control.history import went_on
from learnrate.torch.control.measured import Measured, Number
from learnrate.torch.control.options import ControlOptions
from learnrate.torch.control.readings import Reading
from learnrate.torch.control.snapshots import Snapshots
from learnrate.torch.inputs import require_hooks, stepping
from learnrate.trainable import scalar

Followed = Schedule | Sequence[Schedule]
"""One schedule for all parameter groups, or one for each."""


class Steering:
    """Collects what is observed of each update, lets the control decide, and leaves updates out.

    Args:
        schedules: What the LR follows: one schedule for all parameter groups, or one for each.
        start: Number of updates so far.
        options: See `ControlOptions`.

    Attributes:
        control: The control of the run.
        is_unsettled: Whether something was decided without an update, so that `settle` has to be called before the next one.

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
        try:
            self._guarding = guarding(self.control, options)
        except BaseException:
            self.control.close()  # a record, a page
            raise
        # Whether a loss is looked at one update later, so that its device is not waited for; None: as its device is.
        self._is_late = False if self._guarding is None else self._guarding.is_late
        self._previous: Measured | None = None
        self._began = list(self.control.original)
        self._stopped_before = self.control.stopped
        self._losses: list[Number] = []
        self._had_losses = False
        self._norm: Number | None = None
        self._go_to(start)
        self.is_unsettled = False
        self._requests = False
        self._decided: int | None = None
        self._left_out = False
        self._paused = 0
        self._is_closed = False
        self._handle: RemovableHandle | None = None

    def _go_to(self, update: int) -> None:
        """Begin with this update; what was measured before belongs to none that is made."""
        self.forget()
        self._next, self._update = update, max(0, update - 1)
        self._lr = self.control.schedules[0](self._update)

    @property
    def is_stopped(self) -> bool:
        """Whether the run was ended, by a controller or a person; not before the checkpoint that it was resumed from."""
        return self.control.stopped is not self._stopped_before

    @property
    def reads_losses(self) -> bool:
        """Whether anything looks at the losses; reading one on another device waits for it."""
        return bool(self.control.controllers or self.control.listeners)

    @property
    def is_between_updates(self) -> bool:
        """Whether the last update is settled, and the next one has not begun."""
        return self._decided is None

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

        def before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
            return None if self._paused else self.before_step(optimizer, args, kwargs, updates())

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
        self._is_closed = True
        try:
            self._observe_last()
        finally:
            self._release()

    def _observe_last(self) -> None:
        """Observe an update whose numbers were to be read with the next one."""
        last, self._previous = self._previous, None
        if last is not None and self._exchange.is_shared:
            # The others may not close theirs now, so that there is no exchange, and no loss on which all agree.
            for listener in self.control.listeners:
                listener.on_update(Observation(last.update, last.lr, restarts=last.restarts))
        elif last is not None:
            self._decision(last, self._agreed(None, last))

    def _release(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        if self._guarding is not None:
            self._guarding.forget()
        self.control.close()

    def observe(self, loss: Any, gradient_norm: Any) -> None:
        """Note what the user has measured of an update; see `Steered.observe`."""
        self._require_open()
        if loss is not None:
            self._losses.append(self._number("loss", loss))
            # A loss on another device has arrived when the one after it is there.
            self._look_at(self._losses[-2:-1] if self._is_late else self._losses[-1:])
        if gradient_norm is not None:
            self._norm = self._number("gradient_norm", gradient_norm)

    def _number(self, name: str, value: Any) -> Number:
        """A number that was measured: read now, or one update later if its device would have to be waited for."""
        if isinstance(value, Tensor) and self._is_late is None:
            self._is_late = value.device.type != "cpu"
        return Reading(name, value) if self._is_late and isinstance(value, Tensor) else scalar(name, value)

    def _look_at(self, losses: list[Number]) -> None:
        """Notice that a gradient scaler skips every update, because no loss of these weights is finite."""
        if self._guarding is None or not any(map(self._guarding.is_stuck, losses)):
            return
        if self._exchange.is_shared:  # to decide needs an exchange, for which a process that observes no losses never comes
            self._guarding.warn_that_it_is_stuck()
            return
        # The last one stays, because it may be one of several of an update that is made after all.
        self._observe_last()
        self._losses = self._losses[-1:]
        # Not an update: `applied` makes a guard put weights back, and without a loss others have nothing to learn.
        decision = self.control.observe(Observation(self._next, self._lr, finite=False, applied=True))
        self._guarding.obey(self._next, decision)
        self.is_unsettled = True

    def evaluated(self, metrics: Mapping[str, Any]) -> None:
        """Let the control react to the scores of an evaluation."""
        self._require_open()
        scores = self._exchange.mean_scores({name: scalar(name, value) for name, value in metrics.items()})
        if scores:
            finite = all(map(math.isfinite, scores.values()))
            last = self._previous
            update, rate = (self._update, self._lr) if last is None else (last.update, last.lr)
            self.control.observe(Observation(update, rate, metrics=scores, finite=finite))

    def _require_open(self) -> None:
        if self._is_closed:
            raise ArgumentError("the optimizer must be driven where something is observed, it was detached")

    def forget(self) -> None:
        """Forget the losses that were observed since the last update: those of an update that a scaler skipped."""
        self._losses.clear()
        self._norm = None

    def before_step(self, optimizer: Optimizer, args: Any, kwargs: Any, update: int) -> Any:
        """Let the control decide about an update: now, or as soon as a closure of the step has made the gradients.

        A step may be called inside a step, where a subclass's calls `super().step()`.

        Returns:
            What a pre-hook of the step returns.
        """
        if self._guarding is not None:
            self._guarding.optimizer = weakref.ref(optimizer)
        found_inf = getattr(optimizer, "found_inf", None)
        if found_inf is not None and found_inf.item():  # a fused optimizer skips the update in its step
            if self._guarding is not None and not all(math.isfinite(float(loss)) for loss in self._losses):
                self._guarding.mend()
            self._look_at(self._losses[-1:] if self._is_late else [])
            self.forget()
            return None
        if self._guarding is not None:
            self._guarding.without_step = 0
        return with_closure(args, kwargs, lambda: self._decide_once(optimizer, update), self.forget)

    def _decide_once(self, optimizer: Optimizer, update: int) -> None:
        if self._decided == update and not self._losses:
            return
        self._left_out = not self._decide(optimizer, update)
        self._decided = update
        if self._left_out:
            drop_gradients(optimizer)

    def _decide(self, optimizer: Optimizer, update: int) -> bool:
        """Whether the update is made."""
        if several_processes() and not self._exchange.is_shared:
            raise ArgumentError(
                "control must be begun after torch.distributed.init_process_group, because all processes decide together; "
                "it was begun before"
            )
        present = self._measured(optimizer, update)
        observed = self._previous if self._is_late else present
        self._previous = present if self._is_late else None
        agreed = self._agreed(None if self._is_late else optimizer, observed)
        if not present.losses and agreed.loss is None and not self._had_losses:
            self._require_no_loss()
        self._had_losses = self._had_losses or bool(present.losses) or agreed.loss is not None
        self._requests = agreed.waiting
        decision = Decision() if observed is None else self._decision(observed, agreed)
        if self._guarding is not None:
            self._guarding.obey(update, decision)
        if decision.skip or decision.rollback:
            self._previous = None
            return False
        return True

    def _measured(self, optimizer: Optimizer, update: int) -> Measured:
        losses, norm = tuple(self._losses), self._norm
        self.forget()
        if norm is None and self.control.needs_gradient_norm:
            norm = self._number("gradient_norm", gradient_norm(optimizer))
        lr = max(float(group["lr"]) for group in optimizer.param_groups)
        return Measured(update, lr, losses, norm, self.control.restarts(update))

    def _agreed(self, optimizer: Optimizer | None, observed: Measured | None) -> Seen:
        """What all processes have seen of an update; `optimizer` is None if it was made before."""
        waiting = self.control.waiting()
        losses = [] if observed is None else [float(loss) for loss in observed.losses]
        norm = None if observed is None or observed.norm is None else float(observed.norm)
        agreed = self._exchange.agree(summary(losses, norm, waiting))
        if not agreed.mixed:
            return agreed
        # The gradients of a loss that is not finite are not finite. If these are, it belongs to an update that a gradient
        # scaler skipped, of which nothing else is to be seen here. All processes are in this branch, or none. The gradients
        # of an update that was made before are not there any more; with a scaler they were finite, or it was not made.
        if optimizer is None:
            scales = self._guarding is not None and self._guarding.has_scaler
        else:
            scales = math.isfinite(float(gradient_norm(optimizer)))
        if not scales:
            return agreed
        if self._guarding is not None:
            self._guarding.mend()
        last = max((number for number, loss in enumerate(losses) if not math.isfinite(loss)), default=-1)
        return self._exchange.agree(summary(losses[last + 1 :] or losses, norm, waiting))

    def _decision(self, observed: Measured, agreed: Seen) -> Decision:
        finite = all(number is None or math.isfinite(number) for number in (agreed.loss, agreed.norm))
        self._update, self._lr = observed.update, observed.lr
        observation = Observation(
            observed.update,
            observed.lr,
            agreed.loss,
            agreed.norm,
            finite=finite,
            restarts=observed.restarts,
            applied=bool(self._is_late),
        )
        return self.control.observe(observation)

    def _require_no_loss(self) -> None:
        needing = [name for name, controller in self.control.controllers.items() if getattr(controller, "needs_loss", True)]
        if needing:
            raise LossError(
                f"the loss of an update must be observed before optimizer.step() where a controller reads it "
                f"({', '.join(needing)}), none was: call observe(loss)"
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

    def settle(self, update: int, *, requests: bool = True) -> Followed | None:
        """Apply what was decided and asked for. Returns the schedules to follow from now on, if they are others.

        Args:
            update: Number of the next update.
            requests: Whether changes that people ask for may be applied now. After an evaluation they wait in many
                processes, which agree on them at each update.

        Raises:
            GaveUpError: if a guard has given the run up.
        """
        self._decided, self._next, self.is_unsettled = None, update, False
        before = self.control.stopped
        changed = self.control.settle(update, requests=(self._requests and requests) or not self._exchange.is_shared)
        if self._guarding is not None and self.control.stopped is not before:
            self._guarding.raise_if_given_up()
        return self.schedules if changed else None

    def replaced(self, schedules: Followed, update: int) -> None:
        """Note that the program itself follows other schedules from an update on."""
        self.control.replaced(_listed(schedules), update)

    def exchange(self, schedules: Followed) -> None:
        """Begin again under other schedules, as if they had been given at the start."""
        self.control.restart(_listed(schedules))

    def state_dict(self, given: Followed) -> dict[str, Any]:
        """What a checkpoint has to keep beside the count and the text of what is followed.

        Args:
            given: The schedules that the program gave last.
        """
        original = [repr(schedule) for schedule in self.control.original]
        texts = [repr(schedule) for schedule in _listed(given)]
        previous = None if self._previous is None else self._previous.to_json()
        return {"control": {**self.control.state_dict(), "original": original, "given": texts, "previous": previous}}

    def load_state_dict(self, control: Mapping[str, Any] | None, followed: Any, given: Followed, update: int) -> None:
        """Go on where a checkpoint was.

        Args:
            control: What `state_dict` returned under this key; None in the checkpoint of a run without a control.
            followed: The texts of the schedules that the checkpoint has beside it; None if it has none.
            given: The schedules that the program gives now.
            update: The number of updates in the checkpoint.
        """
        saved = control or {"original": followed, "given": followed}
        schedules = _listed(given)
        original, are_others = went_on(saved.get("original"), saved.get("given"), schedules, update)
        self.control.restart(original)
        if control is None:
            for listener in self.control.listeners:
                listener.on_resume([])
        else:
            self.control.load_state_dict(control)
            if are_others and any(event.schedules is not None for event in self.control.events):
                self.control.replaced(schedules, update)
        self._stopped_before = self.control.stopped
        previous = None if control is None else control.get("previous")
        self._previous = None if previous is None else Measured.from_json(previous)
        self._decided, self._left_out = None, False
        self._go_to(update)
        if self._guarding is not None:
            self._guarding.forget()
        if original != self._began:
            # What listens was told at the beginning which schedules are the original ones.
            reason = "the schedules of the run that goes on"
            event = Event(0, "replace", HAND, 1.0, tuple(original), reason, {}, time.time())
            for listener in self.control.listeners:
                listener.on_resume([event, *self.control.events])


def _listed(schedules: Followed) -> list[Schedule]:
    return [schedules] if isinstance(schedules, Schedule) else list(schedules)
