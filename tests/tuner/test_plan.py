"""The plan: its schedule, its reasons by section, how it is shown, saved and loaded."""

import math

import numpy as np
import pytest

import learnrate as lr
from learnrate.errors import NoAnswerError
from learnrate.tuner import Reasons
from trainables import Quadratic, Regression, check_reasons, with_evaluation


def has(sentences, *words):
    """Whether one of the sentences has all of these words."""
    return any(all(word in sentence for word in words) for sentence in sentences)


@pytest.fixture(scope="module")
def regression():
    return lr.tune(Regression(), updates=410)


def test_the_default_plan_warms_up_and_falls_to_zero(regression):
    plan = regression
    assert plan.schedule == lr.warmup(plan.max_lr, 41) >> lr.cosine(plan.max_lr, 0.0, 369)
    assert (plan.family, plan.step_size, plan.cycles, plan.updates, plan.length) == ("warmup_cosine", None, None, 410, 410)
    low, high = plan.interval
    assert low <= plan.max_lr <= high


def test_every_section_of_the_reasons_has_its_facts(regression):
    plan, reasons = regression, regression.reasons
    check_reasons(plan)
    assert has(reasons.range_test, "base_lr", f"{plan.bounds.base_lr:.2g}")
    assert has(reasons.trials, "Trials of ", "LR ", "loss ", "score ")
    low, high = plan.interval
    assert has(reasons.choice, f"max_lr {plan.max_lr:.2g}", "regret")
    assert has(reasons.choice, "max_lr", f"{low:.2g} to {high:.2g}", "5 %")
    assert has(reasons.choice, "410 updates", "lower than")
    assert has(reasons.cost, f"{plan.spent} updates", f"{100 * plan.cost:.0f} %", "(410)")
    assert has(reasons.cost, "more updates")


def test_reasons_print_sentence_by_sentence_or_by_section(regression):
    reasons = regression.reasons
    assert [*reasons.probe, *reasons.range_test, *reasons.trials, *reasons.choice, *reasons.cost] == list(reasons)
    lines = str(reasons).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["Probe", "Range test", "Trials", "Choice", "Cost"]
    assert [line.strip() for line in lines if line.startswith(" ")] == list(reasons)
    assert Reasons.from_record(reasons.as_record()) == reasons


def test_no_larger_budget_is_recommended_if_it_gains_nothing():
    plan = lr.tune(Regression(), updates=100, budget=4.0)
    assert len(plan.reasons.cost) == 1
    assert max(trial.updates for trial in plan.trials) == 50


def test_every_trial_is_among_the_reasons():
    plan = lr.tune(Quadratic(), updates=300)
    rungs = [reason for reason in plan.reasons.trials if reason.startswith("Trials of")]
    assert sum(rung.count("LR ") for rung in rungs) == len(plan.trials)
    assert sum(rung.count("diverged") for rung in rungs) == sum(trial.diverged for trial in plan.trials) > 0
    for updates in {trial.updates for trial in plan.trials}:
        assert has(rungs, f"of {updates} updates")


def test_an_evaluation_has_its_own_name_in_the_reasons():
    trainable = Quadratic()
    plan = lr.tune(with_evaluation(trainable, lambda: {"accuracy": -abs(trainable.weight), "f1": 0.5}), updates=300)
    assert has(plan.reasons.trials, "accuracy -")
    assert not has(plan.reasons, "f1")


def test_the_reasons_say_why_trials_were_not_batched(regression):
    assert has(regression.reasons.trials, "one by one", "cannot be batched")


def test_evaluations_without_a_number_are_counted():
    plan = lr.tune(with_evaluation(Quadratic(), lambda: math.nan), updates=300)
    finished = sum(not trial.diverged for trial in plan.trials)
    assert has(plan.reasons.trials, "no finite number", f"{finished + 1}")
    check_reasons(plan)


@pytest.mark.parametrize(
    "arguments", [{}, {"family": "triangular2"}, {"family": lr.constant}, {"family": ["wsd", "one_cycle"], "updates": 900}]
)
def test_the_printed_form_is_short_and_says_what_a_user_wants_to_know(arguments):
    plan = lr.tune(Regression(), **{"updates": 400, **arguments})
    for text in (repr(plan), str(plan)):
        assert len(text.splitlines()) <= 12
        assert repr(plan.schedule) in text
        assert f"{plan.max_lr:.2g}" in text
        assert f"{100 * plan.cost:.0f} %" in text
        assert plan.family in text


def test_the_notebook_form_has_the_summary_the_picture_and_the_reasons():
    pytest.importorskip("matplotlib")
    plan = lr.tune(Regression(), updates=400, family={"<mine>": lambda max_lr: lr.cosine(max_lr, 0.0, 400)})
    html = plan._repr_html_()
    assert "<svg" in html
    assert "&lt;mine&gt;" in html
    assert "<mine>" not in html
    assert html.count("<li>") == len(list(plan.reasons))
    assert all(heading in html for heading in ("Range test", "Trials", "Choice", "Cost"))


def test_a_plan_is_drawn_to_its_end():
    pytest.importorskip("matplotlib")
    plan = lr.tune(Regression(), updates=400, family=lr.constant)
    assert plan.plot().get_lines()[0].get_xdata()[-1] == pytest.approx(400, abs=1)


def test_a_plan_saves_and_loads(tmp_path):
    flat = lr.Curve(np.geomspace(1e-6, 10, 40), [4.5] * 40)
    for arguments in ({}, {"family": "triangular2"}, {"family": lr.constant}, {"curve": flat}):
        plan = lr.tune(Quadratic(), updates=300, **arguments)
        plan.save(tmp_path / "plan.json")
        loaded = lr.Plan.load(tmp_path / "plan.json")
        assert loaded == plan
        assert type(loaded.bounds) is type(plan.bounds)
    assert isinstance(loaded.bounds, lr.NoAnswer)
    assert has(plan.reasons.range_test, "no answer", "the loss is exactly 4.5")
    with pytest.raises(NoAnswerError):
        _ = loaded.bounds.max_lr


def test_scores_of_any_library_are_saved(tmp_path):
    trainable = Quadratic()
    plan = lr.tune(with_evaluation(trainable, lambda: np.float32(-abs(trainable.weight))), updates=300)
    assert all(type(trial.score) is float for trial in plan.trials if not trial.diverged)
    plan.save(tmp_path / "plan.json")
    assert lr.Plan.load(tmp_path / "plan.json") == plan
    with pytest.raises((TypeError, RuntimeError), match="score must be a scalar, received a str"):
        lr.tune(with_evaluation(Quadratic(), lambda: "good"), updates=300)


def test_an_interval_is_open_above_the_highest_lr_that_was_tried(tmp_path):
    plan, inside = (lr.tune(Quadratic(curvature=1e-3, noise=0.0), updates=200, high=high) for high in (10.0, 1e5))
    highest = max(trial.max_lr for trial in plan.trials)
    assert plan.interval[1] == math.inf
    assert has(plan.reasons.choice, f"No LR above {highest:.2g}", "higher")
    assert has(plan.reasons.trials, "stopped", "`high`")
    assert math.isfinite(inside.interval[1])
    assert not has(inside.reasons.choice, "No LR above")
    plan.save(tmp_path / "plan.json")
    assert lr.Plan.load(tmp_path / "plan.json") == plan
    assert f"{plan.interval[0]:.2g} and above" in repr(plan)
    check_reasons(plan)
