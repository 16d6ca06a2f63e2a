"""Checks of arguments: what their errors contain. The checks themselves are tested with the schedules that use them."""

import json

import numpy as np
import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError
from trainables import Quadratic


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


FLAGS = {
    "restore of a range test": lambda toy, value: toy.range_test(restore=value),
    "restore of any range test": lambda toy, value: lr.range_test(lambda rate: 1.0, restore=value),
    "restore of preserve": lambda toy, value: lr.torch.preserve(toy.model, toy.optimizer, restore=value).__enter__(),
    "relative of attach": lambda toy, value: lr.torch.attach(toy.optimizer, lr.constant(0.1), relative=value),
    "relative of Scheduler": lambda toy, value: lr.torch.Scheduler(toy.optimizer, lr.constant(0.1), relative=value),
    "closure of an update": lambda toy, value: toy.range_test(closure=value),
    "together of tune": lambda toy, value: lr.torch.tune(
        toy.model, toy.optimizer, toy.batches, toy.loss, updates=100, together=value
    ),
    "test of a recipe": lambda toy, value: lr.torch.Recipe(*[lambda *arguments: None] * 4).trainable(0, test=value),
}


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("value", ["False", "no", 0, 1, []])
def test_a_flag_is_true_or_false_and_not_what_is_taken_as_one(toy, flag, value):
    with pytest.raises(ArgumentTypeError, match=facts(flag.split()[0], "True", "False", value)):
        FLAGS[flag](toy, value)


@pytest.mark.parametrize("call", [lr.range_test, lambda step, **lrs: lr.tune(Quadratic(), updates=100, **lrs)])
def test_lrs_beyond_single_precision_are_refused(call):
    with pytest.raises(ArgumentError, match=facts("high", "1e30", "1e+308")):
        call(lambda rate: 1.0, high=1e308)
    with pytest.raises(ArgumentError, match=facts("low", "1e30", "1e+307")):
        call(lambda rate: 1.0, low=1e307, high=1e308)


def test_a_schedule_beyond_single_precision_is_no_sweep():
    with pytest.raises(ArgumentError, match=facts("schedule", "1e30")):
        lr.range_test(lambda rate: 1.0, schedule=lr.exponential(1e-3, 1e35, 20))


@pytest.mark.parametrize("limit", ["clip_norm", "clip_value"])
def test_limits_of_gradients_beyond_single_precision_are_refused(toy, limit):
    with pytest.raises(ArgumentError, match=facts(limit, "1e30")):
        toy.range_test(**{limit: 1e308})


@pytest.mark.parametrize(
    "value", [10**5000, [10**5000], json.loads("[" * 900 + "]" * 900)], ids=["digits", "a list", "nested"]
)
def test_a_value_that_python_does_not_print_is_shown_by_its_type(value):
    assert type(value).__name__ in checks.shown(value) or len(checks.shown(value)) > checks.SHOWN
    with pytest.raises(ArgumentTypeError, match=facts("name")):
        checks.text("name", value)


def test_an_array_without_a_dimension_is_no_data(toy):
    for argument in ("batches", "evaluate"):
        for value in (np.array(1.0), torch.tensor(1.0), np.array("x")):
            with pytest.raises(ArgumentTypeError, match=facts(argument)):
                toy.range_test(**{argument: value})
    with pytest.raises(ArgumentTypeError, match=facts("held_out")):
        lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, np.array(1.0), low=0.1, high=1)
    with pytest.raises(ArgumentTypeError, match=facts("model")):
        lr.torch.accuracy_test({}, toy.optimizer, toy.batches, toy.loss, [(torch.zeros(1), torch.zeros(1))], low=0.1, high=1)


class Unprintable:
    def __repr__(self):
        raise RuntimeError


def test_an_object_whose_repr_fails_is_shown_by_its_type():
    with pytest.raises(ArgumentTypeError, match=facts("value", "a number", "Unprintable")):
        lr.constant(Unprintable())


def test_the_entries_of_a_sequence_are_checked_one_by_one():
    check = checks.several(checks.positive, of="numbers")
    assert check("rates", iter((1, 2))) == check("rates", np.array([1.0, 2.0])) == check("rates", [1, 2]) == (1.0, 2.0)
    with pytest.raises(ArgumentError, match=facts("rates[1]", "above 0", -2)):
        check("rates", (1, -2))
    for value in ("12", b"12", {1: 2}, 5, None, np.array(1.0), torch.tensor(1.0), list, iter):
        with pytest.raises(ArgumentTypeError, match=facts("rates", "a sequence of numbers")):
            check("rates", value)


@pytest.mark.parametrize("number", [2**53, 2**62, 10**30], ids=str)
def test_numbers_of_updates_and_batches_beyond_any_run_are_refused(toy, number):
    held_out = [(toy.inputs[:4], toy.targets[:4])]
    arguments = (toy.model, toy.optimizer, toy.batches, toy.loss, held_out)
    for test in (
        lambda: lr.range_test(lambda rate: 1.0, updates=number),
        lambda: toy.range_test(updates=number),
        lambda: lr.torch.accuracy_test(*arguments, low=0.01, high=1, epochs=number),
    ):
        with pytest.raises(ArgumentError, match=facts("updates", "at most")):
            test()
    if number > checks.LONGEST:
        with pytest.raises(ArgumentError, match=facts("held_out_batches", "at most")):
            lr.torch.accuracy_test(*arguments, low=0.01, high=1, held_out_batches=number)
        for drive in (lr.torch.attach, lr.torch.Scheduler):
            with pytest.raises(ArgumentError, match=facts("start", "at most")):
                drive(toy.optimizer, lr.constant(0.1), start=number)
