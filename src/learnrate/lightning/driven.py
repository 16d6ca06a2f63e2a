"""Given that drive the optimizers of one fit, through the optimizers' own updates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, Callback
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.lightning.changes import require_same_names
from learnrate.lightning.observing import Observing
from learnrate.lightning.owners import averaging, callbacks_of, tell_of_averaging
from learnrate.schedules.given import Read, texts_of
from learnrate.schedules.resume import OnChange, all_resumed
from learnrate.torch.control import ControlOptions
from learnrate.torch.driving import Attachment, attach
from learnrate.torch.driving.state import given_text
from learnrate.torch.inputs import stepping

State = dict[str, Any]
"""Of one optimizer: {"updates": 8, "schedules": {"lr": text}, "reference_lr": 0.1}; of all, by their numbers as text."""

Wanted = Mapping[int, Mapping[str, Read]]
"""The schedules of each driven optimizer, by its number: hyper-parameter -> schedule."""


def saved_of(state: object) -> dict[str, State]:
    """The states of optimizers in a checkpoint.

    Raises:
        ArgumentError: if it is no such state.
    """
    optimizers = state.get("optimizers") if isinstance(state, Mapping) else None
    if not isinstance(optimizers, Mapping) or not all(
        isinstance(entry, Mapping) and isinstance(entry.get("updates"), int) and isinstance(entry.get("schedules"), Mapping)
        for entry in optimizers.values()
    ):
        checks.refuse("the state of the callback in the checkpoint", "a mapping with the key 'optimizers'", state)
    return {str(number): dict(entry) for number, entry in optimizers.items()}


def require_one(owner: Callback, count: int) -> None:
    """Refuse to react to the losses of several optimizers at once.

    Raises:
        ArgumentError: if there is not one optimizer whose LR is driven.
    """
    if not count:
        raise ArgumentError(
            f"control must be given together with a schedule of the LR, which it changes, {type(owner).__name__} has none"
        )
    if count > 1:
        raise ArgumentError(
            f"control must belong to one optimizer, the LRs of {count} are driven by {type(owner).__name__}: give the "
            "schedule of one alone, {number or name: schedule}; for several, return from configure_optimizers what "
            "lr.lightning.configure(optimizer, schedule, control=...) gives for each"
        )


@dataclass
class DrivenOptimizer:
    """The attachments of one optimizer: the LR has its own, because another callback may take it over in mid-run.

    Attributes:
        optimizer: The optimizer.
        schedules: The schedules, by hyper-parameter.
        lr: What drives the LR; None if nothing does.
        others: What drives the rest; None if nothing does.
        start: The state at the beginning, for what is not attached.
        handed_over: Whether another callback sets the LR now.
    """

    optimizer: Optimizer
    schedules: Mapping[str, Read]
    start: State
    lr: Attachment | None = None
    others: Attachment | None = None
    handed_over: bool = False

    @property
    def attachments(self) -> list[Attachment]:
        """Those that there are."""
        return [entry for entry in (self.lr, self.others) if entry is not None]

    def state(self) -> State:
        """See `State`."""
        states = [self.start, *(attachment.state_dict() for attachment in self.attachments)]
        texts = {key: text for state in states for key, text in state["schedules"].items()}
        merged = {key: value for state in states for key, value in state.items()}
        return {**merged, "updates": max(state["updates"] for state in states), "schedules": texts}

    def load(self, state: State) -> None:
        """Go to the count of a state, under the present schedules."""
        counts = {key: value for key, value in state.items() if key not in ("schedules", "control")}
        if self.others is not None:
            self.others.resume(counts)
        if self.lr is not None and not self.handed_over:
            lr = {"lr": state["schedules"]["lr"]} if "lr" in state.get("schedules", {}) else {}
            control = {"control": state["control"]} if "control" in state else {}
            self.lr.resume({**counts, "schedules": lr, **control})

    def hand_over(self) -> None:
        """Stop driving the LR."""
        if self.lr is not None and not self.handed_over:
            self.lr.detach()
        self.handed_over = True

    def detach(self) -> None:
        """Stop driving."""
        for attachment in self.attachments:
            attachment.detach()

    def keep_ratios(self, *, all_groups: bool) -> None:
        """Give added groups the ratio that their LR has to the present one of the first group.

        Lightning's callbacks that unfreeze add groups in mid-run, with a share of the LR in force.

        Args:
            all_groups: Whether the LRs of groups that were added before may have been changed since.
        """
        first, *added = self.optimizer.param_groups
        if self.lr is None or self.handed_over or not added or not float(first["lr"]) > 0 or "initial_lr" not in first:
            return
        changed = False
        for group in added:
            initial = float(group["lr"]) * float(first["initial_lr"]) / float(first["lr"])
            is_new = "initial_lr" not in group
            if is_new or (all_groups and abs(initial - float(group["initial_lr"])) > 1e-9 * initial):
                group["initial_lr"] = initial
                changed = True
        if changed:
            self.lr.renew()


class Driven:
    """Given that drive the optimizers of one fit.

    Args:
        owner: The callback, for messages; updates that are made while it is not among the trainer's callbacks, as those of
            LearningRateFinder, do not count.
        trainer: The trainer.
        wanted: The schedules.
        relative: Whether groups keep the ratios of their LRs.
        saved: The states of a checkpoint, by the numbers of the optimizers as text; empty at the start of a run.
        on_change: What to do if the schedules of the checkpoint are others.
        control: What reacts while training, for the one optimizer whose LR is driven.

    Raises:
        ArgumentError: if the schedules of the checkpoint are others and `on_change` is "error".
        AlreadyDrivenError: if something else drives the optimizer.
    """

    def __init__(
        self,
        owner: Callback,
        trainer: Trainer,
        wanted: Wanted,
        *,
        relative: bool,
        saved: Mapping[str, State],
        on_change: OnChange,
        control: ControlOptions | None = None,
    ) -> None:
        self._owner, self._trainer, self._relative = owner, trainer, relative
        self._control: ControlOptions = control or {}
        self._observing: Observing | None = None
        self._paused: list[Any] = []
        self._hooks: list[RemovableHandle] = []
        self._optimizers: dict[str, DrivenOptimizer] = {}
        self._epoch = -1
        self.is_attached = True
        if saved and saved.keys() != {str(number) for number in wanted}:
            raise ArgumentError(
                f"the optimizers must be those of the checkpoint, {', '.join(saved)}, received {', '.join(map(str, wanted))}"
            )
        self._swa = averaging(trainer) if any("lr" in schedules for schedules in wanted.values()) else None
        try:
            for number, schedules in wanted.items():
                self._drive(number, schedules, saved.get(str(number)), on_change)
        except BaseException:
            self.detach()
            raise
        self._finetuned = relative and any(isinstance(entry, BackboneFinetuning) for entry in callbacks_of(trainer))
        if self._swa is not None:
            tell_of_averaging(owner, self._swa)

    def updates_of(self, number: int) -> int:
        """Updates so far of one optimizer."""
        driven = self._optimizers[str(number)]
        return max((attachment.updates for attachment in driven.attachments), default=int(driven.start["updates"]))

    def _drive(self, number: int, schedules: Mapping[str, Read], saved: State | None, on_change: OnChange) -> None:
        optimizer = self._trainer.optimizers[number]
        start = 0
        if saved is not None:
            start = saved["updates"]
            before = saved["schedules"]
            require_same_names(before, schedules, on_change)
            texts = {**before, "lr": given_text(saved, before.get("lr"))}
            schedules = {
                key: all_resumed(key, texts[key], schedule, start, on_change) if key in before else schedule
                for key, schedule in schedules.items()
            }
        # Before the hooks of the attachments, which it pauses.
        self._hooks.append(stepping(optimizer).register_step_pre_hook(self._pause_beside_others))
        lr, others = schedules.get("lr"), {key: schedule for key, schedule in schedules.items() if key != "lr"}
        texts = {key: texts_of(schedule) for key, schedule in schedules.items()}
        driven = DrivenOptimizer(optimizer, schedules, {**(saved or {}), "updates": start, "schedules": texts})
        self._optimizers[str(number)] = driven
        if lr is not None and self._averages():
            driven.handed_over = True
        elif lr is not None:
            driven.lr = attach(optimizer, lr, relative=self._relative, start=start, **self._control)
        if others:
            driven.others = attach(optimizer, start=start, **others)  # type: ignore[arg-type]
        if saved is not None:
            driven.load(saved)

    @property
    def steered(self) -> Attachment:
        """What drives the LR of the one optimizer whose LR is driven.

        Raises:
            ArgumentError: if there is not one.
        """
        attachments = [driven.lr for driven in self._optimizers.values() if driven.lr is not None]
        require_one(self._owner, len(attachments))
        return attachments[0]

    @property
    def observing(self) -> Observing | None:
        """What observes the run, while something reacts to it."""
        driven = [entry for entry in self._optimizers.values() if entry.lr is not None and not entry.handed_over]
        if not self.is_attached or len(driven) != 1:
            return None
        lr = driven[0].lr
        if self._observing is None and lr is not None and lr.is_steered:
            self._observing = Observing(self._trainer, lr)
        return self._observing

    def _pause_beside_others(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        others_train = not any(entry is self._owner for entry in self._trainer.callbacks)  # type: ignore[attr-defined]
        if others_train and not self._paused:
            attachments = [entry for driven in self._optimizers.values() for entry in driven.attachments]
            self._paused = [attachment.paused() for attachment in attachments]
            for pause in self._paused:
                pause.__enter__()
        elif self._paused and not others_train:
            paused, self._paused = self._paused, []
            for pause in paused:
                pause.__exit__(None, None, None)

    def state(self) -> dict[str, State]:
        """The states of the optimizers, by their numbers as text."""
        return {number: driven.state() for number, driven in self._optimizers.items()}

    def load(self, saved: Mapping[str, State]) -> None:
        """Go to the counts of a checkpoint of this very run, which LearningRateFinder loads in mid-run."""
        for number, state in saved.items():
            if number in self._optimizers:
                self._optimizers[number].load(state)

    def _averages(self) -> bool:
        return self._swa is not None and self._trainer.current_epoch >= self._swa.swa_start

    def begin_epoch(self) -> None:
        """Hand the LR over to stochastic weight averaging where that begins."""
        if self._averages():
            for driven in self._optimizers.values():
                driven.hand_over()

    def begin_batch(self) -> None:
        """Keep the ratios of groups that were added since the last batch."""
        if self._relative:
            begins = self._trainer.current_epoch != self._epoch
            self._epoch = self._trainer.current_epoch
            for driven in self._optimizers.values():
                driven.keep_ratios(all_groups=begins and self._finetuned)

    def detach(self) -> None:
        """Stop driving; the counts stay readable."""
        self.is_attached = False
        for hook in self._hooks:
            hook.remove()
        for driven in self._optimizers.values():
            driven.detach()
