"""`learnrate tune`: range test, bounds, races, plan, comparison, pictures."""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import learnrate.torch as lt
from learnrate import checks, constant, plots, records
from learnrate.cli.folder import Folder, open_folder
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.schedules import Schedule
from learnrate.study import Arm, Comparison, Training, compare
from learnrate.torch.recipe import Recipe, load, train
from learnrate.tuner import Plan, families
from learnrate.tuner.budget import read
from learnrate.tuner.reasons import why_bounds
from learnrate.tuner.tune import sweep_updates

BUILT_IN = Path(__file__).parent.parent / "recipes" / "digits.py"


@dataclass(frozen=True)
class Options:
    """What the user asked for; see `learnrate tune --help`."""

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


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress bars on stderr, so that stdout holds results alone."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # rich would else draw what goes to a redirected stdout above the bars, on the terminal.
    redirect = sys.stdout.isatty()
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=redirect, disable=not console.is_terminal
    ) as progress:
        yield progress


@dataclass
class Bars:
    """One bar for each thing that is being done."""

    progress: Progress

    def __post_init__(self) -> None:
        self._tasks: dict[str, Any] = {}

    def show(self, what: str, done: int, planned: int) -> None:
        """Move the bar of `what`."""
        if what not in self._tasks:
            self._tasks[what] = self.progress.add_task(what, total=planned)
        self.progress.update(self._tasks[what], completed=done)


def tune_command(options: Options) -> None:
    """Run the command; every file is written as soon as its content is known."""
    # A terminal that cannot show a sign must not cost the results.
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if not options.json:
        tuned(options)
        return
    with stdout_kept() as kept:
        summary = tuned(options)
    kept.write(json.dumps(summary, indent=1, allow_nan=False) + "\n")
    kept.close()


@contextmanager
def stdout_kept() -> Iterator[TextIO]:
    """Send what is printed to stderr, by whatever means a recipe prints, and hand out the real stdout."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    yield kept


def tuned(options: Options) -> dict[str, Any]:
    """Everything but the JSON on stdout."""
    say = Console(stderr=options.json, highlight=False, soft_wrap=True)
    plots.require()
    checks.positive("--low", options.low)
    checks.positive("--high", options.high)
    checks.ordered("--low", options.low, "--high", options.high)
    if options.seed + options.seeds > 2**32:
        checks.refuse("--seed", f"at most 2 ** 32 - {options.seeds}, for {options.seeds} seeds from there on", options.seed)
    # Before the recipe is loaded, which may change the folder.
    out, runs = options.out and options.out.absolute(), Path("runs").absolute()
    recipe = load(options.recipe or BUILT_IN)
    updates = recipe.updates if options.updates is None else checks.length("--updates", options.updates)
    sweep_updates(read(share_or_text(options.budget), updates).updates)  # refuses a budget that is too small
    families.read(options.family, families.Run(updates))
    folder = open_folder(out, runs, recipe.name)
    try:
        with progress_bars() as progress:
            return run_stages(recipe, updates, options, folder, say, Bars(progress))
    except KeyboardInterrupt:
        folder.close()
        left = f"what was done so far is in {folder.path}" if folder.path.exists() else "nothing was written yet"
        raise KeyboardInterrupt(left) from None
    finally:
        folder.close()


def run_stages(recipe: Recipe, updates: int, options: Options, folder: Folder, say: Console, bars: Bars) -> dict[str, Any]:
    """Range test, plan, comparison; what --json prints."""
    say.print(f"[bold]{escape(recipe.name)}[/bold]: {updates} updates a training, seed {options.seed}")
    model, optimizer, batches = recipe.build(options.seed)
    usual_lr = max(float(group["lr"]) for group in optimizer.param_groups)

    # What is found is printed and written, whatever becomes of the other: a disk may be full, a reader gone.
    def show_curve(curve: Curve, bounds: Bounds | NoAnswer) -> None:
        try:
            print_bounds(say, curve, bounds)
        finally:
            folder.write_curve(curve)
        if curve.ended != "interrupted":  # who presses Ctrl-C does not wait for a picture
            folder.draw_curve(curve, bounds)

    plan = lt.tune(
        model,
        optimizer,
        batches,
        recipe.loss,
        updates=updates,
        family=options.family,
        evaluate=recipe.evaluate,
        budget=share_or_text(options.budget),
        seed=options.seed,
        low=options.low,
        high=options.high,
        progress=bars.show,
        on_curve=show_curve,
    )
    try:
        print_plan(say, plan)
    finally:
        folder.write_plan(plan)
    summary: dict[str, Any] = {
        "bounds": plan.bounds.as_record() if isinstance(plan.bounds, Bounds) else None,
        "plan": plan_summary(plan),
    }
    if options.train:
        comparison = compare_with_usual(recipe, plan, usual_lr, options, folder, bars)
        summary["results"] = results_summary(comparison)
    summary["out"] = str(folder.path)
    try:
        if options.train:
            print_comparison(say, comparison, plan)
    finally:
        folder.write_summary(summary)
    if options.train:
        folder.draw_comparison(comparison, f"{recipe.name}: the plan against a constant LR of {usual_lr:g}")
    say.print(f"\nCurve, plan and pictures are in [bold]{escape(str(folder.path))}[/bold]")
    return summary


def compare_with_usual(
    recipe: Recipe, plan: Plan, usual_lr: float, options: Options, folder: Folder, bars: Bars
) -> Comparison:
    """Train with the plan and with the optimizer's usual constant LR, on the same seeds and budget."""

    def one(name: str, schedule: Schedule, seed: int) -> Training:
        what = f"training: {name}, seed {seed}"
        return train(recipe, schedule, seed, plan.length, lambda done, planned: bars.show(what, done, planned))

    return compare(
        {"plan": plan.schedule, "constant": constant(usual_lr)},
        one,
        seeds=range(options.seed, options.seed + options.seeds),
        updates=plan.length,
        metric=recipe.scores_are(),
        on_training=folder.write_trainings,
    )


