"""A recipe for Keras: everything about a training run except its learning rate."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.keras.data import Data
from learnrate.keras.trainable import Evaluate, Training
from learnrate.origin import mark
from learnrate.user_code import call_user


def _function(name: str, value: object) -> Any:
    """A function that creates something new for each training."""
    if not callable(value) or isinstance(value, keras.Model):
        checks.refuse_type(f"Recipe.{name}", "a function", value, "write lambda: ..., so that each training gets a new one")
    return value


def _text(name: str, value: object) -> str:
    return checks.text(f"Recipe.{name}", value)


@frozen
class Recipe:
    """How to build and train a Keras model: everything except the learning rate.

    Args:
        model: Creates a new compiled model. All random numbers are seeded before it is called.
        data: Creates the training data: (x, y) or (x, y, sample_weight) as arrays, a `PyDataset`, or batches.
        evaluate: How good the model is on validation data, higher is better: a function from the model to a number or to a
            mapping of numbers, of which the first decides; or data, whose mean loss is computed and negated.
        test: The same on data that decides nothing; by default `evaluate`.
        updates: Length of a training run in updates.
        batch_size: Examples of a batch, if the data is arrays; 32 by default.
        class_weight: Weights of the classes, as in `model.fit`.
        metric: Name of what `evaluate` and `test` measure, for the reports.
        name: Name of the recipe; by default the name of its file.

    Raises:
        ArgumentError: if `updates` is below 1.
        ArgumentTypeError: if an argument is of the wrong type.
    """

    model: Callable[[], Any] = checked(_function)
    data: Callable[[], Data] = checked(_function)
    evaluate: Evaluate | Data | None = None
    test: Evaluate | Data | None = None
    updates: int = checked(checks.length, default=1000)
    batch_size: int | None = None
    class_weight: Mapping[int, float] | None = None
    metric: str = checked(_text, default="accuracy")
    name: str = checked(_text, default="")

    def __post_init__(self) -> None:
        checks.check_fields(self)

    def trainable(self, seed: int, *, test: bool = False) -> Training:
        """A new training; everything random in it follows from the seed.

        Args:
            seed: From 0 to 2 ** 32 - 1.
            test: Whether it is evaluated by `test`, which measures a finished training, instead of `evaluate`.

        Raises:
            RecipeError: if one of the recipe's functions fails.
        """
        checks.flag("test", test)
        keras.utils.set_random_seed(checks.numpy_seed("seed", seed))
        model = call_user(self.model, "Recipe.model failed")
        data = call_user(self.data, "Recipe.data failed")
        evaluate = self.test if test and self.test is not None else self.evaluate
        training = Training(
            *(model, data, evaluate), batch_size=self.batch_size, class_weight=self.class_weight, metric=self.metric
        )
        training.start()
        mark(training, self, seed, test)
        return training
