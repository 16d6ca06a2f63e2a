"""`learnrate range-test`: sweeps, the curve, the bounds that are read off it, figure and page."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from learnrate import checks, figures
from learnrate.cli.folder import Folder
from learnrate.cli.output import with_output
from learnrate.cli.report import print_range_test, print_section
from learnrate.cli.run import Loaded, check_sweep, in_folder, load_recipe
from learnrate.cli.streams import Bars
from learnrate.errors import NoAnswerError
from learnrate.finder import Bounds, Curve, NoAnswer, range_test
from learnrate.finder.sweep import MIN_UPDATES, MOST_UPDATES, sweep_of


@dataclass(frozen=True)
class Options:
    """The options of the command; see `learnrate range-test --help`."""

    recipe: Path | None
    updates: int
    seed: int
    seeds: int
    low: float
    high: float
    out: Path | None
    json: bool


def range_test_command(options: Options) -> None:
    """Run the command; every file is written as soon as its content is known.

    Raises:
        NoAnswerError: if no bounds can be read off the curve. The curve is written and the summary is printed before.
    """
    summary = with_output(lambda: run_command(options), as_json=options.json)
    if summary["no_answer"] is not None:
        reason, remedy = summary["no_answer"].values()
        raise NoAnswerError(reason, f"{remedy} The curve is in {summary['out']}.")


def run_command(options: Options) -> dict[str, Any]:
    """Everything but the JSON on stdout, which is returned."""
    figures.require()
    check_sweep(options.low, options.high, options.seed, options.seeds)
    # Refused before a folder is created; `range_test` makes its own.
    updates = checks.whole("--updates", options.updates, MIN_UPDATES, MOST_UPDATES)
    sweep_of(options.low, options.high, updates, "exponential", None, None, None, None)
    loaded = load_recipe(options.recipe, options.out)
    return in_folder(loaded, lambda *place: run_sweeps(loaded, options, *place), as_json=options.json)


def run_sweeps(loaded: Loaded, options: Options, folder: Folder, console: Console, bars: Bars) -> dict[str, Any]:
    """A sweep for each seed, figure and page; returns what --json prints."""
    seeds = f"seed {options.seed}" if options.seeds == 1 else f"{options.seeds} seeds from {options.seed} on"
    console.print(
        f"[bold]{escape(loaded.name)}[/bold]: a range test of {options.updates} updates from {options.low:g} to "
        f"{options.high:g}, {seeds}"
    )
    curve = swept(loaded, options, folder, bars)
    bounds = curve.bounds()
    summary = summary_of(curve, bounds, folder)
    # Each result is printed and written, even if the other fails: a disk may be full, a pipe closed.
    try:
        print_range_test(console, curve, bounds)
    finally:
        folder.write_summary("range-test", summary)
    if curve.ended == "interrupted":  # Ctrl-C does not wait for a figure
        raise KeyboardInterrupt
    print_bounds(console, bounds)
    folder.draw_curve(curve, bounds)
    if not folder.write_page(curve):
        console.print("\nNo page of the curve: plotly is not installed (pip install 'learnrate\\[pages]')")
    console.print(f"\nCurve and figure are in [bold]{escape(str(folder.path))}[/bold]")
    return summary


def swept(loaded: Loaded, options: Options, folder: Folder, bars: Bars) -> Curve:
    """The curve, the mean of several sweeps if there are several seeds; written after each sweep."""
    curves: list[Curve] = []
    for seed in range(options.seed, options.seed + options.seeds):
        title = "range test" if options.seeds == 1 else f"range test, seed {seed}"
        sweep = range_test(
            loaded.trainable(seed),
            low=options.low,
            high=options.high,
            updates=options.updates,
            restore=False,  # the next seed gets a new one
            progress=lambda done, planned, title=title: bars.show(title, done, planned),  # type: ignore[misc]
        )
        curves.append(replace(sweep, seeds=(seed,)))
        curve = curves[0] if len(curves) == 1 else Curve.merge(curves)
        folder.write_curve(curve)
        if sweep.ended == "interrupted":
            return replace(curve, ended="interrupted")
    return curve


def print_bounds(console: Console, bounds: Bounds | NoAnswer) -> None:
    """The numbers, for those who skip the reasons."""
    if isinstance(bounds, Bounds):
        numbers = (f"base_lr {bounds.base_lr:g}", f"max_lr {bounds.max_lr:g}", f"lr {bounds.lr:g}")
        print_section(console, "Bounds", (", ".join(numbers),))


def summary_of(curve: Curve, bounds: Bounds | NoAnswer, folder: Folder) -> dict[str, Any]:
    """What --json prints; curve.json holds every loss."""
    answered = isinstance(bounds, Bounds)
    return {
        "bounds": bounds.as_record() if isinstance(bounds, Bounds) else None,
        "no_answer": None if answered else {"reason": bounds.reason, "remedy": bounds.remedy},  # type: ignore[union-attr]
        "updates": len(curve),
        "ended": curve.ended,
        "notes": list(curve.notes),
        "seeds": list(curve.seeds),
        "out": str(folder.path),
    }
