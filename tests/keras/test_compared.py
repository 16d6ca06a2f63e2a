"""Recipes of Keras in comparisons, on both backends; compare_scenarios.py has the facts."""

import pytest

pytest.importorskip("keras")

# One worker starts both processes, once: see conftest.py.
pytestmark = [pytest.mark.xdist_group("keras"), pytest.mark.slow]


@pytest.mark.shows("keras", "compare")
def test_arms_are_paired_by_seed(outcome):
    shown = outcome("compared")
    assert shown["failures"] == []
    assert shown["first"][0] == shown["first"][1] == shown["first"][2]
    assert shown["first"][0][0] != shown["first"][0][1]
    assert shown["starts"] == 2


def test_a_guard_leaves_a_batch_at_fault_out(outcome):
    shown = outcome("compared")
    assert shown["plain"] == [26, True]
    assert shown["guarded"] == [40, True, "negated loss"]
    assert shown["scores"] == 2
    assert "left out (1 times)" in shown["notes"]


def test_a_training_that_is_killed_ends_as_the_run_through(outcome):
    shown = outcome("compared")
    assert shown["same"]
    assert shown["made"]
