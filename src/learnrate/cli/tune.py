"""`learnrate tune`: probe or range test, trials, plan, comparison, figures."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from learnrate import checks, figures
from learnrate.cli.folder import Folder
from learnrate.cli.output import with_output
from learnrate.cli.report import comparison_summary, plan_summary, print_comparison, print_plan, print_range_test
from learnrate.cli.run import Loaded, check_sweep, in_folder, load_recipe
from learnrate.cli.streams import Bars
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.schedules import constant
from learnrate.study import Comparison, compare
from learnrate.study.executors import Here
from learnrate.study.running.run import Message
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
        loaded: The recipe.
        updates: Length of a training run.
        options: The options of the command.
        folder: Where files are written.
        console: Where the report is printed.
        bars: Progress bars.
    """

    loaded: Loaded
    updates: int
    options: Options
    folder: Folder
    console: Console
    bars: Bars


def tune_command(options: Options) -> None:
    """Run the command; every file is written as soon as its content is known."""
    with_output(lambda: run_command(options), as_json=options.json)


def run_command(options: Options) -> dict[str, Any]:
    """Everything but the JSON on stdout, which is returned."""
    figures.require()
    check_sweep(options.low, options.high, options.seed, options.seeds)
    loaded = load_recipe(options.recipe, options.out)
    updates = loaded.recipe.updates if options.updates is None else checks.length("--updates", options.updates)
    # Refused before a folder is created; `tune` makes its own.
    Request.of(updates=updates, budget=share_or_text(options.budget), family=options.family)
    return in_folder(loaded, lambda *place: run_stages(Run(loaded, updates, options, *place)), as_json=options.json)


def run_stages(run: Run) -> dict[str, Any]:
    """Plan and comparison; returns what --json prints."""
    options, folder, console = run.options, run.folder, run.console
    name = run.loaded.name
    console.print(f"[bold]{escape(name)}[/bold]: training runs of {run.updates} updates, seed {options.seed}")
    trainable = run.loaded.trainable(options.seed)
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
            folder.write_summary("tune", summary)
        folder.draw_comparison(comparison, f"{name}: the plan against a constant LR of {usual_lr:g}")
    else:
        folder.write_summary("tune", summary)
        if options.train:
            console.print("\nNo comparison: the recipe does not say its usual LR (current_lr of its trainable is None)")
    console.print(f"\nPlan and figures are in [bold]{escape(str(folder.path))}[/bold]")
    return summary


def compare_with_usual(run: Run, plan: Plan, usual_lr: float) -> Comparison:
    """Train with the plan and with the optimizer's usual constant LR, with the same seeds and updates."""

    def show(message: Message) -> None:
        run.bars.show(f"training: {message.key}", message.updates, message.planned)

    first = run.options.seed
    comparison = compare(
        {"plan": plan.schedule, "constant": constant(usual_lr)},
        run.loaded.recipe,
        seeds=range(first, first + run.options.seeds),
        updates=plan.length,
        executor=Here(show),
        on_result=run.folder.write_trainings,
    )
    comparison.require_complete()
    return comparison


def share_or_text(budget: str | None) -> float | str | None:
    """A budget as `tune` takes it: on a command line numbers are texts too."""
    if budget is None:
        return None
    for number in (int, float):
        with suppress(ValueError):
            return number(budget)
    return budget
