"""The command line: `learnrate tune`."""

import os
import signal
import sys

from learnrate.errors import MissingExtraError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 a failed run, 2 bad input, 130 interrupted."""
    try:
        code = _run()
        # All is done and written: an interrupt now would only spoil the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # before the command had begun
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    if code == INTERRUPTED:
        # Under `python -m`, CPython ends the process by the signal, and not with this code, where the interrupt fell into
        # an exec() of a string, such as dataclasses and named tuples make; so the end is not left to it.
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
