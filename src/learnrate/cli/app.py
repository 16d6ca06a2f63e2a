"""Commands and their options. Everything heavy is imported by the command that needs it, so that --help is quick."""

import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option, Typer

from learnrate.cli import INTERRUPTED
from learnrate.errors import FailedTrainingsError, LearnrateError, NoAnswerError, OutputError
from learnrate.user_code import own_line

NAME = "learnrate"

app = Typer(
    name=NAME,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import learnrate

        print(learnrate.__version__)
        raise typer.Exit


@app.callback()
def learnrate_command(
    version: Annotated[
        bool, Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Find, schedule and compare learning rates for deep learning."""


class RunFailedError(Exception):
    """A run failed for an unknown reason; the cause says how."""


class RunInterruptedError(Exception):
    """Ctrl-C; the text says what was done so far. Typer turns the interrupt itself into a silent exit code."""


def _guarded(command: Callable[[], None]) -> None:
    """Call what a command does, with its errors in the form that `run` reports."""
    try:
        command()
    except KeyboardInterrupt as stop:
        raise RunInterruptedError(*stop.args) from stop
    except LearnrateError:
        raise
    except (Exception, SystemExit) as error:
        # The recipe may raise anything. Wrapped, because Typer treats some errors specially.
        raise RunFailedError from error


def _complete_schedule(incomplete: str) -> list[str]:
    """The text with its last word completed to each name of a schedule."""
    from learnrate.schedules.vocabulary import NAMES

    word = re.search(r"\w*$", incomplete)[0]  # type: ignore[index]
    before = incomplete.removesuffix(word) if word else incomplete
    return [before + name for name in NAMES if name.startswith(word)]


RecipeFile = Annotated[
    Path | None,
    Argument(help="A Python file with a function recipe(); without it, the built-in recipe on handwritten digits."),
]
Seed = Annotated[int, Option(help="Seed of all random numbers.", min=0)]
Out = Annotated[Path | None, Option(help="Folder for the results, new or empty.", show_default="runs/<time>-<recipe>")]
Target = Annotated[
    str | None,
    Option(help="Tell the updates to this metric, or to the mean final metric of the schedule of this name."),
]
Json = Annotated[bool, Option("--json", help="One JSON object on stdout, everything else on stderr.")]
Debug = Annotated[bool, Option("--debug", help="Show tracebacks.")]


@app.command()
def tune(
    recipe: RecipeFile = None,
    updates: Annotated[
        int | None, Option(help="Length of a training run in updates.", show_default="that of the recipe")
    ] = None,
    seed: Seed = 0,
    seeds: Annotated[int, Option(help="Number of training runs of each arm in the comparison.", min=1)] = 3,
    family: Annotated[
        list[str] | None,
        Option(help="Kind of schedule; several are compared.", show_default="warmup_cosine"),
    ] = None,
    budget: Annotated[
        str | None,
        Option(
            help="Maximum cost of tuning: a share of one training run, '500 updates' or '90 seconds'.",
            show_default="by the length of the run",
        ),
    ] = None,
    low: Annotated[float, Option(help="First LR of the range test.")] = 1e-6,
    high: Annotated[float, Option(help="Last LR of the range test.")] = 100.0,
    out: Out = None,
    train: Annotated[bool, Option("--train/--no-train", help="Compare the plan with the usual constant LR.")] = True,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Find the learning rate of a training run, plan its schedule, and compare it with the usual constant LR."""

    def command() -> None:
        from learnrate.cli.tune import Options, tune_command

        tune_command(Options(recipe, updates, seed, seeds, family, budget, low, high, out, train, json))

    _guarded(command)


@app.command()
def range_test(
    recipe: RecipeFile = None,
    updates: Annotated[int, Option(help="Length of the sweep in updates, at least 10.")] = 100,
    seed: Seed = 0,
    seeds: Annotated[int, Option(help="Number of sweeps, each from a new start, which make one mean curve.", min=1)] = 1,
    low: Annotated[float, Option(help="First LR.")] = 1e-7,
    high: Annotated[float, Option(help="Last LR.")] = 10.0,
    out: Out = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a short training with a rising learning rate, and read off its losses which learning rates work."""

    def command() -> None:
        from learnrate.cli.range_test import Options, range_test_command

        range_test_command(Options(recipe, updates, seed, seeds, low, high, out, json))

    _guarded(command)


@app.command()
def show(
    schedule: Annotated[
        str,
        Argument(
            help='An expression, such as "warmup(0.1, 500) >> cosine(0.1, 0, 9500)", or the JSON of a schedule.',
            autocompletion=_complete_schedule,
        ),
    ],
    updates: Annotated[int | None, Option(help="Length of the run in updates.", show_default="that of the schedule")] = None,
    epochs: Annotated[float | None, Option(help="Length of the run in epochs.")] = None,
    updates_per_epoch: Annotated[float | None, Option(help="Number of updates in an epoch.")] = None,
    tokens_per_update: Annotated[float | None, Option(help="Number of tokens in an update.")] = None,
    out: Annotated[Path | None, Option(help="A file for the picture, .png or .svg; an existing one is replaced.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the values of a schedule, its boundaries, and its picture."""

    def command() -> None:
        from learnrate.cli.show import Options, show_command

        show_command(Options(schedule, updates, epochs, updates_per_epoch, tokens_per_update, out, json))

    _guarded(command)


@app.command()
def watch(
    record: Annotated[Path, Argument(help="The record of a run: the file that was given as record=.")],
    host: Annotated[
        str, Option(help="Address to serve the page at; with another one, other machines can reach it.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(help="Its port.", show_default="a free one")] = 0,
    open_browser: Annotated[bool, Option("--open/--no-open", help="Open the page in the browser.")] = False,
    debug: Debug = False,
) -> None:
    """Show a run in the browser, from its record, also while it is being recorded."""

    def command() -> None:
        from learnrate.cli.watch import Options, watch_command

        watch_command(Options(record, host, port, open_browser))

    _guarded(command)


@app.command()
def compare(
    recipe: RecipeFile = None,
    schedule: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=SCHEDULE",
            help="A schedule, with or without a name; give one for each that is compared.",
            autocompletion=_complete_schedule,
        ),
    ] = None,
    seeds: Annotated[int, Option(help="Number of trainings of each schedule.", min=1)] = 5,
    tune_each: Annotated[bool, Option("--tune-each", help="Train each schedule at its own best LR.")] = False,
    tune_budget: Annotated[
        str | None,
        Option(
            help="Maximum cost of the choice of each LR, as the budget of tune.", show_default="by the length of the run"
        ),
    ] = None,
    until_sure: Annotated[
        bool, Option("--until-sure", help="Add seeds until one schedule is surely the best, or the budget is spent.")
    ] = False,
    budget: Annotated[
        str | None,
        Option(help="Maximum cost: '20 seeds', '500000 updates' or '2 hours'.", show_default="30 seeds with --until-sure"),
    ] = None,
    updates: Annotated[
        int | None, Option(help="Length of a training in updates.", show_default="that of the recipe", min=1)
    ] = None,
    evaluate_every: Annotated[
        int | None, Option(help="Updates between two evaluations.", show_default="a twentieth of a training", min=1)
    ] = None,
    target: Target = None,
    executor: Annotated[
        str | None,
        Option(help="Where it is trained: a number of processes, 'processes', 'ray' or 'dask'.", show_default="here"),
    ] = None,
    study: Annotated[
        str | None,
        Option(
            help="File that keeps every training, from which a comparison goes on.", show_default="study.sqlite in --out"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Option(help="Folder for the results: new, empty, or that of --study.", show_default="runs/<time>-<recipe>"),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train with several schedules and the same seeds, and say which is better, by how much, and how sure that is.

    learnrate compare RECIPE.py --schedule "cosine=cosine(0.1, 0)" --schedule "wsd=wsd(0.1)" --seeds 5
    """

    def command() -> None:
        from learnrate.cli.compare import Options, compare_command

        limits = (tune_each, tune_budget, until_sure, budget, updates, evaluate_every)
        compare_command(Options(recipe, schedule or [], seeds, *limits, target, executor, study, out, json))

    _guarded(command)


@app.command()
def report(
    study: Annotated[Path, Argument(help="A study of compare: its file or folder. It may still be in progress.")],
    out: Annotated[
        Path | None, Option(help="The page; an existing one is replaced.", show_default="<study>.html beside the study")
    ] = None,
    target: Target = None,
    open_browser: Annotated[bool, Option("--open/--no-open", help="Open the page in the browser.")] = False,
    png: Annotated[bool, Option("--png", help="Write each picture as PNG too.")] = False,
    svg: Annotated[bool, Option("--svg", help="Write each picture as SVG too.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make one HTML page of a study: ranking, differences, curves, times to a target, cost, and how it was made."""

    def command() -> None:
        from learnrate.cli.study import Options, report_command

        report_command(Options(study, out, target, open_browser, png, svg, json))

    _guarded(command)


def run() -> int:
    """Run the command line; errors become one line on stderr and an exit code."""
    try:
        code = int(app(prog_name=NAME, standalone_mode=False) or 0)
        if sys.stdout is not None:
            sys.stdout.flush()  # otherwise Python does it at its end, and prints a traceback if the disk is full
        return _interrupted() if code == INTERRUPTED else code
    except RunInterruptedError as stop:
        return _interrupted(*stop.args)
    except typer.TyperException as error:
        return _report(error.format_message(), 2)
    except (NoAnswerError, OutputError, FailedTrainingsError) as error:
        # Not a usage error: the folder was writable before the run, for example, and now the disk is full.
        return _report(str(error), 1, error)
    except LearnrateError as error:
        return _report(str(error), 2, error)
    except RunFailedError as error:
        cause = error.__cause__ or error
        if isinstance(cause, BrokenPipeError):
            return 1  # the reader of the output has ended, as `head` does
        return _report(f"the run failed: {own_line(cause)} (--debug shows more)", 1, cause)
    except SystemExit as end:  # Typer's: completion is done, or the reader of the help has ended
        return end.code if isinstance(end.code, int) else 1
    except OSError as error:  # of the help or the version
        sys.stdout = None  # what it still holds cannot be written at the end of Python either
        return 1 if isinstance(error, BrokenPipeError) else _report(f"cannot write to standard output: {error.strerror}", 1)


def _interrupted(*details: str) -> int:
    print(": ".join(["interrupted", *details]), file=sys.stderr)
    return INTERRUPTED


def _report(message: str, code: int, error: BaseException | None = None) -> int:
    if error is not None and "--debug" in sys.argv:
        traceback.print_exception(error)
    if message:  # empty if the help was shown instead
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
