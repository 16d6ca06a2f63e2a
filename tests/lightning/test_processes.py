"""Two real processes under DDP with gloo, launched once."""

import json
from pathlib import Path

import pytest

import learnrate as lr
from forking_torchrun import torchrun

WORKER = Path(__file__).with_name("worker_process.py")

SHAPE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)

pytestmark = [pytest.mark.xdist_group("lightning"), pytest.mark.heavy]


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lightning")
    torchrun(WORKER, folder, processes=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.shows("lightning", "many processes")
def test_both_processes_use_the_schedule_and_count_updates_not_batches_or_processes(processes):
    schedule = SHAPE.resolve(4)  # 4 batches in each process: 3 + 1, in each of two epochs
    for results in processes:
        assert results["followed"] == [schedule(n) for n in range(4)]


def test_both_processes_resume_exactly(processes):
    for results in processes:
        through, resumed = results["at_five"]
        assert len(through) == 8
        assert resumed == through[5:]


def test_both_processes_react_together_and_resume(processes):
    first, second = (results["controlled"] for results in processes)
    assert first == second
    assert first["used"] == first["schedule"]
    assert len(first["used"]) == 11  # of 12: the loss of the second process was not finite
    assert first["resumed"] == first["used"][4:]
    assert sorted(map(tuple, first["events"])) == [
        ("scale", "by hand"),
        ("scale", "halve_when_stalled"),
        ("scale", "halve_when_stalled"),
        ("skip", "skip_not_finite"),
    ]
    assert set(first["losses"]) == {1.5}


def test_a_guard_decides_once_for_both_processes(processes):
    first, second = (results["guarded"] for results in processes)
    assert first["used"] == second["used"] == first["schedule"]
    assert first["events"] == second["events"]
    assert first["parameters"] == second["parameters"]
    assert [first["finite"], second["finite"]] == [True, True]
    kinds = [kind for _, kind, _ in first["events"]]
    assert (kinds.count("skip"), kinds.count("rollback")) == (3, 1)
    assert len(first["used"]) == 60 - 4


def test_a_tuned_run_is_bit_for_bit_the_run_under_its_schedule_in_both_processes(processes):
    for results in processes:
        tuned, followed, _ = results["tuned"]
        assert tuned == followed
    plans = [results["tuned"][2] for results in processes]
    assert plans[0]["schedule"] == plans[1]["schedule"]
    assert plans[0]["spent"] > 50
    assert [plan["texts"] for plan in plans] == [1, 0]  # the first process alone reports


def test_a_range_test_has_the_same_curve_in_both_processes(processes):
    assert processes[0]["swept"] == processes[1]["swept"]
    assert len(processes[0]["swept"]) >= 10


def test_importing_the_adapter_does_not_import_jsonargparse(processes):
    assert not processes[0]["jsonargparse"]
