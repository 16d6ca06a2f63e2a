"""The records of the guard's benchmarks are complete, of the present guard, and show what the pages say."""

import json

import pytest
from benchmarks import guard_page
from benchmarks.guard import FAULTS, PATH, recorded
from benchmarks.measure import RESULTS

from learnrate.control import guard

RUNS = list(recorded().values())
NAMES = guard_page.tasks_on_record(RUNS)


def within(name, fault, guarded):
    return guard_page._within(RUNS, name, fault, guarded)


def test_the_records_are_of_the_present_guard():
    headers = [entry["header"] for entry in map(json.loads, PATH.read_text().splitlines()) if "header" in entry]
    assert headers[-1]["guard"] == repr(guard())
    assert json.loads((RESULTS / "guard_alarms.json").read_text())["guard"] == repr(guard())


def test_at_least_six_trainings_are_complete():
    assert len(NAMES) >= 6


@pytest.mark.parametrize("fault", FAULTS)
def test_a_guard_saves_what_is_lost_without_it(fault):
    saved = [name for name in NAMES if within(name, fault, True)]
    assert len(saved) >= len(NAMES) - 1, "one training may be outside of the noise"
    assert sum(within(name, fault, False) for name in NAMES) <= 1, "one training may recover by itself"


@pytest.mark.parametrize("name", NAMES)
def test_a_guard_costs_a_healthy_training_nothing(name):
    assert within(name, "none", True)


def test_false_alarms_are_rare():
    record = json.loads((RESULTS / "guard_alarms.json").read_text())
    runs = record["runs"] * len(record["rows"])
    assert sum(row["runs with a rollback"] for row in record["rows"]) < runs / 1000
    assert sum(row["skips"] for row in record["rows"]) < runs * record["updates"] / 50_000


def test_the_cost_is_within_its_target():
    record = json.loads((RESULTS / "control.json").read_text())
    assert record["share"]["median"] <= record["target"]
