"""What is said where a run is tuned before it starts."""

import math
from dataclasses import replace

import pytest

import learnrate as lr
from learnrate.tuner.in_place import Setting, announcement, check_arguments, tune_in_place
from trainables import Quadratic


def plan():
    return lr.tune(Quadratic(), updates=100)


def fails():
    raise lr.errors.NoAnswerError("Every LR diverged.", "Give a lower one.")


def test_the_report_says_what_was_set_what_is_chosen_and_what_it_cost():
    texts = []
    chosen = tune_in_place(plan, Setting(0.02, "linear"), report=texts.append)
    [text] = texts
    first, *others = text.splitlines()
    assert f"{chosen.max_lr:.2g}" in first
    assert f"{chosen.interval[0]:.2g}" in first
    assert "LR 0.02 and linear" in first
    assert any(f"{chosen.spent} updates" in line for line in others)
    for sentence in chosen.reasons:
        assert sentence in text


@pytest.mark.parametrize(
    ("interval", "open_end"),
    [((0.0, 0.4), "0.4 and below"), ((0.01, math.inf), "0.01 and above")],
)
def test_an_interval_that_no_trial_limits_is_open(interval, open_end):
    first, *_ = announcement(replace(plan(), max_lr=0.1, interval=interval), Setting(0.02)).splitlines()
    assert open_end in first


def test_the_smallest_budget_that_is_named_works():
    with pytest.raises(lr.errors.ArgumentError, match="'40 updates'"):
        check_arguments("30 updates", None, 1e-6, 1.0, None)
    assert lr.tune(Quadratic(), updates=60, budget="40 updates").spent <= 40


def test_without_an_answer_the_run_keeps_what_it_had():
    texts = []
    assert tune_in_place(fails, Setting(0.02), report=texts.append) is None
    assert "no answer" in texts[0]
    assert "LR 0.02" in texts[0]
    assert "Every LR diverged" in texts[0]


def test_an_answer_may_be_required():
    with pytest.raises(lr.errors.NoAnswerError):
        tune_in_place(fails, Setting(None), require=True)
    with pytest.raises(lr.errors.ArgumentTypeError, match="require"):
        tune_in_place(fails, Setting(None), require="yes")
