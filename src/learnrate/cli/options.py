"""Errors about the arguments of a function, in the words of the command line that has set them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from learnrate.errors import ArgumentError, ArgumentTypeError

NAMES = ("seeds", "updates", "evaluate_every", "tune_each", "until_sure", "budget", "executor", "study")
"""Arguments of `compare` that are options of `learnrate compare`, whose names have "-" instead of "_"."""

_WORDS = (
    # A budget of the choice is an option of its own.
    (r"^tune_each must be a budget\b", "--tune-budget must be a budget"),
    # An argument where it is the subject of a sentence, and where it is given.
    (rf"(?:^|(?<=: ))({'|'.join(NAMES)})(?= must be )", lambda match: _option(match[1])),
    (rf"\b({'|'.join(NAMES)})=(?:True\b)?", lambda match: _option(match[1])),
    # An option is given or left out; it is not False or None.
    (r"(?<= must be )(?:False|None)\b", "left out"),
    (r"(?<= must be )True\b", "given"),
    (r", received (?:False|None)\b", ", but it is left out"),
    (r", received True\b", ", but it is given"),
)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def in_words_of_options(message: str) -> str:
    """A message about arguments as one about options.

    Example:
        >>> in_words_of_options("until_sure must be False with a single arm, received True: there is nothing to be sure of")
        '--until-sure must be left out with a single arm, but it is given: there is nothing to be sure of'
    """
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    return message


@contextmanager
def about_options() -> Iterator[None]:
    """Raise errors about arguments as errors about options. Those with more than a text, as of a schedule, are kept."""
    try:
        yield
    except (ArgumentError, ArgumentTypeError) as error:
        if type(error) not in (ArgumentError, ArgumentTypeError):
            raise
        raise type(error)(in_words_of_options(str(error))) from error
