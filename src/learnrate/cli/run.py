"""What the commands that train have in common: a recipe from a file, and a folder for the results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from learnrate import checks
from learnrate.cli.folder import Folder, open_folder
from learnrate.cli.streams import Bars, progress_bars
from learnrate.recipes.loading import BUILT_IN, load
from learnrate.recipes.recipe import AnyRecipe
from learnrate.trainable import Trainable, require_trainable


@dataclass(frozen=True)
class Loaded:
    """A recipe, and where its results will go.

    Attributes:
        recipe: What is trained.
        name: Name of the recipe.
        out: The folder that was asked for.
        runs: The folder in which one is created if none was asked for.
    """

    recipe: AnyRecipe
    name: str
    out: Path | None
    runs: Path

    def trainable(self, seed: int, *, test: bool = False) -> Trainable:
        """A new training."""
        trainable = self.recipe.trainable(seed, test=test)
        require_trainable("what Recipe.trainable returns", trainable)
        return trainable


def load_recipe(path: Path | None, out: Path | None) -> Loaded:
    """The recipe of a file, or the built-in one."""
    # Absolute before the recipe is loaded, which may change the current folder.
    out, runs = out and out.absolute(), Path("runs").absolute()
    path = path or BUILT_IN
    recipe = load(path)
    return Loaded(recipe, recipe.name or path.stem, out, runs)


def in_folder(
    loaded: Loaded,
    work: Callable[[Folder, Console, Bars], dict[str, Any]],
    *,
    as_json: bool,
    study: Path | None = None,
) -> dict[str, Any]:
    """Do the work of a command with a folder of its own, a console for the report, and progress bars.

    Args:
        loaded: The recipe.
        work: Returns the summary.
        as_json: Whether the report goes to stderr.
        study: A study that is continued, which may lie in the folder.

    Raises:
        KeyboardInterrupt: at Ctrl-C; its text says where the results so far are.
    """
    folder = open_folder(loaded.out, loaded.runs, loaded.name, study)
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    try:
        with progress_bars() as bars:
            return work(folder, console, bars)
    except KeyboardInterrupt as stop:
        folder.close()
        left = f"what was done so far is in {folder.path}" if folder.path.exists() else "nothing was written yet"
        # The work may know more: how to go on, for example.
        raise KeyboardInterrupt(*(stop.args or (left,))) from None
    finally:
        folder.close()


def check_sweep(low: float, high: float, seed: int, seeds: int) -> None:
    """Refuse numbers that break their rule, by the names of the options."""
    checks.positive_single("--low", low)
    checks.positive_single("--high", high)
    checks.ordered("--low", low, "--high", high)
    checks.numpy_seed("--seed", seed)
    left = 2**32 - seed
    if seeds > left:
        remedy = f"the seeds are those from --seed {seed} on, below 2 ** 32"
        checks.refuse("--seeds", f"at most {left}", seeds, remedy)
