"""Errors and warnings name the user's own line."""

import pytest

from learnrate.errors import LearnrateWarning, RecipeError
from learnrate.user_code import call_user, own_line, warn


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one\n  two\tthree"), "ValueError: one two three"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 388 + " ..."),
    ],
)
def test_an_error_is_described_in_one_line_of_bounded_length(error, expected):
    assert own_line(error) == expected


def test_an_error_names_the_line_of_the_user():
    with pytest.raises(RecipeError, match=r"^it failed: test_user_code\.py, line \d+: .*1 / 0.*ZeroDivisionError"):
        call_user(lambda: 1 / 0, "it failed")
    assert call_user(lambda: 3, "it failed") == 3


def test_a_warning_names_the_line_of_the_user():
    with pytest.warns(LearnrateWarning, match="careful") as warnings:
        warn("careful", LearnrateWarning)
    assert warnings[0].filename == __file__


def test_a_long_line_of_the_user_is_not_shown_in_full(tmp_path):
    for content in ("broken = " + "(" * 3000, "x = 1 / 0  # " + "y" * 3000):
        path = tmp_path / "long.py"
        path.write_text(content)
        with pytest.raises(RecipeError, match=r"^it failed: long\.py, line 1: ") as caught:
            call_user(lambda path=path: exec(compile(path.read_text(), str(path), "exec")), "it failed")
        assert len(str(caught.value)) < 700
