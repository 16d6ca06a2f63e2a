"""A recipe that is trained by a Trainer of Transformers: with its loss, callbacks, precision and accumulation."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NoReturn

from transformers import Trainer, set_seed

from learnrate import checks
from learnrate.checks import check_fields, checked, frozen
from learnrate.control.report import summary
from learnrate.errors import ArgumentError, GaveUpError
from learnrate.schedules import Schedule
from learnrate.torch.training import fingerprint
from learnrate.trainer_runs import Ended, Mode, TrainerCheckpoints, TrainerRun, TrainingListener, check_monitor, require_same
from learnrate.transformers.follow import Follow
from learnrate.transformers.in_place import tune
from learnrate.transformers.listening import Listening
from learnrate.transformers.resuming import Resuming
from learnrate.tuner import Families, Plan
from learnrate.user_code import call_user


def _function(name: str, value: object) -> Any:
    if not callable(value) or isinstance(value, (Trainer, type)):
        remedy = "write a function that creates it, so that each training gets a new one"
        checks.refuse_type(f"Recipe.{name}", "a function", value, remedy)
    return value


@frozen
class Recipe:
    """How a Trainer trains a model: everything except the learning rate; for `learnrate.compare`.

    Each training is made by `trainer.train()` with callbacks, loss, precision, clipping, accumulation and evaluations of the
    trainer. The optimizer follows the schedule by `learnrate.transformers.Follow`. A training is evaluated where the trainer
    evaluates, and once more after its last update if it has not done so there.

    After the end of its process, a training of a study goes on from a checkpoint of the trainer, which is written every
    `checkpoint_every` seconds (see `learnrate.compare`), apart from those that the trainer writes for you. The trainer
    restores the random numbers of this process and finds the next batch; what the data set itself draws at random may be
    other numbers. Callbacks that count something must be an `ExportableState`, as EarlyStoppingCallback is.

    Args:
        trainer: From a run, with its `seed`, `updates` and `folder`, to a new trainer with a new model. All random numbers
            are seeded before it is called. Its `TrainingArguments` have `output_dir=run.folder`, `seed=run.seed` and
            `max_steps=run.updates`. What it writes into this folder is removed.
        monitor: The metric of evaluations that decides, such as "eval_loss"; None for the training loss.
        mode: Whether a lower ("min") or higher ("max") value of it is better. With "min" it is negated in the results.
        updates: Length of a training run.
        name: Name of the recipe; by default the name of its file.

    Raises:
        ArgumentError: if an argument breaks its rule, or only one of `monitor` and `mode` is given.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> import learnrate as lr
        >>> from transformers import Trainer, TrainingArguments
        >>> def trainer(run):
        ...     args = TrainingArguments(run.folder, seed=run.seed, max_steps=run.updates)
        ...     return Trainer(new_model(), args, train_dataset=training_data, eval_dataset=validation_data)
        >>> recipe = lr.transformers.Recipe(trainer, monitor="eval_loss", mode="min", updates=500)
        >>> recipe.updates
        500
    """

    trainer: Callable[[TrainerRun], Trainer] = checked(_function)
    monitor: str | None = None
    mode: Mode | None = None
    updates: int = checked(checks.length, default=1000)
    name: str = checked(checks.text, default="")

    def __post_init__(self) -> None:
        check_fields(self)
        check_monitor(self.monitor, self.mode)

    def fit(
        self,
        schedule: Schedule,
        run: TrainerRun,
        listener: TrainingListener,
        control: Any = None,
        checkpoints: TrainerCheckpoints | None = None,
    ) -> Ended:
        """Make one training; see `learnrate.recipes.recipe.TrainerRecipe`.

        Args:
            schedule: LR of each update.
            run: Seed, length and folder.
            listener: What is told about it.
            control: Controllers.
            checkpoints: Those of the training, if it may go on in a new process.

        Raises:
            RecipeError: if the recipe's function fails.
            ArgumentError: if the trainer would train otherwise than it has to, or `monitor` is not among its metrics.
        """
        trainer = self._new(run)
        follow = Follow(schedule, control=control, report=_silent)
        listening = Listening(trainer, listener, follow, self.monitor, self.mode)
        trainer.add_callback(follow)
        trainer.add_callback(listening)
        resuming = None if checkpoints is None else Resuming(trainer, checkpoints, follow)
        if resuming is not None:
            trainer.add_callback(resuming)
        notes: tuple[str, ...] = ()
        with listening.listening(), nullcontext() if resuming is None else resuming.resuming():
            try:
                trainer.train(resume_from_checkpoint=None if checkpoints is None else checkpoints.last)
            except GaveUpError as error:
                notes = (checks.short(str(error)),)
            if self.monitor is not None and listening.evaluated_at != listening.updates:
                trainer.evaluate()
        text = listening.schedule
        if control is not None:
            text, notes = repr(follow.control.schedules[0]), (*summary(follow.control), *notes)
        return Ended(text, fingerprint(trainer.model), notes)

    def choose(self, family: Families, run: TrainerRun, budget: float | str | None = None) -> Plan:
        """Choose the LR of a training; see `learnrate.recipes.recipe.TrainerRecipe`.

        Raises:
            NoAnswerError: if there is no answer.
        """
        return tune(self._new(run), budget=budget, family=family)

    def trainable(self, seed: int, *, test: bool = False) -> NoReturn:
        """Refused: such a recipe is trained by its own trainer.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(
            "recipe must be one that is trained update by update, received a learnrate.transformers.Recipe, which its own "
            "trainer trains: compare trains it; to tune, use learnrate.transformers.tune, or compare(..., tune_each=True)"
        )

    def _new(self, run: TrainerRun) -> Any:
        set_seed(run.seed)
        function = self.trainer
        trainer = call_user(lambda: function(run), "Recipe.trainer(run) failed")
        if not isinstance(trainer, Trainer):
            checks.refuse_type("what Recipe.trainer returns", "a transformers.Trainer", trainer)
        args = trainer.args
        require_same("args.max_steps", args.max_steps, run.updates, "write TrainingArguments(max_steps=run.updates, ...)")
        require_same("args.seed", args.seed, run.seed, "write TrainingArguments(seed=run.seed, ...)")
        require_same("args.world_size", args.world_size, 1, "start it without torchrun")
        folder = os.path.realpath(str(args.output_dir))
        require_same("args.output_dir", folder, os.path.realpath(run.folder), "write TrainingArguments(run.folder, ...)")
        return trainer


def _silent(text: str) -> None:
    """What is set is told by the comparison."""
