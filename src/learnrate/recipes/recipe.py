"""What a recipe is: the interface of any framework's, and the one of no framework."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from learnrate import checks
from learnrate.origin import mark
from learnrate.schedules import Schedule
from learnrate.trainable import Trainable, require_trainable
from learnrate.trainer_runs import Ended, TrainerCheckpoints, TrainerRun, TrainingListener
from learnrate.tuner import Families, Plan
from learnrate.user_code import call_user


@runtime_checkable
class AnyRecipe(Protocol):
    """How to build and train a model: everything except the learning rate.

    `learnrate.torch.Recipe` is one, as are those of the other frameworks, and `learnrate.Recipe`.

    Attributes:
        name: Its name; empty for the name of its file.
        updates: Length of a training run.
    """

    name: str
    updates: int

    def trainable(self, seed: int, *, test: bool = False) -> Trainable:
        """A new training; everything random in it follows from the seed.

        Args:
            seed: From 0 to 2 ** 32 - 1.
            test: Whether its evaluation measures a finished training instead of deciding between trials.
        """


@runtime_checkable
class TrainerRecipe(Protocol):
    """A recipe that is trained by a trainer of its own, by the trainer's loop; its `trainable` says so in an error.

    `learnrate.lightning.Recipe` and `learnrate.transformers.Recipe` are such recipes.
    """

    name: str
    updates: int

    def fit(
        self,
        schedule: Schedule,
        run: TrainerRun,
        listener: TrainingListener,
        control: Any = None,
        checkpoints: TrainerCheckpoints | None = None,
    ) -> Ended:
        """Make one training.

        Args:
            schedule: LR of each update. Its lengths may be in epochs or shares of the training.
            run: The seed, from which everything random follows, the number of updates, and a folder that is removed.
            listener: What is told about the training.
            control: A controller, several, or a mapping from names; None for none.
            checkpoints: Which checkpoint it goes on from, and when the next one is due; None for none.
        """

    def choose(self, family: Families, run: TrainerRun, budget: float | str | None = None) -> Plan:
        """Choose the LR of such trainings.

        Args:
            family: The kind of schedule; see `learnrate.tune`.
            run: Seed, number of updates, and a folder.
            budget: The maximum cost; see `learnrate.tune`.

        Raises:
            NoAnswerError: if there is no answer.
        """


@dataclass(frozen=True, init=False)
class Recipe:
    """A recipe of no framework: a function that creates a `learnrate.Trainable`.

    Attributes:
        create: The argument `trainable`.
        updates: Length of a training run.
        name: Name of the recipe; by default the name of its file.

    Args:
        trainable: Called with a seed, from 0 to 2 ** 32 - 1, for each training; everything random in it must follow from the
            seed. If it has a parameter `test`, it is also called with test=True or test=False: whether the evaluation
            measures a finished training, on data that decides nothing, instead of deciding between trials. Otherwise both
            are evaluated alike.
        updates: Length of a training run in updates.
        name: Name of the recipe; by default the name of its file.

    Raises:
        ArgumentError: if `updates` is below 1.
        ArgumentTypeError: if an argument is of the wrong type, or `trainable` is a `Trainable` instead of a function.

    Example:
        >>> import learnrate as lr
        >>> class Quadratic(lr.Trainable):
        ...     def __init__(self, seed):
        ...         self.weight = 1.0 + seed
        ...     def update(self, lr):
        ...         loss = self.weight**2
        ...         self.weight -= lr * 2 * self.weight
        ...         return loss
        ...     def save(self):
        ...         return self.weight
        ...     def restore(self, state):
        ...         self.weight = state
        >>> recipe = lr.Recipe(trainable=Quadratic, updates=100, name="quadratic")
        >>> lr.tune(recipe.trainable(seed=0), updates=recipe.updates).updates
        100
    """

    create: Callable[..., Trainable]
    updates: int
    name: str

    def __init__(self, trainable: Callable[..., Trainable], updates: int = 1000, name: str = "") -> None:
        if not callable(trainable):
            remedy = "write lambda seed: ..., so that each training gets a new one"
            checks.refuse_type(
                "Recipe.trainable", "a function of a seed that returns a learnrate.Trainable", trainable, remedy
            )
        object.__setattr__(self, "create", trainable)
        object.__setattr__(self, "updates", checks.length("Recipe.updates", updates))
        object.__setattr__(self, "name", checks.text("Recipe.name", name))

    def trainable(self, seed: int, *, test: bool = False) -> Trainable:
        """A new training; everything random in it follows from the seed.

        Args:
            seed: From 0 to 2 ** 32 - 1.
            test: Whether its evaluation measures a finished training; see the argument `trainable` of the class.

        Raises:
            RecipeError: if the function fails.
            ArgumentTypeError: if it returns something else than a `Trainable`.
        """
        seed = checks.numpy_seed("seed", seed)
        checks.flag("test", test)
        options = {"test": test} if _takes_test(self.create) else {}
        trainable = call_user(lambda: self.create(seed, **options), "Recipe.trainable failed")
        require_trainable("what Recipe.trainable returns", trainable)
        mark(trainable, self, seed, test)
        return trainable


def _takes_test(function: Callable[..., object]) -> bool:
    """Whether a function has a parameter `test` that is not the one that receives the seed."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a built-in function
        return False
    return "test" in parameters and next(iter(parameters)) != "test"
