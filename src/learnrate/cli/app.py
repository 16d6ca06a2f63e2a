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
    """A run failed, by no fault of learnrate's that it knows of; the cause says how."""


class RunInterruptedError(Exception):
    """Ctrl-C; the text says what was done so far, if anything. Of the interrupt itself Typer makes a silent exit code."""


@app.command()
def tune(
    recipe: Annotated[
        Path | None,
        Argument(help="A Python file with a function recipe(); without it, the built-in recipe on handwritten digits."),
    ] = None,
    updates: Annotated[int | None, Option(help="Length of a training in updates.  [default: the recipe's]")] = None,
    seed: Annotated[int, Option(help="Where all random numbers begin.", min=0)] = 0,
    seeds: Annotated[int, Option(help="Trainings of each kind in the comparison.", min=1)] = 3,
    family: Annotated[
        list[str] | None,
        Option(help="Kind of schedule; given several times, they are compared.  [default: warmup_cosine]"),
    ] = None,
    budget: Annotated[
        str | None,
        Option(help="What tuning may cost: a share of one training, '500 updates' or '90 seconds'.  [default: by length]"),
    ] = None,
    low: Annotated[float, Option(help="First LR of the range test.")] = 1e-6,
    high: Annotated[float, Option(help="Last LR of the range test.")] = 100.0,
    out: Annotated[
        Path | None, Option(help="Folder for the results, new or empty.  [default: runs/<time>-<recipe>]")
    ] = None,
    train: Annotated[bool, Option("--train/--no-train", help="Compare the plan with the usual constant LR.")] = True,
    json: Annotated[bool, Option("--json", help="One JSON object on stdout, everything else on stderr.")] = False,
    debug: Annotated[bool, Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Find the learning rate for a training run, plan its schedule, and show what that gained."""
    try:
        import learnrate

        _ = learnrate.torch  # says how to install PyTorch, where it is missing
        from learnrate.cli.tune import Options, tune_command

        tune_command(Options(recipe, updates, seed, seeds, family, budget, low, high, out, train, json))
    except KeyboardInterrupt as stop:
        raise RunInterruptedError(*stop.args) from stop
    except LearnrateError:
        raise
    except (Exception, SystemExit) as error:
        # The recipe's own code may raise anything. Wrapped, because Typer gives some errors a meaning of its own.
        raise RunFailedError from error


def run() -> int:
    """Run the command line; errors become one line on stderr and an exit code."""
    try:
        code = int(app(standalone_mode=False) or 0)
        return _interrupted() if code == INTERRUPTED else code
    except RunInterruptedError as stop:
        return _interrupted(*stop.args)
    except typer.TyperException as error:
        return _said(error.format_message(), 2)
    except (NoAnswerError, OutputError) as error:
        # No fault of what was asked: the folder, say, was found writable before the run, and now the disk is full.
        return _said(str(error), 1, error)
    except LearnrateError as error:
        return _said(str(error), 2, error)
    except RunFailedError as error:
        cause = error.__cause__ or error
        if isinstance(cause, BrokenPipeError):
            return 1  # whoever read the output has gone, as `head` does
        return _said(f"the run failed: {own_line(cause)} (--debug shows more)", 1, cause)
    except SystemExit:  # Typer's, when whoever read the help has gone
        return 1


def _interrupted(*said: str) -> int:
    print(": ".join(["interrupted", *said]), file=sys.stderr)
    return INTERRUPTED


def _said(message: str, code: int, error: BaseException | None = None) -> int:
    if error is not None and "--debug" in sys.argv:
        traceback.print_exception(error)
    if message:  # there is none where the help was shown instead
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
