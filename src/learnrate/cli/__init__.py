"""The command line: `learnrate tune`, `range-test`, `show`, `watch`, `compare`, `report`."""

import os
import signal
import sys

from learnrate.errors import MissingExtraError
from learnrate.interrupts import raise_again_once_loaded

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 a failed run, 2 bad input, 130 interrupted."""
    try:
        raise_again_once_loaded()
        code = _run()
        # Everything is written: an interrupt now would only change the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # before the command has started
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    if code == INTERRUPTED:
        # Under `python -m`, CPython ends the process by the signal instead of this code if the interrupt came within an
        # exec() of a string, which dataclasses and named tuples use.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    try:
        from learnrate.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        missing = MissingExtraError(f"the command line needs {error.name}: pip install 'learnrate[cli]'", name=error.name)
        print(f"error: {missing}", file=sys.stderr)
        return 2
    return run()
