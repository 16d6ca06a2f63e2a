"""Where the results of a command go: a report, or one JSON object on stdout."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from learnrate.cli.streams import prepare_streams, require_written, reserved_stdout
from learnrate.errors import OutputError


def with_output(work: Callable[[], dict[str, Any]], *, as_json: bool) -> dict[str, Any]:
    """Do the work of a command, and print the summary that it returns if it is wanted as JSON.

    Args:
        work: Prints its report, on stderr if `as_json`, and returns the summary: the object for stdout.
        as_json: Whether stdout receives the summary alone.

    Returns:
        The summary.

    Raises:
        OutputError: if standard output cannot be written to.
    """
    prepare_streams()
    if not as_json:
        summary = work()
        with _refusing_lost_output(summary):
            require_written(sys.stdout)
        return summary
    with reserved_stdout() as stdout:
        summary = work()
    with _refusing_lost_output(summary), stdout:
        stdout.write(json.dumps(summary, indent=1, allow_nan=False) + "\n")
    return summary


@contextmanager
def _refusing_lost_output(summary: Mapping[str, Any]) -> Iterator[None]:
    """Turn the error of a stdout that cannot be written, as on a full disk, into one that says where the results are."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"; the results are in {summary['out']}" if summary.get("out") else ""
        raise OutputError(f"cannot write to standard output: {error.strerror or error}{where}") from error
