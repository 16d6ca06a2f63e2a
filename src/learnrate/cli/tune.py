"""`learnrate tune`: probe or range test, trials, plan, comparison, figures."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from learnrate import checks, figures
from learnrate.cli.folder import Folder, open_folder
from learnrate.cli.report import comparison_summary, plan_summary, print_comparison, print_plan, print_range_test
from learnrate.cli.streams import Bars, prepare_streams, progress_bars, require_written, reserved_stdout
from learnrate.errors import OutputError
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.recipes.loading import BUILT_IN, load
from learnrate.recipes.recipe import Recipe
from learnrate.schedules import Schedule, constant
from learnrate.study import Comparison, Training, compare, train
from learnrate.trainable import require_trainable
from learnrate.tuner import Plan, tune
from learnrate.tuner.request import Request


@dataclass(frozen=True)
class Options:
    """The options of the command; see `learnrate tune --help`."""

    recipe: Path | None
    updates: int | None
    seed: int
    seeds: int
    family: list[str] | None
    budget: str | None
    low: float
    high: float
    out: Path | None
    train: bool
    json: bool


@dataclass(frozen=True)
class Run:
    """One run of the command.

    Attributes:
        recipe: What is trained.
        name: Name of the recipe.
        updates: Length of a training run.
        options: The options of the command.
        folder: Where files are written.
        console: Where the report is printed.
        bars: Progress bars.
    """

    recipe: Recipe
    name: str
    updates: int
    options: Options
    folder: Folder
    console: Console
    bars: Bars


def tune_command(options: Options) -> None:
    """Run the command; every file is written as soon as its content is known."""
    prepare_streams()
    if not options.json:
        summary = run_command(options)
        with refusing_lost_output(summary):
            require_written(sys.stdout)
        return
    with reserved_stdout() as stdout:
        summary = run_command(options)
    with refusing_lost_output(summary), stdout:
        stdout.write(json.dumps(summary, indent=1, allow_nan=False) + "\n")


@contextmanager
def refusing_lost_output(summary: Mapping[str, Any]) -> Iterator[None]:
    """Turn the error of a stdout that cannot be written, as on a full disk, into one that says where the results are."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write to standard output: {error.strerror or error}; the results are in {summary['out']}"
        ) from error


def run_command(options: Options) -> dict[str, Any]:
    """Everything but the JSON on stdout, which is returned."""
    figures.require()
    check_options(options)
    # Absolute before the recipe is loaded, which may change the current folder.
    out, runs = options.out and options.out.absolute(), Path("runs").absolute()
    path = options.recipe or BUILT_IN
    recipe = load(path)
    name = recipe.name or path.stem
    updates = recipe.updates if options.updates is None else checks.length("--updates", options.updates)
    # Refused before a folder is created; `tune` makes its own.
    Request.of(updates=updates, budget=share_or_text(options.budget), family=options.family)
    folder = open_folder(out, runs, name)
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    try:
        with progress_bars() as bars:
            return run_stages(Run(recipe, name, updates, options, folder, console, bars))
    except KeyboardInterrupt:
        folder.close()
        left = f"what was done so far is in {folder.path}" if folder.path.exists() else "nothing was written yet"
        raise KeyboardInterrupt(left) from None
    finally:
        folder.close()


def check_options(options: Options) -> None:
    """Refuse numbers that break their rule, by the names of the options."""
    checks.positive_single("--low", options.low)
    checks.positive_single("--high", options.high)
    checks.ordered("--low", options.low, "--high", options.high)
    checks.whole("--seed", options.seed, at_least=0, at_most=2**32 - 1)
    left = 2**32 - options.seed
    if options.seeds > left:
        remedy = f"the seeds are those from --seed {options.seed} on, below 2 ** 32"
        checks.refuse("--seeds", f"at most {left}", options.seeds, remedy)


def run_stages(run: Run) -> dict[str, Any]:
    """Plan and comparison; returns what --json prints."""
    options, folder, console = run.options, run.folder, run.console
    console.print(f"[bold]{escape(run.name)}[/bold]: training runs of {run.updates} updates, seed {options.seed}")
    trainable = run.recipe.trainable(options.seed)
    require_trainable("what Recipe.trainable returns", trainable)
    usual_lr = trainable.current_lr()

    # Each result is printed and written, even if the other fails: a disk may be full, a pipe closed.
    def on_curve(curve: Curve, bounds: Bounds | NoAnswer) -> None:
        try:
            print_range_test(console, curve, bounds)
        finally:
            folder.write_curve(curve)
        if curve.ended != "interrupted":  # Ctrl-C does not wait for a figure
            folder.draw_curve(curve, bounds)

    plan = tune(
        trainable,
        updates=run.updates,
        family=options.family,
        budget=share_or_text(options.budget),
        low=options.low,
        high=options.high,
        progress=run.bars.show,
        on_curve=on_curve,
    )
    try:
        print_plan(console, plan)
    finally:
        folder.write_plan(plan)
    bounds = plan.bounds.as_record() if isinstance(plan.bounds, Bounds) else None
    summary: dict[str, Any] = {"bounds": bounds, "plan": plan_summary(plan), "out": str(folder.path)}
    if options.train and usual_lr is not None:
        comparison = compare_with_usual(run, plan, usual_lr)
        summary["results"] = comparison_summary(comparison)
        try:
            print_comparison(console, comparison)
        finally:
            folder.write_summary(summary)
        folder.draw_comparison(comparison, f"{run.name}: the plan against a constant LR of {usual_lr:g}")
    else:
        folder.write_summary(summary)
        if options.train:
            console.print("\nNo comparison: the recipe does not say its usual LR (current_lr of its trainable is None)")
    console.print(f"\nPlan and figures are in [bold]{escape(str(folder.path))}[/bold]")
    return summary


def compare_with_usual(run: Run, plan: Plan, usual_lr: float) -> Comparison:
    """Train with the plan and with the optimizer's usual constant LR, with the same seeds and updates."""

    def train_arm(name: str, schedule: Schedule, seed: int) -> Training:
        trainable = run.recipe.trainable(seed, test=True)
        title = f"training: {name}, seed {seed}"
        return train(trainable, schedule, seed, plan.length, lambda done, planned: run.bars.show(title, done, planned))

    first = run.options.seed
    return compare(
        {"plan": plan.schedule, "constant": constant(usual_lr)},
        train_arm,
        seeds=range(first, first + run.options.seeds),
        updates=plan.length,
        on_training=run.folder.write_trainings,
    )


def share_or_text(budget: str | None) -> float | str | None:
    """A budget as `tune` takes it: on a command line numbers are texts too."""
    if budget is None:
        return None
    for number in (int, float):
        with suppress(ValueError):
            return number(budget)
    return budget
