"""Errors in the user's own code, in one line that names the user's own line."""

import os
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from learnrate import checks
from learnrate.errors import RecipeError

T = TypeVar("T")

_FOREIGN = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for folder in (str(Path(__file__).parent), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
)
"""Folders whose files are not the user's own."""

LONGEST = 400
"""Characters of an error's message that are shown: torch, for example, lists every weight that does not fit."""


def own_line(error: BaseException) -> str:
    """The error in one line, preceded by the last line of the user's own files in its traceback, if there is one.

    The user's own files are those outside learnrate, the installed packages and the standard library.
    """
    kind, text = type(error).__name__, str(error)
    message = checks.short(f"{kind}: {text}" if text else kind, LONGEST)
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        line = checks.shown((error.text or "").strip())
        return f"{Path(error.filename).name}, line {error.lineno}: {line}: SyntaxError: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    if not frames:
        return message
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}: {checks.shown(frames[-1].line)}: {message}"


def _is_own(filename: str) -> bool:
    return not filename.startswith("<") and not str(Path(filename).resolve()).startswith(_FOREIGN)


def call_user(function: Callable[[], T], failure: str) -> T:
    """Call a function of the user.

    Raises:
        RecipeError: if it fails; the message begins with `failure` and names the user's own line.
    """
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{failure}: {own_line(error)}") from error


def warn(message: str, category: type[Warning]) -> None:
    """Issue a warning that names the user's own line, the nearest one in the calls that led here (see `own_line`)."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and not _is_own(frame.f_code.co_filename):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth + 1)
