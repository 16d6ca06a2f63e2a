"""Errors about arguments in the words of the command line."""

import pytest

from learnrate.cli.options import about_options, in_words_of_options
from learnrate.errors import ArgumentError, ParseError


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("executor must be at least 1, received 0", "--executor must be at least 1, received 0"),
        (
            "evaluate_every must be None as it is in the study, received 5: continue it",
            "--evaluate-every must be left out as it is in the study, received 5: continue it",
        ),
        (
            "tune_each must be True as it is in the study, received False: continue it",
            "--tune-each must be given as it is in the study, but it is left out: continue it",
        ),
        (
            "budget must be updates or a time unless until_sure=True, received '9 seeds': give seeds=",
            "--budget must be updates or a time unless --until-sure, received '9 seeds': give --seeds",
        ),
        ("the arm 'my updates' must be as it is", "the arm 'my updates' must be as it is"),
        ("the data in study must be as they were", "the data in study must be as they were"),
    ],
)
def test_arguments_are_named_as_options(message, words):
    assert in_words_of_options(message) == words


def test_errors_keep_their_kind_and_those_of_schedules_their_column():
    with pytest.raises(ArgumentError, match=r"^--seeds must be 1$"), about_options():
        raise ArgumentError("seeds must be 1")
    with pytest.raises(ParseError) as caught, about_options():
        raise ParseError("updates must be 1", 3)
    assert caught.value.column == 3
