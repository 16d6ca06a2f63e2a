"""A short run of each kind of fuzzing with a fixed seed; `make fuzz` runs for as long as it is told to."""

import fuzz_run
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "cases"), [("texts", 1000), ("records", 150), ("arguments", 200), ("give-back", 40)])
def test_odd_inputs_are_taken_or_refused_and_all_is_given_back(kind, cases):
    findings = [result.what for number in range(cases) if (result := fuzz_run.run_case(kind, 0, number))]
    assert not findings


def test_a_case_is_the_same_each_time():
    assert fuzz_run.run_case("records", 0, 3) == fuzz_run.run_case("records", 0, 3)
