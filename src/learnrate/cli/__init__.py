"""The command line: `learnrate tune`."""

import sys

from learnrate.errors import MissingExtraError


def main() -> None:
    """Run the command line and exit: 0 done, 1 a failed run, 2 bad input, 130 interrupted."""
    try:
        from learnrate.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        missing = MissingExtraError(f"the command line needs {error.name}: pip install 'learnrate[cli]'", name=error.name)
        print(f"error: {missing}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run())
