"""Trainings side by side are the trainings one by one: losses, weights, records; and the command that makes them on a GPU."""

import math
from argparse import Namespace
from dataclasses import replace
from functools import partial

import pytest
import torch
from benchmarks.papers import gpu, policies, recipes, records
from benchmarks.papers.report import results
from benchmarks.papers.together.members import Member, kind_of, members
from benchmarks.papers.together.net import CONVOLUTIONS
from benchmarks.papers.together.training import Setting, Together

import learnrate as lr
from facts import tells
from learnrate.study import train

CPU = torch.device("cpu")
BATCH = 10
ARMS = {"fixed": recipes.cifar10_full} | {
    f"{name}, fixed": partial(recipes.cifar10_full, optimizer=optimizer) for name, optimizer in recipes.TABLE_3.items()
}


@pytest.fixture(autouse=True)
def same_flags():
    """The program chooses the fastest convolutions, for its whole process."""
    before = torch.backends.cudnn.benchmark
    yield
    torch.backends.cudnn.benchmark = before


def member(arm, seed, updates, schedule):
    return Member(arm, seed, kind_of(arm), policies.Row(arm, schedule, updates, updates, None))


def several(updates):
    """Each optimizer, one of them with two seeds, and an LR that changes at each update and is large for it."""
    wanted = []
    for arm in ARMS:
        top = 0.003 if kind_of(arm) == "SGD" else policies.TABLE_3[kind_of(arm)][1]
        seeds = (0, 3) if arm == "fixed" else (3,)
        wanted += [member(arm, seed, updates, lr.linear(top / 2, top * (1 + seed / 3), updates)) for seed in seeds]
    return sorted(wanted, key=lambda planned: planned.kind)


def setting(**changes):
    return replace(Setting(CPU, CONVOLUTIONS["grouped"], BATCH, evaluate_every=3), **changes)


def alone(wanted):
    """The training of a member one by one."""
    return ARMS[wanted.arm](batch=BATCH).trainable(wanted.seed, test=True)


@pytest.mark.slow
def test_members_have_the_losses_and_the_weights_of_single_trainings(data):
    updates, wanted = 3, several(3)
    together = Together(wanted, setting(), print)
    rows, lrs = together._next_rows(), together.lrs
    losses = [together.ensemble.update(next(rows), lrs[update]).tolist() for update in range(updates)]
    for place, planned in enumerate(wanted):
        trainable = alone(planned)
        expected = [float(trainable.update(float(planned.row.schedule(update)))["loss"]) for update in range(updates)]
        assert [row[place] for row in losses] == pytest.approx(expected, rel=1e-4), planned
        start = dict(alone(planned).model.named_parameters())
        for name, weights in trainable.model.named_parameters():
            moved = (weights - start[name]).norm()
            assert (together.ensemble.weights[name][place] - weights).norm() < 0.01 * moved, (planned, name)


def test_all_forms_of_convolutions_are_the_same():
    images, weight, bias = torch.randn(2, 3 * 4, 6, 6), torch.randn(3, 5, 4, 5, 5), torch.randn(3, 5)
    results = []
    for convolution in CONVOLUTIONS.values():
        inputs = [tensor.clone().requires_grad_() for tensor in (images, weight, bias)]
        output = convolution(*inputs)
        results.append([output, *torch.autograd.grad(output.square().sum(), inputs)])
    assert len(results) > 1
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-4, atol=1e-3)


def test_a_record_is_that_of_a_single_training_also_after_others_have_ended(data):
    lengths = {("Adam, fixed", 1): 5, ("Nesterov, fixed", 1): 2, ("fixed", 1): 2, ("fixed", 2): 5}
    wanted = [member(arm, seed, updates, lr.constant(0.002)) for (arm, seed), updates in lengths.items()]
    done = dict(Together(wanted, setting(notes=("together",)), print).run())
    assert set(done) == set(wanted)
    for planned in wanted:
        expected = train(alone(planned), planned.row.schedule, planned.seed, planned.row.updates, evaluate_every=3)
        training = done[planned]
        same = ("seed", "updates", "checkpoints", "metric", "start", "schedule", "losses_every", "more")
        assert {name: getattr(training, name) for name in same} == {name: getattr(expected, name) for name in same}
        assert training.losses == pytest.approx(expected.losses, rel=1e-4)
        assert training.first_loss == pytest.approx(expected.first_loss)
        assert training.scores == pytest.approx(expected.scores, abs=4.1)  # two of 50 images
        assert training.notes == ("together",)


