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


def pickled(name: str, value: object, purpose: str, remedy: str) -> bytes:
    """An object as another process can read it, by cloudpickle if that is installed.

    Args:
        name: What it is, for messages.
        value: The object.
        purpose: What it has to be picklable for.
        remedy: What to do if it cannot be pickled.

    Raises:
        ArgumentTypeError: if it cannot be pickled.
    """
    pickler = _pickler()
    try:
        content: bytes = pickler.dumps(value)
    except ArgumentTypeError:  # of a part of it
        raise
    except Exception as error:  # objects of the user may raise anything here
        if pickler is pickle:
            remedy += "; or install cloudpickle, which can pickle functions that are written in place"
        raise ArgumentTypeError(
            f"{name} must be picklable {purpose}: {type(error).__name__}: {checks.short(str(error))}: {remedy}"
        ) from error
    return content


def _pickler() -> Any:
    try:
        import cloudpickle
    except ImportError:
        return pickle
    return cloudpickle


def packed(trainable: Any) -> bytes:
    """What another process builds a training from: its recipe and seed if it was made by a recipe, otherwise itself.

    Raises:
        ArgumentTypeError: if it cannot be pickled.
    """
    origin = getattr(trainable, "origin", None)
    name = "the recipe of the trainable" if origin is not None else "a trainable that was not made by a recipe"
    remedy = "make it with a learnrate Recipe, whose functions can be pickled"
    with _by_value(_pickler()):
        return pickled(name, trainable if origin is None else origin, "to be trained by an executor", remedy)


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
    """The training of `packed`."""
    value = pickle.loads(content)
    return value.build() if isinstance(value, Origin) else value
