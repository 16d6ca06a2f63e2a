"""Loading recipes from Python files."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from learnrate import checks
from learnrate.errors import RecipeError
from learnrate.origin import RECIPE_MODULES
from learnrate.recipes.recipe import AnyRecipe
from learnrate.trainable import Trainable
from learnrate.user_code import call_user

MEMBERS = ("name", "updates", "trainable")
"""What a recipe of any framework has."""

RECIPES = "a recipe, such as learnrate.torch.Recipe or learnrate.Recipe"

BUILT_IN = Path(__file__).with_name("digits.py")
"""The built-in recipe: a file such as users write."""


def load(path: Path) -> AnyRecipe:
    """The recipe that the function `recipe()` of a Python file returns.

    The file runs as a script does: its own folder comes first in the search for imports.

    Raises:
        RecipeError: if there is no such file, it cannot be run, it has no `recipe()`, or that returns something else.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise RecipeError(f"the recipe must be a Python file, {path} is {what}")
    if path == BUILT_IN:
        _ = importlib.import_module("learnrate").torch  # says how to install PyTorch if it is missing
    path = path.resolve()
    function = getattr(_run(path), "recipe", None)
    if not callable(function):
        raise RecipeError(f"{path.name} must define a function recipe() that returns {RECIPES}, it has none")
    recipe = call_user(function, "recipe() failed")
    if isinstance(recipe, type) or not isinstance(recipe, AnyRecipe):
        raise RecipeError(f"recipe() in {path.name} must return {RECIPES}, received {_received(recipe)}")
    return recipe


def _received(recipe: object) -> str:
    """What a function returned that is no recipe, with the remedy where it can be seen what was meant."""
    received = f"{checks.shown(recipe)} of type {type(recipe).__name__}"
    if isinstance(recipe, Trainable) and not isinstance(recipe, type):
        return (
            f"{received}: return learnrate.Recipe(trainable=lambda seed: ..., updates=...), which creates one for each seed"
        )
    missing = [member for member in MEMBERS if not hasattr(recipe, member)]
    if len(missing) < len(MEMBERS):
        return f"{received}, without {', '.join(missing)}"
    if callable(recipe) and not isinstance(recipe, type):
        return (
            f"{received}: return learnrate.Recipe(trainable=the function, updates=...) if it creates a learnrate.Trainable"
        )
    return received


def _run(path: Path) -> ModuleType:
    # A name of its own: a recipe called random.py or torch.py must not replace the real module.
    spec = importlib.util.spec_from_file_location(f"{RECIPE_MODULES}{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"the recipe must be a Python file with the ending .py, received {path.name}")
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look up the module of a class by name.
    sys.modules[module.__name__] = module
    folder = str(path.parent)
    sys.path.insert(0, folder)
    try:
        call_user(lambda: loader.exec_module(module), "the recipe cannot be loaded")
    finally:
        # Last from now on: if the folder has a random.py, later imports of that name must still find the real module.
        sys.path.remove(folder)
        sys.path.append(folder)
    return module
