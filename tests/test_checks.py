"""Checks of arguments: what their errors contain. The checks themselves are tested with the schedules that use them."""

import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate import checks


def test_a_wrong_type_is_named_with_the_rule_and_the_remedy():
    with pytest.raises(TypeError, match=facts("updates", "integer", "'10'", "str", "round it")):
        checks.refuse_type("updates", "an integer", "10", "round it")


def test_a_value_is_shown_in_one_line_of_bounded_length():
    assert checks.shown("text") == "'text'"
    assert len(checks.shown(list(range(10_000)))) <= checks.SHOWN + len(" ...")
    assert "\n" not in checks.shown(torch.zeros(100, 100))


def test_an_error_about_a_model_or_an_optimizer_is_one_line(toy):
    for call in (
        lambda: toy.range_test(model=toy.optimizer, optimizer=toy.model),
        lambda: toy.range_test(optimizer=toy.model),
        lambda: toy.range_test(loss=toy.optimizer),
        lambda: toy.range_test(also_keep=toy.model),
        lambda: lr.tune(toy.model, updates=300),
    ):
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 500
