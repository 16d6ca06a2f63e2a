"""The range test and tuning in many processes: real ones, under torchrun with gloo, with every fault injected."""

import functools
import os
import signal

import pytest
import torch
import torch.distributed as dist

import learnrate as lr
from facts import tells
from launches import EXPECTED, GUARDED, PROBED, REFUSED, SCENARIOS, STEERED, TUNED, WITHOUT_FAULT, outcomes
from learnrate.torch.distributed.group import ProcessGroup
from worker_process import SLOW, probed, tuned

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="this torch is built without torch.distributed")


@pytest.fixture(scope="session")
def launched(background):
    """The outcomes of all scenarios by number of processes."""
    return functools.cache(lambda processes: outcomes(background, processes))


# Four processes on two cores take as long as all scenarios of two.
MARKS = {2: (), 4: (pytest.mark.heavy,)}


def for_scenarios(*names):
    """A test of each of these scenarios, with every number of processes that runs it."""
    cases = [
        pytest.param(processes, name, id=f"{name}, {processes} processes", marks=MARKS[processes])
        for processes, groups in SCENARIOS.items()
        for name in names
        if name in (*groups[0], *groups[1])
    ]
    return pytest.mark.parametrize(("processes", "name"), cases)


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="pytest runs in one process")
def test_one_worker_makes_all_launches(launched, request):
    assert request.node.nodeid.endswith("@launched")


both_sizes = pytest.mark.parametrize("processes", [pytest.param(number, marks=MARKS[number]) for number in SCENARIOS])


@for_scenarios(*GUARDED)
def test_a_guard_decides_for_all_processes(launched, processes, name):
    first, *others = launched(processes)[name]
    assert all(outcome == first for outcome in others)
    assert first["kinds"][:4] == ["skip", "skip", "scale", "rollback"]
    assert first["put back"]
    assert first["restored"] == 40
    assert all(first["statistics"])
    assert first["updates"] == 127
    # The loss of the last update is not agreed on where a process may close alone; its LR is recorded.
    assert first["late"]["rows"] == [[0, True, True], [1, True, True], [2, True, False]]
    assert first["late"]["warned"] == [True]  # that the guard cannot put anything back, once
    assert {0.01, 0.001} <= set(first["used"])


@pytest.mark.shows("torch", "many processes")
@for_scenarios(*TUNED)
def test_every_process_gets_the_same_plan_and_everything_back(launched, processes, name):
    first, *others = launched(processes)[name]
    assert "error" not in first, first.get("error")
    assert all(outcome["plan"] == first["plan"] for outcome in others)
    assert all(outcome["given back"] for outcome in (first, *others))


@both_sizes
@pytest.mark.filterwarnings("ignore:.*iterator cannot be rewound")
def test_many_processes_choose_what_one_process_chooses_on_the_same_global_batches(launched, processes):
    alone = tuned(0, 1, wrap=lambda model: model)["plan"]
    together = launched(processes)["tune"][0]["plan"]
    assert together["max_lr"] == alone["max_lr"]
    assert together["interval"] == alone["interval"]
    assert together["spent"] == alone["spent"]
    losses, expected = ([trial["loss"] for trial in plan["trials"]] for plan in (together, alone))
    assert losses == pytest.approx(expected, rel=1e-2)


@for_scenarios(*PROBED)
def test_every_process_probes_the_lr_of_one_process_on_the_same_global_batches(launched, processes, name):
    alone = probed(0, 1, wrap=lambda model: model, kind=torch.optim.SGD if name.endswith("SGD") else torch.optim.AdamW)
    first, *others = launched(processes)[name]
    assert "error" not in first, first.get("error")
    assert all(outcome["probe"] == first["probe"] for outcome in others)
    assert all(outcome["given back"] for outcome in (first, *others))
    assert first["probe"][0] == pytest.approx(alone["probe"][0], rel=0.1)


@both_sizes
def test_an_interrupt_of_one_process_ends_tuning_in_all(launched, processes):
    for outcome in launched(processes)["tune interrupted"]:
        assert outcome["error"].startswith("KeyboardInterrupt")
        assert outcome["given back"]


@for_scenarios(*REFUSED)
def test_calls_that_do_not_fit_together_are_refused_in_every_process(launched, processes, name):
    for outcome in launched(processes)[name]:
        assert REFUSED[name] in outcome["error"]
        assert outcome["seconds"] < 30


@both_sizes
def test_a_failure_of_one_process_ends_tuning_in_all_and_names_the_rank(launched, processes):
    for outcome in launched(processes)["tune fails"]:
        assert outcome["error"].startswith("RankError")
        assert tells(outcome["error"], "rank 1", "ZeroDivisionError", "a bug in the loss")
        assert outcome["rank"] == 1
        assert outcome["seconds"] < 30
        assert outcome["given back"]


