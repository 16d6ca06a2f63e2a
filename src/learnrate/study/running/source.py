"""How a worker gets the recipe of a training: as the text of its file, or as a pickled object."""

import functools
import hashlib
import inspect
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from learnrate import checks
from learnrate.origin import pickled
from learnrate.recipes.loading import BUILT_IN, load
from learnrate.recipes.recipe import AnyRecipe

TRAVELS = "to be trained in another process"
"""Why something has to be picklable, for messages."""

DIGITS = 16
"""Hexadecimal digits of a hash that is shown and stored."""


@dataclass(frozen=True)
class RecipeFile:
    """A recipe in a file of its own. Its text is sent to workers, because another machine may not have the file.

    Attributes:
        path: The file.
        text: Its content.
    """

    path: str
    text: bytes

    @property
    def digest(self) -> str:
        """Hash of the content."""
        return hashlib.sha256(self.text).hexdigest()[:DIGITS]

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(self.path).stem

    def load(self) -> AnyRecipe:
        """The recipe."""
        return _loaded(self)


@functools.lru_cache(maxsize=8)
def _loaded(source: RecipeFile) -> AnyRecipe:
    path = Path(source.path)
    if path.is_file() and path.read_bytes() == source.text:
        return load(path)
    # In a folder of its own, because the name of the file is the name of the module.
    folder = Path(tempfile.mkdtemp(prefix="learnrate-recipe-"))
    copy = folder / path.name
    copy.write_bytes(source.text)
    return load(copy)


@dataclass(frozen=True, eq=False)
class RecipeObject:
    """A recipe that was made in Python. It is pickled when it leaves the process, with cloudpickle if that is installed.

    Attributes:
        recipe: The recipe.
    """

    recipe: AnyRecipe

    @property
    def digest(self) -> str:
        """Hash of the source of its functions, its texts and its numbers, without its name.

        What the functions call, and the values that they refer to, are not part of it.
        """
        digest = hashlib.sha256(repr(self.recipe.updates).encode())
        for name, value in sorted(vars(self.recipe).items()):
            is_plain = isinstance(value, (str, int, float)) and name != "name"
            digest.update((repr(value) if is_plain else _source(value)).encode())
        return digest.hexdigest()[:DIGITS]

    @property
    def name(self) -> str:
        """The recipe's own name."""
        return self.recipe.name or "recipe"

    def load(self) -> AnyRecipe:
        """The recipe."""
        return self.recipe

    def __reduce__(self) -> tuple[Callable[[bytes], "RecipeObject"], tuple[bytes]]:
        return _unpickled, (pickled("recipe", self.recipe, TRAVELS, "give the file of the recipe instead of the object"),)


def _unpickled(content: bytes) -> RecipeObject:
    return RecipeObject(pickle.loads(content))


Source = RecipeFile | RecipeObject


def source_of(recipe: object) -> Source:
    """Where a recipe comes from.

    Args:
        recipe: A recipe, or the path of its file; None for the built-in one.

    Raises:
        RecipeError: if there is no such file, or it is no recipe.
        ArgumentTypeError: if it is something else.
    """
    if recipe is None:
        recipe = BUILT_IN
    if isinstance(recipe, (str, Path)):
        path = Path(recipe)
        if not path.is_file():
            load(path)  # raises the RecipeError that says what is wrong
        source = RecipeFile(str(path.resolve() if path != BUILT_IN else path), path.read_bytes())
        source.load()  # an error is raised here, not in a worker; the recipe is cached
        return source
    if isinstance(recipe, type) or not isinstance(recipe, AnyRecipe):
        rule = "a recipe, such as learnrate.torch.Recipe or learnrate.Recipe, or the path of its file"
        checks.refuse_type("recipe", rule, recipe)
    return RecipeObject(recipe)


def _source(value: object) -> str:
    """The source of a function; its name if there is no source, as for one of C; empty for what is no function."""
    while isinstance(value, functools.partial):
        value = value.func
    if not callable(value):
        return ""
    try:
        return inspect.getsource(inspect.unwrap(value))
    except (OSError, TypeError):
        return getattr(value, "__qualname__", type(value).__qualname__)


def data_digests(data: object) -> dict[str, str]:
    """Hashes of the data that a study depends on, by path as it was given.

    Args:
        data: Paths of files, which are read whole, and of folders, of which the names and sizes of all files count.

    Raises:
        ArgumentError: if there is nothing at a path.
        ArgumentTypeError: if it is something else than paths.
    """
    if isinstance(data, (str, Path)):
        data = [data]
    paths = checks.several(checks.path, "paths")("data", data)
    return {str(path): _data_digest(path) for path in paths}


def _data_digest(path: Path) -> str:
    if not path.exists():
        checks.refuse("data", "a file or folder that exists", str(path))
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listing = "\n".join(f"{file.relative_to(path)} {file.stat().st_size}" for file in files)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]
