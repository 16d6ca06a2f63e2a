"""Where a training comes from: how another process builds the same one."""

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentTypeError

RECIPE_MODULES = "learnrate_recipe_"
"""How the names of modules begin that are files of recipes."""


@dataclass(frozen=True)
class Origin:
    """The recipe and the seed that a training was built from.

    Attributes:
        recipe: The recipe; see `learnrate.Recipe`.
        seed: The seed.
        test: See `learnrate.Recipe.trainable`.
    """

    recipe: Any
    seed: int
    test: bool = False

    def build(self) -> Any:
        """The training once more."""
        return self.recipe.trainable(self.seed, test=self.test)


def mark(trainable: Any, recipe: Any, seed: int, test: bool) -> None:
    """Let a training know its recipe. An object that takes no further attribute travels to other processes whole."""
    try:
        trainable.origin = Origin(recipe, seed, test)
    except AttributeError:
        return


def pickled(trainable: Any) -> bytes:
    """What another process builds a training from: its recipe and seed if it was made by a recipe, otherwise itself.

    Raises:
        ArgumentTypeError: if it cannot be pickled.
    """
    try:
        import cloudpickle as pickler
    except ImportError:
        pickler = pickle
    origin = getattr(trainable, "origin", None)
    try:
        with _by_value(pickler):
            content: bytes = pickler.dumps(trainable if origin is None else origin)
    except Exception as error:  # objects of the user may raise anything here
        what = "the recipe of the trainable" if origin is not None else "a trainable that was not made by a recipe"
        remedy = "make it with a learnrate Recipe, whose functions can be pickled"
        if pickler is pickle:
            remedy += "; or install cloudpickle, which can pickle functions that are written in place"
        raise ArgumentTypeError(
            f"{what} must be picklable to be trained by an executor: {type(error).__name__}: "
            f"{checks.short(str(error))}: {remedy}"
        ) from error
    return content


@contextmanager
def _by_value(pickler: Any) -> Iterator[None]:
    """Let the functions of recipe files travel with their code, because other processes have not loaded these files."""
    modules = [module for name, module in sys.modules.items() if name.startswith(RECIPE_MODULES)]
    if pickler is pickle or not modules:
        yield
        return
    for module in modules:
        pickler.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            pickler.unregister_pickle_by_value(module)


def built(content: bytes) -> Any:
    """The training of `pickled`."""
    value = pickle.loads(content)
    return value.build() if isinstance(value, Origin) else value