@for_scenarios(*WITHOUT_FAULT)
def test_every_process_gets_the_same_curve_and_bounds_and_everything_back(launched, processes, name):
    first, *others = launched(processes)[name]
    assert "error" not in first, first.get("error")
    for outcome in others:
        assert outcome["curve"] == first["curve"]
        assert outcome["bounds"] == first["bounds"]
    assert all(outcome["given back"] for outcome in (first, *others))


@both_sizes
def test_the_loss_is_the_mean_over_the_data_of_all_processes(launched, processes):
    outcomes = launched(processes)
    ddp, fsdp = (outcomes[name][0]["curve"]["losses"] for name in ("ddp", "fsdp"))
    assert len(ddp) == 40
    assert ddp == pytest.approx(fsdp, rel=1e-4)
    notes = " ".join(outcomes["ddp"][0]["curve"]["notes"])
    assert ("started again" in notes) == (40 // processes < 40)


@both_sizes
def test_scores_are_averaged(launched, processes):
    metrics = launched(processes)["evaluated"][0]["curve"]["metrics"]
    assert [score for score in metrics["score"] if score != "nan"] == [(processes - 1) / 2] * 4


@both_sizes
def test_the_curve_gives_bounds(launched, processes):
    assert 1e-4 < launched(processes)["ddp"][0]["bounds"]["max_lr"] <= 1.0


def test_the_others_wait_for_a_slow_process(launched):
    outcomes = launched(2)
    assert outcomes["slow"][0]["curve"]["losses"] == outcomes["ddp"][0]["curve"]["losses"]
    assert outcomes["slow"][0]["seconds"] > SLOW


@for_scenarios("interrupted", "interrupted callback", "interrupted stop rule")
def test_an_interrupt_of_one_process_ends_the_sweep_in_all_with_the_curve_so_far(launched, processes, name):
    curve = launched(processes)[name][0]["curve"]
    assert curve["ended"] == "interrupted"
    assert tells(curve["notes"][0], "interrupted", "rank 1")
    assert len(curve["losses"]) == 12


def test_the_time_limit_of_one_process_ends_the_sweep_in_all(launched):
    curve = launched(2)["time limit"][0]["curve"]
    assert curve["ended"] == "out of time"
    assert tells(curve["notes"][0], "rank 1")


def test_skipped_updates_are_skipped_by_all_processes(launched):
    assert set(launched(2)["scaler"][0]["curve"]["skipped"]) == {0}


@for_scenarios(*EXPECTED)
def test_a_fault_of_one_process_ends_the_test_in_all(launched, processes, name):
    rank, parts = EXPECTED[name]
    for place, outcome in enumerate(launched(processes)[name]):
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


def test_a_second_test_after_a_failure_is_refused_at_once(launched):
    for outcome in launched(2)["interrupting loss"]:
        assert outcome["again"]["error"].startswith("RankError")
        assert tells(outcome["again"]["error"], "process group", "rank 1", "KeyboardInterrupt", "restart")
        assert outcome["again"]["seconds"] < 5


@for_scenarios("dies")
def test_a_process_that_was_killed_is_named(launched, processes, name):
    *others, killed = launched(processes)[name]
    assert killed == {"signal": signal.SIGKILL}
    for outcome in others:
        assert outcome["seconds"] < 10
        assert outcome["given back"]
        assert outcome["error"].startswith("RankError")
        assert tells(outcome["error"], f"rank {processes - 1}")
        assert outcome["rank"] == processes - 1


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


@for_scenarios(*STEERED)
def test_controllers_and_people_decide_once_for_all_processes(launched, processes, name):
    outcomes = launched(processes)[name]
    for outcome in outcomes:
        assert "error" not in outcome, outcome["error"]
    first, second = outcomes
    assert first == second
    assert first["used"] == first["schedule"]
    # Process 1 alone had a loss that is not finite, and process 0 alone was asked for half the LR.
    assert [(event[0], event[1], event[2]) for event in first["events"]] == [
        ("skip", 4, "skip_not_finite"),
        ("scale", 7, "by hand"),
        ("scale", 8, "halve_when_stalled"),
    ]
    assert first["losses"][:4] == [1.5, 1.5, 1.5, 1.5]  # the mean of 1 and 2
    assert first["resumed"] == first["used"][6:]
    assert first["scores"] == [{"accuracy": 0.5}]
    assert "control=[]" in first["refused"]
