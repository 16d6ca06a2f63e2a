"""A recipe: all that a training run is but its learning rate."""

import importlib.util
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np
from torch import nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentTypeError, RecipeError
from learnrate.finder.recording import Progress
from learnrate.schedules import Schedule
from learnrate.study import Training
from learnrate.torch.driving import require_undriven
from learnrate.torch.inputs import check_model, check_optimizer, check_pair
from learnrate.torch.training.batches import Batches, check_rewindable
from learnrate.torch.training.loop import Evaluate, Loop, Loss, evaluated, seed_everything
from learnrate.user_code import own_line

T = TypeVar("T")

CHECKPOINTS = 20
"""Evaluations along a training, for the pictures."""


RESERVED = ("lr", "schedule", "seeds", "mean", "std", "loss")
"""What stands beside the metric in the results."""


@dataclass(frozen=True)
class Recipe:
    """How to build and train a model: everything but the learning rate.

    Attributes:
        model: Makes a new model, on its device.
        optimizer: Makes the optimizer for a model, with the LR that it would have without learnrate.
        batches: Makes what the training batches come from: anything that can be iterated again and again. Whatever is random
            in it must follow from the global random numbers, which are seeded before it is called.
        loss: A criterion for batches of (inputs, target), or a function (model, batch) -> loss.
        evaluate: From the model to how good it is on validation data, higher is better; chooses between candidates.
        test: The same on data that chooses nothing, for the comparison at the end; by default `evaluate`.
        updates: Length of a training.
        metric: What `evaluate` and `test` measure, for the reports.
        name: What to call it; by default the name of its file.
    """

    model: Callable[[], nn.Module]
    optimizer: Callable[[nn.Module], Optimizer]
    batches: Callable[[], Batches]
    loss: Loss
    evaluate: Evaluate | None = None
    test: Evaluate | None = None
    updates: int = 1000
    metric: str = "accuracy"
    name: str = ""

    def __post_init__(self) -> None:
        required = {"model": self.model, "optimizer": self.optimizer, "batches": self.batches, "loss": self.loss}
        for name, value in {**required, "evaluate": self.evaluate, "test": self.test}.items():
            made_already = name == "model" and isinstance(value, nn.Module)
            if made_already or (not callable(value) and (name in required or value is not None)):
                received = "a model" if isinstance(value, nn.Module) else repr(value)  # a model prints all its layers
                raise ArgumentTypeError(
                    f"Recipe.{name} must be a function, received {received} of type {type(value).__name__}"
                    + (": write lambda: ..., so that each training gets a new one" if name in required else "")
                )
        for name, text in {"metric": self.metric, "name": self.name}.items():
            if not isinstance(text, str):
                raise ArgumentTypeError(f"Recipe.{name} must be a str, received {text!r} of type {type(text).__name__}")
        if self.metric in RESERVED:
            checks.refuse("Recipe.metric", f"another word than {', '.join(RESERVED)}", self.metric)
        object.__setattr__(self, "updates", checks.length("Recipe.updates", self.updates))

    def build(self, seed: int) -> tuple[nn.Module, Optimizer, Batches]:
        """A new model, its optimizer and its batches, all from this seed.

        Raises:
            RecipeError: if one of the recipe's functions fails.
            ArgumentError: if the model has no trainable parameters, or the optimizer holds none of them.
            ArgumentTypeError: if one of them is something else, or the batches are an iterator.
            AlreadyDrivenError: if a scheduler drives the optimizer.
        """
        seed_everything(seed)
        model = _made(self.model, "Recipe.model failed")
        check_model(model)
        optimizer = _made(lambda: self.optimizer(model), "Recipe.optimizer failed")
        check_optimizer(optimizer)
        check_pair(model, {"0": optimizer})
        # A training gives the optimizer its LR itself.
        require_undriven(optimizer, "lr", "momentum")
        batches = _made(self.batches, "Recipe.batches failed")
        check_rewindable(batches)
        return model, optimizer, batches

    def scored_by(self) -> Evaluate | None:
        """What measures a finished training."""
        return self.test or self.evaluate

    def scores_are(self) -> str:
        """What a finished training's score is: the metric, or the training loss where there is no evaluation."""
        return self.metric if self.scored_by() else "loss"


def _made(make: Callable[[], T], otherwise: str) -> T:
    """What the user's own function makes; if it fails, an error that begins with `otherwise` and names the user's line."""
    try:
        return make()
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{otherwise}: {own_line(error)}") from error


def train(recipe: Recipe, schedule: Schedule, seed: int, updates: int, progress: Progress | None = None) -> Training:
    """One whole training of a recipe with a schedule.

    Args:
        recipe: What to train.
        schedule: LR of each update.
        seed: Everything random follows from it.
        updates: Length in updates. A loss that is not finite ends it early.
        progress: Called after every update with (updates made, updates planned).
    """
    model, optimizer, batches = recipe.build(seed)
    loop = Loop(model, optimizer, batches, recipe.loss)
    measure = recipe.scored_by()
    losses: list[float] = []
    checkpoints: list[int] = []
    scores: list[float] = []
    for update in range(updates):
        losses.append(loop.update(schedule(update))["loss"])
        made = update + 1
        if progress is not None:
            progress(made, updates)
        over = made == updates or not math.isfinite(losses[-1])
        if measure is not None and (over or made * CHECKPOINTS // updates > update * CHECKPOINTS // updates):
            checkpoints.append(made)
            scores.append(evaluated(model, measure))
        if over:
            break
    score = scores[-1] if scores else float(np.mean(losses[-max(1, updates // 5) :]))
    return Training(seed, score, tuple(losses), tuple(checkpoints), tuple(scores))


def load(path: Path) -> Recipe:
    """The recipe that a Python file's function `recipe()` returns.

    The file is run as a script is: its own folder comes first in the search for imports.

    Raises:
        RecipeError: if there is no such file, it cannot be run, it has no `recipe()`, or that returns something else.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise RecipeError(f"the recipe must be a Python file, {path} is {what}")
    path = path.resolve()
    module = _run(path)
    make = getattr(module, "recipe", None)
    if not callable(make):
        raise RecipeError(f"{path.name} must define a function recipe() that returns a learnrate.torch.Recipe, it has none")
    made = _made(make, "recipe() failed")
    if not isinstance(made, Recipe):
        raise RecipeError(
            f"recipe() in {path.name} must return a learnrate.torch.Recipe, received {made!r} of type {type(made).__name__}"
        )
    if not made.name:
        object.__setattr__(made, "name", path.stem)
    return made


def _run(path: Path) -> ModuleType:
    # A name of its own: a recipe called random.py or torch.py must not take the place of the real one.
    spec = importlib.util.spec_from_file_location(f"learnrate_recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"the recipe must be a Python file with the ending .py, received {path.name}")
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look a class's module up by name.
    sys.modules[module.__name__] = module
    folder = str(path.parent)
    sys.path.insert(0, folder)
    try:
        _made(lambda: loader.exec_module(module), "the recipe cannot be loaded")
    finally:
        # Last from now on: a neighbour called random.py must not be what others import, late, under that name.
        sys.path.remove(folder)
        sys.path.append(folder)
    return module
