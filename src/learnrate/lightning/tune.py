"""A callback that chooses LR and schedule when the training begins, and then follows them."""

from functools import partial
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError, OtherScheduleWarning
from learnrate.interrupts import within
from learnrate.lightning.driven import Driven
from learnrate.lightning.drives import Drives
from learnrate.lightning.horizon import run_length
from learnrate.lightning.owners import remove_schedulers, schedulers_of
from learnrate.lightning.training import InPlace, in_place, quiet
from learnrate.schedules import parse
from learnrate.schedules.resume import rebased
from learnrate.torch.driving import replaced
from learnrate.torch.training import Evaluate, HeldOut
from learnrate.torch.tune import tune
from learnrate.tuner import HIGH, LOW, Families, Plan, Progress
from learnrate.tuner.in_place import Report, Setting, check_arguments, tune_in_place
from learnrate.user_code import warn


class Tune(Drives):
    """Choose LR and schedule when the training begins, by trials on the trainer's own model, optimizer, data and steps.

    It prints LR, interval, cost and reasons, sets LR and schedule, and then does what `Follow` does. The run is as it would
    have been under `Follow(plan.schedule)`: weights, optimizer, buffers, order of the data, random numbers, logs and counts
    are given back. A scheduler that `configure_optimizers` returned is removed and named. A run that is resumed goes on with
    the schedule in its checkpoint, and is not tuned again.

    If there is no answer, the run goes on with what the user had set, and the report says why.

    Args:
        budget: The maximum cost: a share of the run or a text such as "10%", "500 updates" or "90 seconds"; None for the
            usual one of `learnrate.tune`.
        family: The kind of schedule; see `learnrate.tune`.
        require: Whether no answer is an error.
        report: Receives the text, in the first process only; by default it is printed.
        evaluate: How good the model is, higher is better; see `learnrate.tune`. By default the training loss decides.
        seed: Seeds the random numbers of the trials.
        low: The lowest LR to try.
        high: The highest LR to try.
        on_change: What a run does that is resumed for another length: "error" refuses; "keep" goes on with the schedule of
            the checkpoint; "rebase" stretches what remains of it to the new length. The latter two warn.
        progress: Called after every update with (name of the stage, updates so far, updates planned).

    Attributes:
        plan: The plan; None before the training has begun, without an answer, and in a run that was resumed.
        updates: Number of updates so far, by the number of the optimizer.

    Raises:
        ArgumentError: if an argument breaks its rule; when the training begins, if the run has no end, or the trainer makes
            its updates in a way that cannot be repeated (manual optimisation, several optimizers, a sharded model).
        ArgumentTypeError: if an argument is of the wrong kind.
        NoAnswerError: if there is no answer and `require` is true.

    Warns:
        OtherScheduleWarning: if a resumed run has another length.

    Example:
        >>> import lightning, learnrate as lr
        >>> tuner = lr.lightning.Tune(budget="10%")
        >>> trainer = lightning.Trainer(max_epochs=3, callbacks=[tuner], logger=False, enable_checkpointing=False)
    """

    def __init__(
        self,
        budget: float | str | None = None,
        family: Families | None = None,
        *,
        require: bool = False,
        report: Report | None = None,
        evaluate: Evaluate | HeldOut | None = None,
        seed: int = 0,
        low: float = LOW,
        high: float = HIGH,
        on_change: Literal["error", "keep", "rebase"] = "error",
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        checks.flag("require", require)
        checks.function_or_none("report", report, "a text")
        self._on_change = checks.one_of("error", "keep", "rebase")("on_change", on_change)
        self._require, self._report = require, print if report is None else report
        self._options: dict[str, Any] = {"budget": budget, "family": family, "evaluate": evaluate, "seed": seed}
        self._options |= {"low": low, "high": high, "progress": progress}
        check_arguments(budget, family, low, high, progress)
        self._run: dict[str, Any] = {}
        self.plan: Plan | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See `Drives.setup`."""
        if stage == "fit":
            super().setup(trainer, pl_module, stage)
            self.plan = None
            self._run = self._run if self._loaded else {}

    def begin(self, trainer: Trainer, module: LightningModule) -> None:
        """See `Drives.begin`."""
        if self._run:
            self._go_on(trainer)
        elif trainer.global_step > 0:
            self._say(
                trainer,
                f"learnrate: the run is at step {trainer.global_step}, and its checkpoint has no plan: it is not tuned, and "
                f"goes on with {self._setting(trainer)}",
            )
        elif trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._say(
                trainer,
                f"learnrate: fast_dev_run makes a few updates only and goes on with {self._setting(trainer)}: not tuned",
            )
        else:
            self._tune(trainer, module)

    def _tune(self, trainer: Trainer, module: LightningModule) -> None:
        training = in_place("Tune", trainer, module)
        updates = run_length(trainer)
        if updates is None:
            raise ArgumentError(
                "Tune must know the length of the run, the trainer has none: give it max_steps= or max_epochs="
            )
        lrs = _lrs_of(trainer, training.optimizer)
        before = self._setting(trainer)
        if training.uncalled:
            called = ", ".join(training.uncalled)
            self._say(trainer, f"learnrate: trials do not call {called} of {type(module).__name__}")
        report: Report = partial(self._say, trainer)
        make = partial(self._plan, trainer, module, training, updates)
        self.plan = tune_in_place(make, before, require=self._require, report=report)
        self._run = {"updates": updates, "schedule": "" if self.plan is None else repr(self.plan.schedule)}
        if self.plan is not None:
            remove_schedulers(trainer, [training.optimizer])
            self._run["relative"] = len(set(lrs)) > 1
            self._drive(trainer)

    def _plan(self, trainer: Trainer, module: LightningModule, training: InPlace, updates: int) -> Plan:
        def work(_: None) -> Plan:
            return tune(
                *(training.model, training.optimizer, training.batches, training.loss),
                updates=updates,
                together=False,
                also_keep=training.loaders,
                **self._options,
                **training.options,
            )

        return within(quiet(trainer, module), work)

    def _go_on(self, trainer: Trainer) -> None:
        """Follow the schedule of the checkpoint."""
        updates, text = run_length(trainer), self._run["schedule"]
        if not text:
            return
        before = self._run["updates"]
        if updates != before:
            change = f"the run has {updates} updates, it was tuned for {before}"
            if self._on_change == "error":
                raise ArgumentError(
                    f"the length of the run must be the one of the checkpoint: {change}. on_change='keep' goes on with its "
                    "schedule, 'rebase' stretches what remains of it to the new length"
                )
            warn(f"{change}. on_change={self._on_change!r}", OtherScheduleWarning)
            if self._on_change == "rebase":
                self._rebase(trainer, updates)
        remove_schedulers(trainer, trainer.optimizers)
        self._drive(trainer)

    def _rebase(self, trainer: Trainer, updates: int | None) -> None:
        if updates is None:
            raise ArgumentError("on_change='rebase' must have a run with an end: give the Trainer max_steps=, or 'keep'")
        count = self._loaded["0"]["updates"]
        schedule = rebased(parse(self._run["schedule"]), count, updates)
        self._run |= {"updates": updates, "schedule": repr(schedule)}
        loaded = self._loaded["0"]
        loaded["schedules"] = {"lr": repr(schedule)}
        if "control" in loaded:
            loaded["control"] = {**loaded["control"], "given": [repr(schedule)], "original": [repr(schedule)]}

    def _drive(self, trainer: Trainer) -> None:
        schedule = parse(self._run["schedule"]) if self.plan is None else self.plan.schedule
        self._driven = Driven(
            self,
            trainer,
            {0: {"lr": schedule}},
            relative=self._run.get("relative", False),
            saved=self._loaded,
            on_change="keep",
        )

    def state_dict(self) -> dict[str, Any]:
        """See `Drives.state_dict`; with the length that the run was tuned for."""
        return {**super().state_dict(), "tuned": dict(self._run)} if self._run else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `Drives.load_state_dict`.

        Raises:
            ArgumentError: if it is no state of this callback.
        """
        run = state_dict.get("tuned")
        if not isinstance(run, dict) or not {"updates", "schedule"} <= run.keys():
            checks.refuse("the state of Tune in the checkpoint", "a mapping with the key 'tuned'", state_dict)
        self._run = dict(run)
        if run["schedule"]:
            super().load_state_dict(state_dict)

    def _setting(self, trainer: Trainer) -> Setting:
        """What the user has set."""
        optimizers = trainer.optimizers
        lrs = [lr for optimizer in optimizers for lr in _lrs_of(trainer, optimizer)]
        schedulers = [replaced(entry, entry.optimizer) for entry in schedulers_of(trainer, optimizers)]
        return Setting(max(lrs, default=None), ", ".join(schedulers))

    def _say(self, trainer: Trainer, text: str) -> None:
        if trainer.is_global_zero:
            self._report(text)


def _lrs_of(trainer: Trainer, optimizer: Optimizer) -> list[float]:
    """The LRs that the user has set, one for each group: in the first update of a scheduler they may be 0."""
    scheduled = bool(schedulers_of(trainer, [optimizer]))
    lrs = [float(group.get("initial_lr", group["lr"]) if scheduled else group["lr"]) for group in optimizer.param_groups]
    return [lr * float(group.get("lr_scale", 1.0)) for lr, group in zip(lrs, optimizer.param_groups, strict=True)]
