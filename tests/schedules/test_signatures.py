"""Signatures and help texts show plain types; the rule of a field is in the docstring."""

import inspect
import pydoc
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

import learnrate as lr
from learnrate.schedules.vocabulary import COMBINED, RUNS, SCHEDULES

PUBLIC = {**SCHEDULES, **COMBINED, **RUNS, "Horizon": lr.Horizon}


@pytest.mark.parametrize("name", PUBLIC)
def test_signature_and_help_show_plain_types(name):
    text = f"{inspect.signature(PUBLIC[name])} {pydoc.plain(pydoc.render_doc(PUBLIC[name]))}"
    for private in ("Annotated", "<function", "<object", "Field(default", "<factory>"):
        assert private not in text


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_argument_is_documented(name):
    schedule = SCHEDULES[name]
    section = schedule.__doc__.split("Args:")[1].split("Raises:")[0]
    for parameter in inspect.signature(schedule).parameters:
        assert f"        {parameter}: " in section


@pytest.mark.parametrize("name", SCHEDULES)
def test_words_of_a_choice_are_documented(name):
    for hint in get_type_hints(SCHEDULES[name]).values():
        if get_origin(hint) is Literal:
            assert all(f'"{word}"' in SCHEDULES[name].__doc__ for word in get_args(hint))


def test_help_of_the_package_lists_every_schedule():
    text = pydoc.plain(pydoc.render_doc(lr))
    for name in (*SCHEDULES, *RUNS):
        assert f" {name}(" in text
