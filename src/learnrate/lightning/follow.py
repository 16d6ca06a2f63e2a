"""A callback whose schedules drive the optimizers of a module that is not changed."""

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError, OtherScheduleWarning
from learnrate.lightning.driven import Driven, require_one
from learnrate.lightning.drives import Drives
from learnrate.lightning.horizon import all_resolved
from learnrate.lightning.observing import scaler_of
from learnrate.lightning.owners import require_undriven, tell_of_callbacks
from learnrate.schedules.given import Given, Read, as_schedules, texts_of
from learnrate.schedules.resume import OnChange, check_on_change
from learnrate.torch.control import ControlOptions, asks_for_control, check_options
from learnrate.user_code import warn

ForOptimizers = Given | Mapping[int | str, Given]
"""Given of all optimizers, or of each by its number or name (the class, as "Adam"; "Adam-1" for a second one)."""


class Follow(Drives):
    """Let the optimizers of a module follow schedules, update by update, without a change to the module.

    `configure_optimizers` returns the optimizer alone. Lengths in percent and epochs are resolved by the trainer's own
    counts. Exactly the real updates are counted: accumulated micro-batches, updates that a gradient scaler skips, and those
    of LearningRateFinder are not. The counts and the texts of the schedules are in Lightning's checkpoints, so that a run
    goes on exactly where it was, also in mid-epoch.

    Args:
        schedule: The schedule of the LR, or its text: one for all parameter groups, or a sequence with one for each. For
            several optimizers (manual optimisation) also a mapping from their numbers or names ("Adam", "Adam-1"); those
            that it does not name keep their LR.
        relative: Keep the ratios between the groups' LRs: the schedule gives the LR of the group whose LR is largest at the
            start. A group that is added in mid-run keeps the ratio that its LR has to that of the first group then.
        on_change: What a run does that is resumed under another schedule, or for another length, of which lengths in percent
            depend: "error" refuses; "keep" goes on with the schedule of the checkpoint; "rebase" stretches what remains of
            it to the new length; "new" takes the given schedule at the same count. All but "error" warn.
        updates: Length of the run in updates, from which lengths in percent are resolved, in place of the trainer's.
        momentum: Schedule of the momentum, in the same forms: of the first of `betas` in groups without "momentum".
        weight_decay: Schedule of the weight decay.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names, for the one optimizer whose
            LR is driven. Losses are those that are back-propagated; in manual optimisation call `observe(loss)` of the
            callback. Scores are `trainer.callback_metrics` after each validation. What it has done is in the checkpoints.
        record: File of the record of the run; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.
        **others: Given of other hyper-parameters, by their names in the groups.

    Attributes:
        updates: Number of updates so far, by the number of the optimizer.
        control: The control of the run; see `learnrate.control`.

    Raises:
        ArgumentError: if no schedule is given, or an argument breaks its rule; when the training begins, if a length depends
            on the run and the run has no end, an optimizer or a hyper-parameter does not exist, or the schedule is not that
            of the checkpoint and `on_change` is "error".
        ArgumentTypeError: if an argument is of the wrong kind.
        AlreadyDrivenError: when the training begins, if `configure_optimizers` returned a scheduler too, or two callbacks
            would drive.

    Warns:
        OverruledWarning: if another callback sets the LR, or takes it over: StochasticWeightAveraging, LearningRateFinder,
            BackboneFinetuning; or something else changed it, and it is set back.
        OtherScheduleWarning: if a resumed run goes on with another schedule, or the checkpoint has no state of Follow.
        PastEndWarning: once, when a finite schedule is driven past its end; its last value is kept.
        LostRatiosWarning: once, if groups with different LRs get the same schedule.

    Example:
        >>> import lightning, learnrate as lr
        >>> schedule = lr.warmup(0.1, "5%") >> lr.cosine(0.1, 0)
        >>> trainer = lightning.Trainer(
        ...     max_epochs=3, callbacks=[lr.lightning.Follow(schedule)], logger=False, enable_checkpointing=False
        ... )
    """

    def __init__(
        self,
        schedule: ForOptimizers | None = None,
        *,
        relative: bool = False,
        on_change: OnChange = "error",
        updates: int | None = None,
        momentum: ForOptimizers | None = None,
        weight_decay: ForOptimizers | None = None,
        control: Any = None,
        record: str | os.PathLike[str] | None = None,
        page: Any = False,
        **others: ForOptimizers,
    ) -> None:
        super().__init__()
        checks.flag("relative", relative)
        self._relative, self._on_change = relative, check_on_change(on_change)
        self._length = None if updates is None else checks.length("updates", updates)
        given = {"lr": schedule, "momentum": momentum, "weight_decay": weight_decay, **others}
        self._given = {key: _checked(key, value) for key, value in given.items() if value is not None}
        if not self._given:
            raise ArgumentError("Follow must be given a schedule for the LR or another hyper-parameter, received none")
        self._control_options = check_options({"control": control, "record": record, "page": page})

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse what cannot be driven, before anything is trained."""
        wanted = self._of_optimizers(trainer.optimizers)
        if asks_for_control(self._control_options):
            require_one(self, sum("lr" in schedules for schedules in wanted.values()))
        require_undriven(self, trainer, [trainer.optimizers[i] for i, schedules in wanted.items() if "lr" in schedules])

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """See `Drives.begin`."""
        if not self._loaded and trainer.global_step > 0:
            self._loaded = self._without_state(trainer)
        wanted = {
            number: {
                key: all_resolved(f"the schedule of {key}", schedules, trainer, self._length)
                for key, schedules in of_one.items()
            }
            for number, of_one in self._of_optimizers(trainer.optimizers).items()
        }
        if "lr" in self._given:
            tell_of_callbacks(self, trainer, relative=self._relative)
        control: ControlOptions = {**self._control_options, "model": module, "scaler": scaler_of(trainer)}
        self._driven = Driven(
            *(self, trainer, wanted),
            relative=self._relative,
            saved=self._loaded,
            on_change=self._on_change,
            control=control if asks_for_control(self._control_options) else None,
        )

    def _without_state(self, trainer: Trainer) -> dict[str, Any]:
        """Where to begin in a run that was under way without this callback."""
        if len(trainer.optimizers) > 1:
            warn(
                f"the run is at step {trainer.global_step} of several optimizers and has no state of Follow: the schedules "
                "begin at their update 0",
                OtherScheduleWarning,
            )
            return {}
        warn(
            f"the run is at step {trainer.global_step} and has no state of Follow: the schedule goes on at that update",
            OtherScheduleWarning,
        )
        texts = {
            key: texts_of(all_resolved(f"the schedule of {key}", schedules, trainer, self._length))
            for key, schedules in self._of_optimizers(trainer.optimizers)[0].items()
        }
        return {"0": {"updates": trainer.global_step, "schedules": texts}}

    def _of_optimizers(self, optimizers: list[Optimizer]) -> dict[int, dict[str, Read]]:
        """The schedules of each optimizer, by its number."""
        wanted: dict[int, dict[str, Read]] = {}
        for key, value in self._given.items():
            for number, schedules in _by_number(key, value, optimizers).items():
                wanted.setdefault(number, {})[key] = schedules
        return dict(sorted(wanted.items()))


def _checked(key: str, value: Any) -> Any:
    name = "schedule" if key == "lr" else key
    if not isinstance(value, Mapping):
        return as_schedules(name, value)
    for optimizer in value:
        if isinstance(optimizer, bool) or not isinstance(optimizer, (int, str)):
            checks.refuse_type(f"a key of {name}", "the number or the name of an optimizer", optimizer)
    if not value:
        checks.refuse(name, "a schedule for at least one optimizer", value)
    return {optimizer: as_schedules(f"{name}[{optimizer!r}]", entry) for optimizer, entry in value.items()}


def names_of(optimizers: list[Optimizer]) -> list[str]:
    """The names of optimizers, as LearningRateMonitor has them: classes, and a number from the second of a kind on."""
    counts: Counter[str] = Counter()
    names = []
    for optimizer in optimizers:
        kind = type(optimizer).__name__
        names.append(f"{kind}-{counts[kind]}" if counts[kind] else kind)
        counts[kind] += 1
    return names


def _by_number(key: str, value: Any, optimizers: list[Optimizer]) -> dict[int, Read]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(range(len(optimizers)), value)
    names = names_of(optimizers)
    chosen: dict[int, Read] = {}
    for optimizer, schedules in value.items():
        number = names.index(optimizer) if optimizer in names else optimizer
        if not isinstance(number, int) or not 0 <= number < len(optimizers):
            rule = f"numbers or names of the optimizers {', '.join(f'{i} ({name})' for i, name in enumerate(names))}"
            checks.refuse(f"the keys of {'schedule' if key == 'lr' else key}", rule, optimizer)
        if number in chosen:
            raise ArgumentError(f"every optimizer must be given once, {optimizer!r} is optimizer {number}, given twice")
        chosen[number] = schedules
    return chosen
