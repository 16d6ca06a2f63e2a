"""A callback that tunes a Trainer's run before it begins, and lets it follow the plan."""

from collections.abc import Mapping
from typing import Any, Literal

from torch.optim import Optimizer
from transformers import TrainerControl, TrainerState, TrainingArguments

from learnrate import checks
from learnrate.errors import ArgumentError, OtherScheduleWarning
from learnrate.schedules import Schedule, constant, parse
from learnrate.schedules.resume import rebased
from learnrate.torch.driving.state import given_text
from learnrate.torch.tune import tune as torch_tune
from learnrate.transformers import checkpoint
from learnrate.transformers.follow import Follow
from learnrate.transformers.in_place import check_options, trainer_that_calls, tune_inside
from learnrate.tuner import HIGH, LOW, Families, Plan
from learnrate.tuner.in_place import Report, check_arguments, tune_in_place
from learnrate.user_code import warn


class Tune(Follow):
    """Chooses a schedule before a run begins: `Trainer(..., callbacks=[learnrate.transformers.Tune(budget="10%")])`.

    It tries LRs on the Trainer's own model, optimizer (parameter groups keep their ratios), loader, collator and
    `compute_loss`, with its accumulation, `max_grad_norm` and mixed precision; reports LR, interval, cost and reasons, and
    what was set before; and then lets the run follow the plan, as `Follow(plan.schedule, relative=True)` does. Weights,
    optimizer, order of the data, random numbers, logs, `global_step` and checkpoints are those of such a run. A run that
    resumes from a checkpoint is not tuned again: it goes on with the schedule of the checkpoint. A `training_step` of a
    subclass is not called while tuning.

    Args:
        budget: The maximum cost: a share of the run, or a text such as "500 updates", "10%" or "90 seconds"; None for the
            usual one of `learnrate.tune`. 40 updates is the smallest.
        family: The kind of schedule; see `learnrate.torch.tune`. The default is 10 % linear warm-up and cosine to 0.
        require: Whether no answer is an error. Otherwise the run goes on as it was set, and the report says why.
        report: Receives the text, `print` by default; in the main process only.
        on_change: What a resumed run does if `max_steps` is another one than in the checkpoint: "error" refuses; "keep" goes
            on with the schedule of the checkpoint; "rebase" stretches what remains of it. The latter two warn.
        **options: What `learnrate.torch.tune` takes beside these: `evaluate`, `low`, `high`, `seed`, `progress`, ...

    Attributes:
        plan: The plan of the last run; None if it was resumed, or there was no answer.

    Raises:
        ArgumentError: if an argument breaks its rule; at the beginning of a run, if the budget is too small for it, or
            `max_steps` is another one than in the checkpoint and `on_change` is "error".
        ArgumentTypeError: if an argument is of the wrong kind.
        NoAnswerError: at the beginning of a run, if there is no answer and `require` is true.

    Example:
        >>> import learnrate as lr
        >>> lr.transformers.Tune(budget="10%")
        Tune(budget='10%', family=None)
    """

    def __init__(
        self,
        budget: float | str | None = None,
        family: Families | None = None,
        *,
        require: bool = False,
        report: Report | None = None,
        on_change: Literal["error", "keep", "rebase"] = "error",
        **options: Any,
    ) -> None:
        checks.flag("require", require)
        check_options(torch_tune, options, ("require", "report", "on_change"))
        check_arguments(budget, family, options.get("low", LOW), options.get("high", HIGH), options.get("progress"))
        checks.one_of("error", "keep", "rebase")("on_change", on_change)
        super().__init__(constant(0.0), relative=True, on_change=on_change, report=report)
        self._budget, self._family, self._require, self._options = budget, family, require, options
        self.plan: Plan | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(budget={self._budget!r}, family={self._family!r})"

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tune, unless the run resumes, and attach the schedule of the plan."""
        self.detach()
        self.plan = None
        optimizer, scheduler = kwargs["optimizer"], kwargs["lr_scheduler"]
        saved = checkpoint.saved(state)
        if saved is not None:
            self._schedules = {"lr": self._of_checkpoint(saved, state.max_steps)}
        elif state.global_step or not self._tuned(args, state, optimizer, scheduler):
            if state.global_step and state.is_world_process_zero:
                self._report(
                    "learnrate: the run resumes from a checkpoint without a plan: it is not tuned, and goes on with "
                    f"{self._setting(args, optimizer, scheduler)}"
                )
            checkpoint.hand_over(state, type(self).__name__, self.state())
            return
        # What was chosen has been reported already.
        self._begin(args, state, optimizer, scheduler, kwargs.get("train_dataloader"), announced=self.plan is None)

    def _tuned(self, args: TrainingArguments, state: TrainerState, optimizer: Optimizer, scheduler: Any) -> bool:
        self._require_only_owner(state, optimizer, scheduler)  # before any time is spent
        trainer = trainer_that_calls(self)
        options = {"budget": self._budget, "family": self._family, **self._options}
        self.plan = tune_in_place(
            lambda: tune_inside(trainer, options),
            self._setting(args, optimizer, scheduler),
            require=self._require,
            report=self._report if state.is_world_process_zero else lambda text: None,
        )
        if self.plan is not None:
            self._schedules = {"lr": self.plan.schedule}
        return self.plan is not None

    def _of_checkpoint(self, saved: Mapping[str, Any], max_steps: int) -> Schedule:
        """The schedule of a checkpoint; in a run of another length the one that `on_change` decides about."""
        text = given_text(saved, checkpoint.entry(saved, "schedules", "lr"))
        if not isinstance(text, str):  # those of Follow, one for each group
            checks.refuse(
                "the schedule in the checkpoint", "one for all groups", text, "resume with the callback of its run"
            )
        schedule = parse(text)
        if checkpoint.entry(saved, "max_steps") == max_steps:
            return schedule
        change = f"the run has {max_steps} updates, its schedule was made for {saved['max_steps']}"
        if self._on_change == "error":
            raise ArgumentError(
                f"the length of the run must be the one of the checkpoint: {change}. on_change='keep' goes on with "
                "the schedule of the checkpoint, 'rebase' stretches what remains of it to the new length"
            )
        if self._on_change == "rebase":
            return rebased(schedule, saved["updates"], max_steps)  # what loads the state warns
        warn(f"{change}. on_change='keep'", OtherScheduleWarning)
        return schedule

    def _arguments(self) -> dict[str, Any]:
        family = self._family if isinstance(self._family, (str, type(None))) else None
        return {"budget": self._budget, "family": family, "require": self._require, "on_change": self._on_change}
