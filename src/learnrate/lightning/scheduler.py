"""What configure_optimizers returns: a scheduler that Lightning steps once an update."""

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Unpack

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from learnrate import checks
from learnrate.control.controller import named
from learnrate.errors import AlreadyDrivenError, ArgumentError
from learnrate.lightning.horizon import all_resolved
from learnrate.lightning.observing import scaler_of
from learnrate.schedules import Schedule
from learnrate.schedules.given import Given, Read, as_schedules
from learnrate.schedules.resume import OnChange, all_resumed, check_on_change
from learnrate.torch.control import ControlOptions
from learnrate.torch.driving import STEP_MARK
from learnrate.torch.driving import Scheduler as TorchScheduler
from learnrate.torch.driving.state import given_text
from learnrate.torch.inputs import stepping


def configure(
    optimizer: Optimizer,
    schedule: Given,
    *,
    module: LightningModule | None = None,
    trainer: Trainer | None = None,
    updates: int | None = None,
    relative: bool = False,
    on_change: OnChange = "error",
    control: Any = None,
    record: str | os.PathLike[str] | None = None,
    page: Any = False,
) -> dict[str, Any]:
    """What `configure_optimizers` returns: the optimizer, and a scheduler that is stepped once an update.

    The plain form `[optimizer], [scheduler]` would step it once an epoch, because Lightning's default is interval="epoch".

    Args:
        optimizer: The optimizer.
        schedule: The schedule of its LR: one for all parameter groups, or a sequence with one for each; or their texts.
        module: The module, `self`: its trainer resolves lengths in percent and epochs.
        trainer: The trainer, in place of the module.
        updates: Length of the run in updates, in place of the trainer's.
        relative: Keep the ratios between the groups' LRs; see `learnrate.torch.Scheduler`.
        on_change: What a run does that is resumed under another schedule or for another length: "error", "keep", "rebase" or
            "new"; see `Follow`.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names. Give it the losses in
            `training_step`: `self.lr_schedulers().observe(loss)`; and look at `self.lr_schedulers().stopped`. `Follow` does
            both itself.
        record: File of the record of the run; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.

    Returns:
        `{"optimizer": ..., "lr_scheduler": {"scheduler": ..., "interval": "step", "frequency": 1}}`.

    Raises:
        ArgumentError: if a length depends on the run and the run is not known, or an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong kind.
        AlreadyDrivenError: if something else drives the optimizer's LR.

    Example:
        >>> import torch, learnrate as lr
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> configured = lr.lightning.configure(optimizer, lr.warmup(0.1, "10%") >> lr.cosine(0.1, 0), updates=100)
        >>> configured["lr_scheduler"]["interval"], configured["lr_scheduler"]["scheduler"].schedule
        ('step', warmup(max_lr=0.1, length=10) >> cosine(start=0.1, end=0.0, length=90))
    """
    if module is not None and not isinstance(module, LightningModule):
        checks.refuse_type("module", "a LightningModule", module, "give self")
    if trainer is not None and not isinstance(trainer, Trainer):
        checks.refuse_type("trainer", "a Trainer", trainer)
    if updates is not None:
        checks.length("updates", updates)
    if trainer is None and module is not None:
        trainer = _trainer_of(module)
    resolved = all_resolved("schedule", as_schedules("schedule", schedule), trainer, updates)
    if module is None and any(getattr(controller, "needs_snapshots", False) for controller in named(control).values()):
        raise ArgumentError(
            "module must be given where a controller may put snapshots back, received None: configure(..., module=self)"
        )
    options: ControlOptions = {
        "control": control,
        "model": None if control is None else module,
        "scaler": None if trainer is None else scaler_of(trainer),
        "record": record,
        "page": page,
    }
    scheduler = Scheduler(optimizer, resolved, relative=relative, on_change=on_change, **options)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step", "frequency": 1}}


def _trainer_of(module: LightningModule) -> Trainer | None:
    """The trainer of a module; None if it has none yet, or one of Fabric, which has no counts."""
    trainer = module._trainer  # the public property raises without a trainer
    return trainer if isinstance(trainer, Trainer) else None


