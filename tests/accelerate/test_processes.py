"""Accelerate and the Trainer in two processes, under torchrun with gloo: one launch."""

import json
from pathlib import Path

import pytest
import torch.distributed as dist

from forking_torchrun import torchrun

WORKER = Path(__file__).with_name("processes.py")

pytestmark = [
    pytest.mark.xdist_group("transformers"),
    pytest.mark.heavy,
    pytest.mark.skipif(not dist.is_available(), reason="this torch is built without torch.distributed"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of each scenario, what both processes wrote."""
    folder = tmp_path_factory.mktemp("processes")
    torchrun(WORKER, folder, processes=2, HF_HUB_OFFLINE="1", ACCELERATE_USE_CPU="true")
    written = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    return {name: [ranks[name] for ranks in written] for name in written[0]}


def of(outcomes, name):
    for outcome in outcomes[name]:
        assert "error" not in outcome, outcome["error"]
    return outcomes[name]


@pytest.mark.shows("accelerate", "many processes")
@pytest.mark.parametrize("split", [False, True])
def test_updates_are_counted_and_not_processes_and_a_run_resumes(outcomes, split):
    for outcome in of(outcomes, f"attached, split_batches={split}"):
        assert outcome["used"] == outcome["expected"]
        assert outcome["start"] == outcome["half"] == outcome["updates"] // 2
        assert outcome["resumed"] == outcome["expected"][outcome["half"] :]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_scheduler_counts_updates_and_not_processes(outcomes, split, prepared):
    for outcome in of(outcomes, f"scheduler, split_batches={split}, prepared={prepared}"):
        assert outcome["used"] == outcome["expected"]


def test_a_prepared_scheduler_of_torch_counts_processes(outcomes):
    for outcome in of(outcomes, "plain scheduler"):
        assert outcome["used"] == outcome["expected"]


def test_range_test_and_tuning_in_a_loop_decide_together(outcomes):
    first, second = of(outcomes, "in place")
    assert first == second
    assert first["given back"]
    assert len(first["losses"]) > 10
    assert "accelerator.prepare" in first["refused"]


@pytest.mark.shows("transformers", "many processes")
def test_a_trainer_in_two_processes_follows_and_resumes(outcomes):
    first, second = of(outcomes, "trainer")
    for outcome in (first, second):
        assert outcome["used"] == outcome["expected"]
        assert outcome["resumed"] == outcome["expected"][5:]
    assert first["logged"] == first["expected"]
    assert first["weights"][0] == first["weights"][1] == second["weights"][0]
    assert (first["texts"], second["texts"]) == (1, 0)  # the main process reports


def test_a_loop_in_two_processes_reacts_as_one_and_resumes(outcomes):
    first, second = of(outcomes, "steered")
    assert first == second
    assert first["used"] == first["schedule"]
    assert len(first["used"]) == 11
    assert first["resumed"] == first["used"][3:]
    assert first["events"] == [
        *(["scale", "by hand"], ["scale", "halve_when_stalled"], ["scale", "halve_when_stalled"]),
        ["skip", "skip_not_finite"],
    ]


def test_a_trainer_in_two_processes_reacts_as_one_and_resumes(outcomes):
    first, second = of(outcomes, "steered trainer")
    left_out = first["events"].count(["skip", "skip_not_finite"])
    assert first["used"] == first["schedule"] == second["used"]
    assert len(first["used"]) == 12 - left_out
    assert left_out == 2
    assert first["resumed"] == second["resumed"] == first["used"][-len(first["resumed"]) :]
    assert 8 - left_out <= len(first["resumed"]) <= 8
    assert first["events"] == second["events"]
    assert ["scale", "halve_when_stalled"] in first["events"]
    assert ["scale", "by hand"] in first["events"]
    assert first["losses"] == second["losses"]
    logs = iter(first["logged"])  # those of the updates that were left out are among them
    assert all(any(abs(loss - value) < 1e-3 for value in logs) for loss in first["losses"])


def test_a_tuned_trainer_in_two_processes_is_the_run_that_follows_its_plan(outcomes):
    first, second = of(outcomes, "tuned trainer")
    assert first == second
    assert first["used"] == first["expected"]
    assert first["weights"][0] == first["weights"][1]
    assert first["given back"]
    assert len(first["losses"]) >= 10
