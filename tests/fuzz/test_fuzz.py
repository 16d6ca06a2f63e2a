"""A short run of each kind of fuzzing with a fixed seed; `make fuzz` runs for as long as it is told to."""

import time

import fuzz_arguments
import fuzz_findings
import fuzz_run
import pytest

import learnrate as lr
from learnrate.errors import ArgumentError

SHORT = {"texts": 1000, "records": 150, "schedules": 200, "arguments": 200, "give-back": 40, "interrupts": 40}
"""Number of cases in the suite."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", fuzz_run.KINDS)
def test_odd_inputs_are_taken_or_refused_and_all_is_given_back(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    findings = [result.what for number in range(SHORT[kind]) if (result := fuzz_run.run_case(kind, 0, number))]
    assert not findings
    assert not list(tmp_path.iterdir()), "files were written into the current folder"


def test_a_case_is_the_same_each_time():
    assert fuzz_run.run_case("records", 0, 3) == fuzz_run.run_case("records", 0, 3)


@pytest.mark.slow
def test_every_public_callable_gets_odd_arguments():
    targets = {target.name for target in (*fuzz_arguments.of_schedules(), *fuzz_arguments.of_the_rest())}
    # `compare` trains and writes: tests/study gives it odd arguments. A Comparison is made by it.
    types = {"compare", "Comparison", "Schedule", "Trainable", "Record", "Attachment", "Evaluate", "Loss", "UpdateOptions"}
    public = {name: getattr(lr, name) for name in lr.__all__} | {
        f"torch.{n}": getattr(lr.torch, n) for n in lr.torch.__all__
    }
    assert not {name for name, value in public.items() if callable(value)} - targets - types - {f"torch.{n}" for n in types}


def fails(error):
    raise error


def test_a_foreign_error_is_a_finding_and_one_of_learnrate_with_a_short_message_is_none():
    assert fuzz_findings.finding(lambda: fails(ZeroDivisionError()))
    assert fuzz_findings.finding(lambda: fails(ArgumentError("x" * 5000)))
    assert fuzz_findings.finding(lambda: fails(ArgumentError("two\nlines")))
    assert fuzz_findings.finding(lambda: fails(ArgumentError("updates must be at least 1"))) is None
    assert fuzz_findings.finding(lambda: fails(ZeroDivisionError()), users_code=True) is None


def test_a_case_without_an_end_is_a_finding():
    assert fuzz_findings.in_time(lambda: time.sleep(30), seconds=0.05)
    assert fuzz_findings.in_time(lambda: None) is None
