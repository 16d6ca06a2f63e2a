"""The controllers of learnrate in Keras: these tests judge the facts of real_control_scenarios.py; see conftest.py."""

from importlib.util import find_spec

import pytest

from facts import tells

pytestmark = [
    pytest.mark.xdist_group("keras"),
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("keras"), reason="no Keras"),
]


@pytest.mark.shows("keras", "control")
@pytest.mark.shows("keras", "record")
def test_warm_up_plateau_guard_and_hand_over_one_cycle_resumed_in_mid_run(outcome):
    shown = outcome("real_controllers")
    assert shown["updates"] == 200
    assert shown["schedule"] is True
    assert shown["resumed"] is True
    assert shown["resumed schedule"] is True
    assert shown["records"] == [True, True]
    events = [(kind, who) for _, kind, who in shown["events"]]
    assert [kind for kind, who in events if who == "by hand"] == ["scale", "undo"]
    assert events.count(("skip", "guard")) == 4
    assert events.count(("rollback", "guard")) == 1
    assert ("scale", "guard") in events
    assert ("scale", "plateau") in events


def test_a_guard_puts_the_older_one_of_its_snapshots_back(outcome):
    shown = outcome("real_controllers")
    assert shown["restored"] == [130]  # every ten updates, but not at update 150; that of update 140 is too young
    assert shown["weights"][153] == shown["weights"][130]


def test_a_run_that_is_given_up_ends_with_good_weights_and_a_report(outcome):
    shown = outcome("given_up")
    assert tells(shown["error"], "GaveUpError", "update 76", "rollback", "given up")
    assert shown["updates"] == 77
    assert shown["restored"] == [30, 30, 30]
    assert shown["weights"][77] == shown["weights"][30]
    assert shown["again"] == 5


def test_a_batch_that_is_not_finite_leaves_weights_and_statistics_finite(outcome):
    shown = outcome("batch_at_fault")
    assert [shown[name][0] for name in ("plain", "scaled")] == [True, True]
    assert [event[1] for event in shown["plain"][1]] == ["skip", "skip"]


def test_an_update_that_was_made_with_a_loss_that_is_not_finite_is_taken_back(both_backends):
    weights, events = both_backends["torch"]["batch_at_fault"]["applied"]
    assert weights == [-5.0, -2.5]  # back to update 20
    assert [40, "rollback"] in events
    weights, events = both_backends["jax"]["batch_at_fault"]["applied"]
    assert weights == [-5.0, -5.0]  # what was before the update is still there
    assert events == [[40, "skip"]]


def test_a_metric_that_no_evaluation_has_is_warned_of(outcome):
    assert tells(outcome("batch_at_fault")["misspelt"][0], "NotMeasuredWarning", "val_lss", "val_loss")


def test_a_live_page_applies_a_change(outcome):
    shown = outcome("live_page")
    assert shown["lrs"] == [0.5] * shown["answer"]["update"] + [0.25] * (8 - shown["answer"]["update"])
    assert shown["answer"]["update"] in (4, 5)
    assert shown["threads"] == 0