def share_or_text(budget: str | None) -> float | str | None:
    """A budget as `tune` takes it: on a command line numbers are texts too."""
    for number in (int, float):
        with suppress(ValueError):
            return None if budget is None else number(budget)
    return budget


def print_bounds(say: Console, curve: Curve, bounds: Bounds | NoAnswer) -> None:
    """The bounds and why, one line each."""
    say.print(f"\n[bold]Range test[/bold], {len(curve)} updates")
    for note in curve.notes:
        say.print(f"  {escape(note)}")
    for sentence in why_bounds(bounds):
        say.print(f"  {escape(sentence)}")


def print_plan(say: Console, plan: Plan) -> None:
    """The plan and why; the schedule as the expression that rebuilds it."""
    say.print("\n[bold]Plan[/bold]")
    for sentence in plan.reasons[len(why_bounds(plan.bounds)) :]:
        say.print(f"  {escape(sentence)}")
    say.print(f"  [bold]{escape(repr(plan.schedule))}[/bold]")


def print_comparison(say: Console, comparison: Comparison, plan: Plan) -> None:
    """Mean and spread of both kinds of training, and the cost of tuning."""
    seeds = len(comparison.arms[0].trainings)
    say.print(
        f"\n[bold]Trainings[/bold] of {comparison.updates} updates, {'one seed' if seeds == 1 else f'{seeds} seeds'} each"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("  learning rate")
    for heading in (comparison.scores_are, "spread", "each seed"):
        table.add_column(heading, justify="right")
    for arm in comparison.arms:
        each = "  ".join(f"{score:.4f}" for score in arm.scores)
        spread = f"± {arm.std:.4f}" if len(arm.scores) > 1 else "one seed"
        table.add_row(f"  {label(arm)}", f"{arm.mean:.4f}", spread, each)
    say.print(table)
    say.print(f"  Tuning cost {plan.cost:.2f} of one training.")


def label(arm: Arm) -> str:
    """What an arm is called in the report."""
    return f"constant {arm.schedule(0):g}" if arm.name == "constant" else arm.name


def plan_summary(plan: Plan) -> dict[str, Any]:
    """The plan as --json prints it; plan.json holds races and curve as well."""
    keys = ("schedule", "max_lr", "interval", "family", "step_size", "cycles", "updates", "spent", "cost", "reasons")
    record = plan.as_record()
    return {key: record[key] for key in keys}


def results_summary(comparison: Comparison) -> dict[str, Any]:
    """The comparison as --json prints it; trainings.json holds every loss."""

    def summary(arm: Arm) -> dict[str, Any]:
        lr = {"lr": arm.schedule(0)} if arm.name == "constant" else {"schedule": repr(arm.schedule)}
        seeds = [training.seed for training in arm.trainings]
        scores = [records.encode_float(score) for score in arm.scores]
        spread = {
            "mean": records.encode_float(arm.mean),
            "std": records.encode_float(arm.std) if len(arm.scores) > 1 else None,
        }
        return {**lr, "seeds": seeds, comparison.metric: scores, **spread}

    return {arm.name: summary(arm) for arm in comparison.arms}
