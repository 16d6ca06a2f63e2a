"""Commands and their options. Everything heavy is imported by the command that needs it, so that --help is quick."""

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option, Typer

from learnrate.cli import INTERRUPTED
from learnrate.errors import LearnrateError, NoAnswerError, OutputError
from learnrate.user_code import own_line

app = Typer(
    name="learnrate",
    add_completion=False,
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


@app.command()
def tune(
    recipe: Annotated[
        Path | None,
        Argument(help="A Python file with a function recipe(); without it, the built-in recipe on handwritten digits."),
    ] = None,
    updates: Annotated[
        int | None, Option(help="Length of a training run in updates.", show_default="that of the recipe")
    ] = None,
    seed: Annotated[int, Option(help="Seed of all random numbers.", min=0)] = 0,
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
    out: Annotated[
        Path | None, Option(help="Folder for the results, new or empty.", show_default="runs/<time>-<recipe>")
    ] = None,
    train: Annotated[bool, Option("--train/--no-train", help="Compare the plan with the usual constant LR.")] = True,
    json: Annotated[bool, Option("--json", help="One JSON object on stdout, everything else on stderr.")] = False,
    debug: Annotated[bool, Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Find the learning rate of a training run, plan its schedule, and compare it with the usual constant LR."""
    try:
        from learnrate.cli.tune import Options, tune_command

        tune_command(Options(recipe, updates, seed, seeds, family, budget, low, high, out, train, json))
    except KeyboardInterrupt as stop:
        raise RunInterruptedError(*stop.args) from stop
    except LearnrateError:
        raise
    except (Exception, SystemExit) as error:
        # The recipe may raise anything. Wrapped, because Typer treats some errors specially.
        raise RunFailedError from error


def run() -> int:
    """Run the command line; errors become one line on stderr and an exit code."""
    try:
        code = int(app(standalone_mode=False) or 0)
        if sys.stdout is not None:
            sys.stdout.flush()  # otherwise Python does it at its end, and prints a traceback if the disk is full
        return _interrupted() if code == INTERRUPTED else code
    except RunInterruptedError as stop:
        return _interrupted(*stop.args)
    except typer.TyperException as error:
        return _report(error.format_message(), 2)
    except (NoAnswerError, OutputError) as error:
        # Not a usage error: the folder was writable before the run, for example, and now the disk is full.
        return _report(str(error), 1, error)
    except LearnrateError as error:
        return _report(str(error), 2, error)
    except RunFailedError as error:
        cause = error.__cause__ or error
        if isinstance(cause, BrokenPipeError):
            return 1  # the reader of the output has ended, as `head` does
        return _report(f"the run failed: {own_line(cause)} (--debug shows more)", 1, cause)
    except SystemExit:  # Typer's, when the reader of the help has ended
        return 1
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
