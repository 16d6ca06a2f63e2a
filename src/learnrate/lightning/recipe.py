"""A recipe that is trained by a Lightning trainer: with its callbacks, precision, clipping and accumulation."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import _TunerExitException

from learnrate import checks
from learnrate.checks import check_fields, checked, frozen
from learnrate.control.report import summary
from learnrate.errors import ArgumentError, GaveUpError
from learnrate.lightning.checkpoints import Checkpoints, Resuming
from learnrate.lightning.follow import Follow
from learnrate.lightning.listening import Listening
from learnrate.lightning.tune import Tune
from learnrate.schedules import Schedule
from learnrate.torch.training import fingerprint
from learnrate.trainer_runs import Ended, Mode, TrainerCheckpoints, TrainerRun, TrainingListener, check_monitor, require_same
from learnrate.tuner import Families, Plan
from learnrate.user_code import call_user

SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""What Lightning leaves in the environment when it seeds."""


def _function(name: str, value: object) -> Any:
    if not callable(value) or isinstance(value, (Trainer, LightningModule, LightningDataModule)):
        remedy = "write a function that creates it, so that each training gets a new one"
        checks.refuse_type(f"Recipe.{name}", "a function", value, remedy)
    return value


@frozen
class Recipe:
    """How a Lightning trainer trains a module: everything except the learning rate; for `learnrate.compare`.

    Each training is made by `trainer.fit` with callbacks, precision, clipping, accumulation and validations of the trainer.
    The optimizer follows the schedule by `learnrate.lightning.Follow`, so that `configure_optimizers` returns no scheduler.
    A training is evaluated where the trainer validates, and once more after its last update if it has not done so there.
    After the end of its process, a training of a study goes on from the last epoch that ended at least `checkpoint_every`
    seconds after the checkpoint before (see `learnrate.compare`), with the random numbers and the state of samplers and
    generators that it had there. Not among them are the random numbers of persistent workers of a loader, and what a module
    or a callback keeps outside its `state_dict`.

    Args:
        module: Creates a new module. All random numbers are seeded before it is called, and it is called first.
        trainer: From a run, with its `seed`, `updates` and `folder`, to a new trainer:
            `lambda run: Trainer(max_steps=run.updates, default_root_dir=run.folder)`. It makes that number of updates, on
            one device. What it writes into this folder is removed.
        data: Creates the data: a `LightningDataModule`, the training data alone, or a pair of training and validation data.
            None if the module has its own.
        monitor: The metric, logged in validation, that decides; None for the training loss.
        mode: Whether a lower ("min") or higher ("max") value of it is better. With "min" it is negated in the results.
        updates: Length of a training run.
        name: Name of the recipe; by default the name of its file.

    Raises:
        ArgumentError: if an argument breaks its rule, or only one of `monitor` and `mode` is given.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> import lightning, learnrate as lr
        >>> from lightning.pytorch.demos.boring_classes import BoringModel
        >>> recipe = lr.lightning.Recipe(
        ...     module=BoringModel,
        ...     trainer=lambda run: lightning.Trainer(max_steps=run.updates, default_root_dir=run.folder),
        ...     updates=100,
        ... )
        >>> recipe.updates
        100
    """

    module: Callable[[], LightningModule] = checked(_function)
    trainer: Callable[[TrainerRun], Trainer] = checked(_function)
    data: Callable[[], Any] | None = checked(checks.optional(_function), default=None)
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
            RecipeError: if one of the recipe's functions fails.
            ArgumentError: if the trainer would train otherwise than it has to, or `monitor` is not among its metrics.
            KeyboardInterrupt: at Ctrl-C, of which Lightning makes an end of the process.
        """
        with _seeded(run.seed), _interruptible():
            trainer, module, data = self._new(run)
            follow = Follow(schedule, control=control)
            listening = Listening(listener, follow, self.monitor, self.mode)
            trainer.callbacks[:0] = [follow, listening]  # type: ignore[attr-defined]
            if checkpoints is not None:
                resuming = Resuming()
                trainer.callbacks.insert(0, resuming)  # type: ignore[attr-defined]
                trainer.callbacks.append(Checkpoints(checkpoints, resuming, follow))  # type: ignore[attr-defined]
            notes: tuple[str, ...] = ()
            try:
                # The checkpoint is one that this training has written, so that it may hold any object.
                trainer.fit(module, **data, ckpt_path=checkpoints.last if checkpoints else None, weights_only=False)
            except GaveUpError as error:
                notes = (checks.short(str(error)),)
            if self.monitor is not None and listening.evaluated_at != listening.updates:
                self._validate(trainer, module, data)
        text = listening.schedule
        if control is not None:
            text, notes = repr(follow.control.schedules[0]), (*summary(follow.control), *notes)
        return Ended(text, fingerprint(module), notes)

    def choose(self, family: Families, run: TrainerRun, budget: float | str | None = None) -> Plan:
        """Choose the LR of a training; see `learnrate.recipes.recipe.TrainerRecipe`.

        Raises:
            NoAnswerError: if there is no answer.
            ArgumentError: if the trainer makes its updates in a way that cannot be repeated.
        """
        with _seeded(run.seed), _interruptible():
            trainer, module, data = self._new(run)
            tuner = Tune(budget, family, require=True, report=_silent)
            trainer.callbacks = [*trainer.callbacks, tuner, _End()]  # type: ignore[attr-defined]
            trainer.fit(module, **data)
        if tuner.plan is None:
            raise ArgumentError("the trainer of Recipe must begin to train, it made no update: see its limits")
        return tuner.plan

    def trainable(self, seed: int, *, test: bool = False) -> NoReturn:
        """Refused: such a recipe is trained by its own trainer.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(
            "recipe must be one that is trained update by update, received a learnrate.lightning.Recipe, which its own "
            "trainer trains: compare trains it; to tune, use learnrate.lightning.Tune, or compare(..., tune_each=True)"
        )

    def _new(self, run: TrainerRun) -> tuple[Trainer, LightningModule, dict[str, Any]]:
        module = call_user(self.module, "Recipe.module() failed")
        if not isinstance(module, LightningModule):
            checks.refuse_type("what Recipe.module returns", "a LightningModule", module)
        if not module.automatic_optimization:
            raise ArgumentError(
                "the module of Recipe must optimise automatically: in manual optimisation nothing says which loss is that "
                "of an update. Compare it as a learnrate.Trainable of your own"
            )
        data = {} if self.data is None else _as_arguments(call_user(self.data, "Recipe.data() failed"))
        function = self.trainer
        trainer = call_user(lambda: function(run), "Recipe.trainer(run) failed")
        _require_fitting(trainer, run)
        return trainer, module, data

    @staticmethod
    def _validate(trainer: Trainer, module: LightningModule, data: dict[str, Any]) -> None:
        validation = {name: value for name, value in data.items() if name == "datamodule"}
        if "val_dataloaders" in data:
            validation["dataloaders"] = data["val_dataloaders"]
        trainer.validate(module, **validation, verbose=False)


