"""A recipe: everything about a training run except its learning rate."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Unpack

from torch import nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.origin import mark
from learnrate.torch.driving import require_undriven
from learnrate.torch.ensemble import ensemble_of
from learnrate.torch.inputs import check_model, check_optimizer, check_pair
from learnrate.torch.training import (
    Batches,
    Evaluate,
    HeldOut,
    Loss,
    TorchTrainable,
    UpdateOptions,
    Updater,
    check_rewindable,
    seed_everything,
)
from learnrate.user_code import call_user


@dataclass(frozen=True, init=False)
class Recipe:
    """How to build and train a model: everything except the learning rate.

    Attributes:
        model: Creates a new model, on its device.
        optimizer: Creates the optimizer of a model, with the LR that it would have without learnrate.
        batches: Creates the source of the training batches: anything that can be iterated again and again. Its randomness
            must follow from the global random numbers, which are seeded before it is called.
        loss: A criterion (outputs, target) -> loss for batches of (inputs, target), or a function (model, batch) -> loss.
        evaluate: How good the model is on validation data, higher is better: a function from the model to a number or to a
            mapping of numbers, of which the first decides; or held-out batches. It decides between trials.
        test: The same on data that decides nothing, for the comparison at the end; by default `evaluate`.
        updates: Length of a training run.
        metric: Name of what `evaluate` and `test` measure, for the reports.
        name: Name of the recipe; by default the name of its file.
        updater: How an update is made: the keyword arguments of `UpdateOptions`, checked. A gradient scaler is copied for
            each training.

    Raises:
        ArgumentError: if `updates` is below 1, `metric` is a word that the results use, or an option of updates breaks its
            rule.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> import torch, learnrate as lr
        >>> x = torch.linspace(-1, 1, 64).unsqueeze(1)
        >>> recipe = lr.torch.Recipe(
        ...     model=lambda: torch.nn.Linear(1, 1),
        ...     optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01),
        ...     batches=lambda: list(zip(x.split(8), (3 * x).split(8))),
        ...     loss=torch.nn.MSELoss(),
        ...     clip_norm=1.0,
        ... )
        >>> plan = lr.tune(recipe.trainable(seed=0), updates=200)
        >>> plan.updates
        200
    """

    model: Callable[[], nn.Module]
    optimizer: Callable[[nn.Module], Optimizer]
    batches: Callable[[], Batches]
    loss: Loss
    evaluate: Evaluate | HeldOut | None
    test: Evaluate | HeldOut | None
    updates: int
    metric: str
    name: str
    updater: Updater

    def __init__(
        self,
        model: Callable[[], nn.Module],
        optimizer: Callable[[nn.Module], Optimizer],
        batches: Callable[[], Batches],
        loss: Loss,
        evaluate: Evaluate | HeldOut | None = None,
        test: Evaluate | HeldOut | None = None,
        updates: int = 1000,
        metric: str = "accuracy",
        name: str = "",
        **update: Unpack[UpdateOptions],
    ) -> None:
        values = {
            "model": _factory("model", model),
            "optimizer": _factory("optimizer", optimizer),
            "batches": _factory("batches", batches),
            "loss": _function("loss", loss),
            "evaluate": _evaluation("evaluate", evaluate),
            "test": _evaluation("test", test),
            "updates": checks.length("Recipe.updates", updates),
            "metric": _text("metric", metric),
            "name": _text("name", name),
            "updater": Updater.of(update, Recipe),
        }
        if metric == "loss":
            checks.refuse("Recipe.metric", "another word than 'loss', because a higher metric is better", metric)
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def build(self, seed: int) -> tuple[nn.Module, Optimizer, Batches]:
        """A new model, its optimizer and its batches, all from this seed.

        Raises:
            RecipeError: if one of the recipe's functions fails.
            ArgumentError: if the model has no trainable parameters, or the optimizer holds none of them.
            ArgumentTypeError: if one of them is of the wrong kind, or the batches are an iterator.
            AlreadyDrivenError: if a scheduler drives the optimizer.
        """
        seed_everything(seed)
        model = call_user(self.model, "Recipe.model failed")
        check_model(model)
        optimizer = call_user(lambda: self.optimizer(model), "Recipe.optimizer failed")
        check_optimizer(optimizer)
        check_pair(model, {"0": optimizer})
        # The LR of a training comes from its schedule.
        require_undriven(optimizer, "lr", "momentum")
        batches = call_user(self.batches, "Recipe.batches failed")
        check_rewindable(batches)
        return model, optimizer, batches

    def trainable(self, seed: int, *, test: bool = False) -> TorchTrainable:
        """A new training as range test, tuner and comparisons drive it; everything random in it follows from the seed.

        Args:
            seed: From 0 to 2 ** 32 - 1.
            test: Whether it is evaluated by `test`, which measures a finished training, instead of `evaluate`.

        Raises:
            RecipeError: if one of the recipe's functions fails.
        """
        checks.flag("test", test)
        model, optimizer, batches = self.build(seed)
        trainable = TorchTrainable(
            *(model, optimizer, batches, self.loss, self._test() if test else self.evaluate),
            updater=replace(self.updater, scaler=copy.deepcopy(self.updater.scaler)),
            metric=self.metric,
            ensemble=ensemble_of,
            check_batches=False if test else None,  # a training that is measured ends as the user's own would
        )
        mark(trainable, self, seed, test)
        return trainable

    def _test(self) -> Evaluate | HeldOut | None:
        return self.evaluate if self.test is None else self.test


def _factory(name: str, value: object) -> object:
    """A function that creates a new object for each training. A model is callable too, but creates nothing."""
    if not callable(value) or isinstance(value, nn.Module):
        remedy = "write lambda: ..., so that each training gets a new one"
        checks.refuse_type(f"Recipe.{name}", "a function", value, remedy)
    return value


def _function(name: str, value: object) -> object:
    if not callable(value):
        checks.refuse_type(f"Recipe.{name}", "a function", value)
    return value


def _evaluation(name: str, value: object) -> object:
    if isinstance(value, str) or not (value is None or callable(value) or hasattr(value, "__iter__")):
        checks.refuse_type(f"Recipe.{name}", "a function from a model to a number, or held-out batches", value)
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        checks.refuse_type(f"Recipe.{name}", "a str", value)
    return value