def test_a_member_that_diverges_ends_alone(data):
    good, bad = (member("fixed", 0, 6, schedule) for schedule in (lr.constant(0.001), lr.constant(1e30)))
    done = dict(Together([good, bad], setting(), print).run())
    (calm,) = dict(Together([good], setting(), print).run()).values()
    assert done[good].losses == pytest.approx(calm.losses, rel=1e-5)
    assert done[bad].updates < 6
    assert not math.isfinite(done[bad].losses[-1])
    assert "not finite" in done[bad].notes[-1]


def test_after_the_deadline_nothing_is_trained(data):
    assert list(Together([member("fixed", 0, 6, lr.constant(0.001))], setting(deadline=0.0), print).run()) == []


def test_the_members_are_those_of_the_tables():
    assert sum(planned.row.updates for planned in members("clr-table-1", 1.0, range(3))) == 3 * 232_000
    table_3 = members("clr-table-3", 1.0, range(3))
    assert sum(planned.row.updates for planned in table_3) == 3 * 615_000
    kinds = [planned.kind for planned in table_3]
    assert kinds == sorted(kinds)
    assert set(kinds) == set(policies.TABLE_3)
    assert {planned.kind for planned in members("clr-table-1", 1.0, range(1))} == {"SGD"}


SCALE = 0.00012


def test_the_records_are_those_that_the_page_reads(data, tmp_path, capsys):
    options = Namespace(scale=SCALE, results=tmp_path)
    wanted = members("clr-table-1", SCALE, range(1))
    assert gpu._trained("clr-table-1", options, wanted, setting()) == len(wanted) == 5
    record = records.read("clr-table-1", SCALE, tmp_path, on_gpu=True)
    assert {name: [training["seed"] for training in arm["trainings"]] for name, arm in record["arms"].items()} == {
        name: [0] for name in ("fixed", "triangular2", "decay", "exp", "exp_range")
    }
    assert all("host" not in environment for environment in record["environments"])
    (measured,) = results.read(tmp_path).of("clr-table-1")
    assert (measured.on_gpu, measured.seeds, measured.complete) == (True, 1, True)
    assert tells(capsys.readouterr().out, "fixed, seed 0")


def test_the_limit_leaves_trainings_unfinished_and_says_so(data, tmp_path, capsys):
    options = Namespace(scale=SCALE, results=tmp_path)
    assert gpu._trained("clr-table-1", options, members("clr-table-1", SCALE, range(1)), setting(deadline=0.0)) == 0
    assert tells(capsys.readouterr().out, "5 trainings", "unfinished")
    assert not list(tmp_path.iterdir())


@pytest.mark.heavy
def test_the_command_makes_the_records_and_says_what_it_leaves_out(data, tmp_path, capsys):
    small = ["--device", "cpu", "--scale", str(SCALE), "--results", str(tmp_path), "--tables", "1", "--seeds", "1"]
    assert gpu.main(small) == 0
    assert results.read(tmp_path).of("clr-table-1")[0].complete
    out = capsys.readouterr().out
    assert tells(out, "clr-table-1", "5 trainings", "TFLOP/s")
    assert gpu.main([*small, "--limit", "20.001", "--convolutions", "grouped"]) == 1
    assert tells(capsys.readouterr().out, "1 seeds would take", "not run")


def test_a_scale_that_leaves_no_schedule_is_one_line(data, tmp_path, capsys):
    assert gpu.main(["--device", "cpu", "--scale", "0.00001", "--results", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert tells(line, "scale", "1e-05")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(tmp_path, capsys):
    assert gpu.main(["--results", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert tells(line, "no GPU", "--device cpu", "make paper")
    assert not list(tmp_path.iterdir())


def test_without_data_it_is_skipped_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path))
    assert gpu.main(["--device", "cpu", "--scale", "0.001", "--results", str(tmp_path / "records")]) == 0
    assert tells(capsys.readouterr().out.splitlines()[-1], "skipped", "CIFAR-10", "LEARNRATE_DATA")


@pytest.mark.parametrize("option", [("--seeds", "0"), ("--scale", "2"), ("--limit", "1"), ("--tables", "2")])
def test_impossible_options_are_refused(option, capsys):
    with pytest.raises(SystemExit) as ended:
        gpu.main(list(option))
    assert ended.value.code == 2
    assert tells(capsys.readouterr().err.splitlines()[-1], *option)


def test_the_estimate_counts_the_convolutions():
    """Multiplications forward, as many for the weights, and without the first layer for the images."""
    convolutions = [outputs * inputs * 25 * side**2 for outputs, inputs, side in ((32, 3, 32), (32, 32, 16), (64, 32, 8))]
    expected = 2 * sum(convolutions) + sum(convolutions[1:])
    assert pytest.approx(expected, rel=0.01) == gpu.MULTIPLICATIONS
    assert gpu.operations(members("clr-table-1", 1.0, range(1))) == pytest.approx(2 * expected * 100 * 232_000, rel=0.01)