class _End(Callback):
    """Ends a run before its first update."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise _TunerExitException  # the trainer ends quietly, as for its own finder


def _silent(text: str) -> None:
    """A plan is reported by the comparison."""


def _as_arguments(data: Any) -> dict[str, Any]:
    """The arguments of `fit`."""
    if isinstance(data, LightningDataModule):
        return {"datamodule": data}
    if isinstance(data, tuple) and len(data) == 2:
        return {"train_dataloaders": data[0], "val_dataloaders": data[1]}
    return {"train_dataloaders": data}


def _require_fitting(trainer: Any, run: TrainerRun) -> None:
    if not isinstance(trainer, Trainer):
        checks.refuse_type("what Recipe.trainer returns", "a lightning Trainer", trainer)
    require_same("max_steps", trainer.max_steps, run.updates, "write Trainer(max_steps=run.updates, ...)")
    require_same("world_size", trainer.world_size, 1, "write Trainer(devices=1, ...)")
    writes = bool(trainer.loggers) or bool(trainer.checkpoint_callbacks)
    if writes and os.path.realpath(trainer.default_root_dir) != os.path.realpath(run.folder):
        remedy = "write Trainer(default_root_dir=run.folder, ...), or logger=False and enable_checkpointing=False"
        require_same("default_root_dir", trainer.default_root_dir, run.folder, remedy)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """All random numbers from this seed, those of the workers of loaders too. The environment comes back."""
    before = {name: os.environ.get(name) for name in SEEDS}
    try:
        seed_everything(seed, workers=True, verbose=False)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C is Ctrl-C: Lightning ignores further ones after the first, and ends the process."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