class Scheduler(TorchScheduler):
    """A `learnrate.torch.Scheduler` for Lightning, which steps schedulers also after updates that a scaler skipped.

    `step` counts only if the optimizer has really made an update since the last call. A second update without a call shows
    that Lightning steps it once an epoch, and is an error.

    Args:
        optimizer: The optimizer.
        schedule: One for all parameter groups, or a sequence with one for each.
        relative: Keep the ratios between the groups' LRs.
        start: Number of updates so far.
        on_change: What `load_state_dict` does if the state is that of another schedule; see `Follow`.
        **control: See `configure`.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong kind.
        AlreadyDrivenError: if something else drives the LR of this optimizer; while training, if Lightning steps this
            scheduler once an epoch.

    Example:
        >>> import torch, learnrate as lr
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> scheduler = lr.lightning.Scheduler(optimizer, lr.linear(1.0, 0.0, length=4))
        >>> scheduler.step()  # no update was made
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.last_epoch
        1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Read | Sequence[Schedule],
        *,
        relative: bool = False,
        start: int = 0,
        on_change: OnChange = "error",
        **control: Unpack[ControlOptions],
    ) -> None:
        self._on_change = check_on_change(on_change)
        self._pending, self._paused = 0, False
        super().__init__(optimizer, schedule, relative=relative, start=start, **control)
        inner = stepping(optimizer)
        self._handle = inner.register_step_post_hook(_counting(weakref.ref(self)))

    def step(self, epoch: int | None = None) -> None:
        """See `learnrate.torch.Scheduler.step`; nothing happens if no update was made since the last call."""
        pending, self._pending = self._pending, 0
        if epoch is not None or pending:
            super().step(epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `learnrate.torch.Scheduler.load_state_dict`; `on_change` decides if the state is that of another schedule."""
        self._pending = 0
        saved, updates = state_dict.get("schedule"), state_dict.get("last_epoch")
        if saved is not None and updates is not None:
            present = list(self.schedule) if isinstance(self.schedule, Sequence) else self.schedule
            chosen = all_resumed("lr", given_text(state_dict, saved), present, updates, self._on_change)
            if chosen != present:
                self.exchange(chosen)
            self.resume(state_dict)
        else:
            super().load_state_dict(state_dict)

    def _steered_step(self, epoch: int | None = None) -> None:
        super()._steered_step(epoch)
        self._pending = 0  # also where the control has left the update out

    def detach(self) -> None:
        """See `learnrate.torch.Scheduler.detach`."""
        self._handle.remove()
        super().detach()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count no updates inside the block, because those of a range test do not belong to the training run."""
        before, self._paused = self._paused, True
        try:
            with super().paused():
                yield
        finally:
            self._paused = before

    def count(self, optimizer: Optimizer) -> None:
        """An update was made, unless a scaler let a fused optimizer skip it.

        Raises:
            AlreadyDrivenError: if `step` was not called after the update before.
        """
        found_inf = getattr(optimizer, "found_inf", None)
        if self._paused or (found_inf is not None and found_inf.item()):
            return
        self._pending += 1
        # With a scheduler of torch on the same optimizer, whose sign is this mark, LearningRateFinder or
        # StochasticWeightAveraging has taken over: then it is right that this one is not stepped.
        if self._pending == 2 and not hasattr(optimizer.step, STEP_MARK):
            raise AlreadyDrivenError(
                "the scheduler must be stepped once an update, the optimizer has made two without it: Lightning's default "
                "is interval='epoch', frequency=1. Return lr.lightning.configure(optimizer, schedule, module=self) from "
                "configure_optimizers, or use the callback lr.lightning.Follow; in manual optimisation call "
                "self.lr_schedulers().step() after every update"
            )


def _counting(scheduler: "weakref.ref[Scheduler]") -> Callable[[Optimizer, Any, Any], None]:
    """A hook that holds the scheduler weakly: the scheduler holds the optimizer, which holds its hooks."""

    def hook(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        present = scheduler()
        if present is not None:
            present.count(optimizer)

    return hook
