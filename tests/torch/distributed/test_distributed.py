"""The range test and tuning in many processes: real ones, under torchrun with gloo, with every fault injected."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist

import learnrate as lr
from facts import tells
from learnrate.torch.distributed.group import ProcessGroup

WORKER = Path(__file__).with_name("worker_process.py")
LIMIT = 240
"""Seconds that a launch may take; a hang would take torch's half an hour."""

WITHOUT_FAULT = ["ddp", "ddp accumulated", "fsdp", "evaluated", "slow", "scaler", "interrupted", "time limit"]
GROUP_SURVIVES = ["other arguments", "bad argument", "nan", "other metrics"]
GROUP_BREAKS = [
    "raising forward",
    "raising forward on the first",
    "raising loss",
    "raising loader",
    "exhausted",
    "empty",
    "abandoned",
]
EXPECTED = {
    "other arguments": (None, ("lrs", "same", "process")),
    "bad argument": (1, ("rank 1", "ArgumentTypeError", "stop")),
    "empty": (1, ("rank 1", "DataError", "batches", "at least one")),
    "nan": (1, ("rank 1", "loss", "nan")),
    "other metrics": (None, ("metrics", "same", "process")),
    "abandoned": (1, ("rank 1", "OSError", "a broken file")),
    "raising forward": (1, ("rank 1", "ZeroDivisionError", "a bug in the model")),
    "raising forward on the first": (0, ("rank 0", "ZeroDivisionError", "a bug in the model")),
    "raising loss": (1, ("rank 1", "ZeroDivisionError", "a bug in the loss")),
    "raising loader": (1, ("rank 1", "OSError", "a broken file")),
    "exhausted": (1, ("rank 1", "ExhaustedError", "batches", 8)),
}

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="this torch is built without torch.distributed")


