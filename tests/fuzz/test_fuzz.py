"""A short run of each kind of fuzzing with a fixed seed; `make fuzz` runs for as long as it is told to."""

import fuzz_run
import pytest


@pytest.mark.parametrize(("kind", "cases"), [("texts", 500), ("records", 150), ("arguments", 300)])
def test_odd_inputs_are_taken_or_refused(kind, cases):
    findings = [result.what for number in range(cases) if (result := fuzz_run.run_case(kind, 0, number))]
    assert not findings
