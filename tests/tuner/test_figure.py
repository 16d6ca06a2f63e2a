"""The picture of the trials of a plan."""

from dataclasses import replace

import pytest

import learnrate as lr
from learnrate.tuner import Probe
from trainables import Quadratic

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def plan():
    return lr.tune(Quadratic(), updates=600)


def drawn(plan):
    from matplotlib.figure import Figure

    return plan.plot_trials(Figure().subplots())


def points(ax, marker):
    return {x for line in ax.lines if line.get_marker() == marker for x in line.get_xdata()}


def test_each_trial_is_a_point_at_its_lr_or_a_cross_if_it_diverged(plan):
    first, *others = plan.trials
    plan = replace(plan, trials=(*others, replace(first, loss=float("inf"))))
    ax = drawn(plan)
    assert points(ax, "o") == {trial.max_lr for trial in plan.trials if not trial.diverged}
    assert points(ax, "x") == {first.max_lr}
    low, high = ax.get_ylim()
    assert all(low < trial.loss < high for trial in plan.trials if not trial.diverged)


def test_the_chosen_lr_and_that_of_the_probe_have_lines(plan):
    def lines(ax):
        return {line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2}

    assert plan.max_lr in lines(drawn(plan))
    probe = Probe(0.031, (0.01, 0.1), "A reason.", "prodigy", 100)
    assert {plan.max_lr, 0.031} <= lines(drawn(replace(plan, probe=probe)))


def test_all_trials_that_diverged_can_be_drawn(plan):
    diverged = tuple(replace(trial, loss=float("inf")) for trial in plan.trials)
    ax = drawn(replace(plan, trials=diverged))
    assert not points(ax, "o")


def test_the_trials_of_the_chosen_family_alone_are_drawn():
    plan = lr.tune(Quadratic(), updates=2000, family=["warmup_cosine", "wsd"])
    ax = drawn(plan)
    chosen = [trial for trial in plan.trials if trial.family == plan.family]
    assert len(chosen) < len(plan.trials)
    assert ax.get_title(loc="left").startswith(f"{len(chosen)} trials")
