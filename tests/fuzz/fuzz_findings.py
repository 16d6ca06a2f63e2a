"""What counts as a finding: an error that is not one of learnrate's own, or a message that nobody can read."""

import random
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import learnrate as lr
from learnrate.errors import LearnrateError, LearnrateWarning

Case = Callable[[random.Random], "Finding | None"]
"""Makes one case from random numbers, and returns what is wrong, or None."""

PACKAGE = str(Path(lr.__file__).parent)

LONGEST_MESSAGE = 1300
"""Characters: a message shows at most 200 of each value, and a few values; of a path 1000."""


@dataclass(frozen=True)
class Finding:
    """What is wrong, and the place in the code, by which repeated findings are counted."""

    what: str
    place: str

    def of(self, call: str) -> "Finding":
        """The finding with the call that led to it."""
        return Finding(f"{call}: {self.what}", self.place)


def finding(call: Callable[[], object], *, users_code: bool = False) -> Finding | None:
    """Run a call that may be refused. Returns what is wrong with the error that it raises, None if nothing is.

    Args:
        call: What is tried.
        users_code: Whether the call runs code of a user (a model, a loss), whose errors may be of any kind.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", LearnrateWarning)
            warnings.simplefilter("ignore", UserWarning)  # of the frameworks
            call()
    except LearnrateError as error:
        message = str(error)
        if len(message) > LONGEST_MESSAGE:
            return Finding(f"a message of {len(message)} characters: {message[:300]}", _place(error))
        if "\n" in message:
            return Finding(f"a message of several lines: {message[:300]!r}", _place(error))
    except Exception as error:
        if not users_code or (isinstance(error, (LookupError, AttributeError)) and _is_own(error)):
            return Finding(f"{type(error).__name__}: {str(error)[:200]} ({_place(error)})", _place(error))
    return None


class TooSlow(BaseException):
    """A case takes too long. Not an Exception, which a case may catch."""


SLOWEST = 60
"""Seconds that one case may take, on a machine that does something else as well."""


def in_time(case: Callable[[], Finding | None], seconds: float = SLOWEST) -> Finding | None:
    """The finding of a case, or that it takes too long, as one without end does. In the main thread alone."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return case()
    except TooSlow as error:
        return Finding(f"more than {seconds} seconds", _place(error))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_own(error: Exception) -> bool:
    """Whether a line of learnrate raised the error: it calls a user's function, but asks a user's object for nothing unchecked."""
    return traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE)


def _place(error: BaseException) -> str:
    """The last lines of learnrate in the traceback, those of its checks left out."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(PACKAGE)]
    frames = [frame for frame in frames if Path(frame.filename).name != "checks.py"] or frames
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:])) or "outside"