def launch(folder, processes, together, *others):
    """Run scenarios together in one process group, and each of the others in its own; returns their outcomes by rank."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [WORKER, folder, *together, *(word for name in others for word in ("--", name))]
    ended = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=LIMIT, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return {name: [outcome(folder, name, rank, ended.stderr) for rank in range(processes)] for name in (*together, *others)}


def outcome(folder, name, rank, printed):
    path = folder / f"{name}.{rank}.json"
    if path.exists():
        return json.loads(path.read_text())
    return {"error": f"rank {rank} ended without an outcome: {printed[-3000:]}", "seconds": 0.0, "given back": False}


@pytest.fixture(scope="module", params=[2, 4])
def outcomes(request, tmp_path_factory):
    return launch(
        tmp_path_factory.mktemp("ranks"),
        request.param,
        (*WITHOUT_FAULT, *GROUP_SURVIVES, GROUP_BREAKS[0]),
        *GROUP_BREAKS[1:],
    )


TUNED = ["tune", "tune in seconds"]
REFUSED = {
    "tune with other arguments": "budget must be the same in every process",
    "tune of another family": "family must be the same in every process",
    "tune beside range_test": "every process must call the same function",
    "tune with a bad argument": "together must be True, False or None",
}


@pytest.fixture(scope="module", params=[2, 4])
def tune_outcomes(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    return launch(folder, request.param, TUNED, "tune interrupted", *REFUSED, "tune fails")


@pytest.mark.parametrize("name", TUNED)
def test_every_process_gets_the_same_plan_and_everything_back(tune_outcomes, name):
    first, *others = tune_outcomes[name]
    assert "error" not in first, first.get("error")
    assert all(outcome["plan"] == first["plan"] for outcome in others)
    assert all(outcome["given back"] for outcome in (first, *others))


def test_many_processes_choose_what_one_process_chooses_on_the_same_global_batches(tune_outcomes):
    from worker_process import tuned

    alone = tuned(0, 1, wrap=lambda model: model)["plan"]
    together = tune_outcomes["tune"][0]["plan"]
    assert together["max_lr"] == alone["max_lr"]
    assert together["interval"] == alone["interval"]
    assert together["spent"] == alone["spent"]
    assert together["curve"]["losses"] == pytest.approx(alone["curve"]["losses"], rel=1e-3)


def test_an_interrupt_of_one_process_ends_tuning_in_all(tune_outcomes):
    for outcome in tune_outcomes["tune interrupted"]:
        assert outcome["error"].startswith("KeyboardInterrupt")
        assert outcome["given back"]


@pytest.mark.parametrize("name", REFUSED)
def test_calls_that_do_not_fit_together_are_refused_in_every_process(tune_outcomes, name):
    for outcome in tune_outcomes[name]:
        assert REFUSED[name] in outcome["error"]
        assert outcome["seconds"] < 30


def test_a_failure_of_one_process_ends_tuning_in_all_and_names_the_rank(tune_outcomes):
    for outcome in tune_outcomes["tune fails"]:
        assert outcome["error"].startswith("RankError")
        assert tells(outcome["error"], "rank 1", "ZeroDivisionError", "a bug in the loss")
        assert outcome["rank"] == 1
        assert outcome["seconds"] < 30
        assert outcome["given back"]


@pytest.mark.parametrize("name", WITHOUT_FAULT)
def test_every_process_gets_the_same_curve_and_bounds_and_everything_back(outcomes, name):
    first, *others = outcomes[name]
    assert "error" not in first, first.get("error")
    for outcome in others:
        assert outcome["curve"] == first["curve"]
        assert outcome["bounds"] == first["bounds"]
    assert all(outcome["given back"] for outcome in (first, *others))


def test_the_loss_is_the_mean_over_the_data_of_all_processes(outcomes):
    processes = len(outcomes["ddp"])
    ddp, fsdp = (outcomes[name][0]["curve"]["losses"] for name in ("ddp", "fsdp"))
    assert len(ddp) == 40
    assert ddp == pytest.approx(fsdp, rel=1e-4)
    notes = " ".join(outcomes["ddp"][0]["curve"]["notes"])
    assert ("started again" in notes) == (40 // processes < 40)


def test_scores_are_averaged(outcomes):
    scores = [score for score in outcomes["evaluated"][0]["curve"]["metrics"]["score"] if score != "nan"]
    assert scores == [(len(outcomes["evaluated"]) - 1) / 2] * 4


def test_the_curve_gives_bounds(outcomes):
    assert 1e-4 < outcomes["ddp"][0]["bounds"]["max_lr"] <= 1.0


def test_the_others_wait_for_a_slow_process(outcomes):
    assert outcomes["slow"][0]["curve"]["losses"] == outcomes["ddp"][0]["curve"]["losses"]
    assert outcomes["slow"][0]["seconds"] > 4


def test_an_interrupt_of_one_process_ends_the_sweep_in_all_with_the_curve_so_far(outcomes):
    curve = outcomes["interrupted"][0]["curve"]
    assert curve["ended"] == "interrupted"
    assert tells(curve["notes"][0], "interrupted", "rank 1")
    assert len(curve["losses"]) == 12


def test_the_time_limit_of_one_process_ends_the_sweep_in_all(outcomes):
    assert outcomes["time limit"][0]["curve"]["ended"] == "out of time"
    assert tells(outcomes["time limit"][0]["curve"]["notes"][0], "rank 1")


def test_skipped_updates_are_skipped_by_all_processes(outcomes):
    assert set(outcomes["scaler"][0]["curve"]["skipped"]) == {0}


@pytest.mark.parametrize("name", [*GROUP_SURVIVES, *GROUP_BREAKS])
def test_a_fault_of_one_process_ends_the_test_in_all(outcomes, name):
    require_failure(outcomes[name], name)


def require_failure(outcomes, name):
    rank, parts = EXPECTED[name]
    for place, outcome in enumerate(outcomes):
        assert outcome["seconds"] < 10
        assert outcome["given back"]
        if name == "bad argument" and place == rank:
            # The process with the wrong argument raises the error of a single process.
            assert outcome["error"].startswith("ArgumentTypeError")
            assert tells(outcome["error"], "stop", "'never'")
            continue
        assert outcome["error"].startswith("RankError")
        assert tells(outcome["error"], *parts), outcome["error"]
        assert rank is None or outcome["rank"] == rank


@pytest.mark.slow
def test_a_process_that_was_killed_is_named(tmp_path):
    """Without torchrun, which would end the others: a process notices by itself that the other was killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, WORKER, tmp_path, "dies"], env={**common, "RANK": str(rank)}, stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=LIMIT)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, -9], errors
    outcome = json.loads((tmp_path / "dies.0.json").read_text())
    assert outcome["seconds"] < 10
    assert outcome["given back"]
    assert outcome["error"].startswith("RankError")
    assert tells(outcome["error"], "rank 1")


def test_ctrl_c_is_a_reason_to_stop_but_not_a_value_of_a_process(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        group = ProcessGroup("range_test")
        group.interrupts.append(signal.SIGINT)
        assert group.first(None) is None
        assert group.agree(None).ended == "interrupted"
        group.close()
    finally:
        dist.destroy_process_group()


def test_a_group_of_one_process_is_treated_as_a_single_process(toy, tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        assert len(lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, updates=20, stop=None)) == 20
    finally:
        dist.destroy_process_group()
