"""Every experiment builds its arms and trains; the program goes on where it stopped, and says in one line what is wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from benchmarks.papers import __main__ as program
from benchmarks.papers import policies, range_tests, recipes, records
from benchmarks.papers.data import as_imagenet
from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.nets.caffe_sgd import CaffeSGD
from benchmarks.papers.nets.variants import VARIANTS

from facts import tells

ROOT = Path(__file__).parents[3]

ON_IMAGENET = {"clr-alexnet", "clr-googlenet", "small-imagenet"}

SMALLER = {"wide_resnet": {"depth": 10, "factor": 1}, "densenet": {"depth": 10, "growth": 4}, "resnet": {"batch": 2}}
"""Nets of full size train for seconds an update; test_nets counts their parameters."""


def smaller(recipe):
    """A recipe of few images and, where the net is large, of a small one."""
    called = partial(recipe)
    return called.func(*called.args, **{**called.keywords, "batch": 4, **SMALLER.get(called.func.__name__, {})})


@pytest.mark.parametrize("name", sorted(EXPERIMENTS.keys() - ON_IMAGENET))
def test_an_experiment_builds_its_arms_and_trains(name, data):
    experiment, trained = EXPERIMENTS[name], set()
    rows = experiment.by_name(0.01)
    assert rows
    for arm, entry in rows.items():
        assert arm == entry.row.name
        assert entry.arm().updates == entry.row.updates
        assert entry.row.schedule.is_resolved
        key = repr(entry.recipe)
        if key in trained:  # arms of one recipe differ in their schedules alone
            continue
        trained.add(key)
        trainable = smaller(entry.recipe or experiment.recipe).trainable(0, test=True)
        losses = [float(trainable.update(entry.row.schedule(update))["loss"]) for update in range(2)]
        assert torch.isfinite(torch.tensor(losses)).all(), arm
        assert 0 <= trainable.evaluate()["accuracy"] <= 100


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """Six images, as folders to train from and as shards to measure with."""
    pytest.importorskip("PIL", reason="Pillow is not installed")
    images = (torch.arange(6 * 3 * 64 * 64).remainder(251).reshape(6, 3, 64, 64).byte().numpy(), torch.arange(6).numpy() % 3)
    as_imagenet.write_folders(tmp_path, "train", images, ["n0", "n1", "n2"])
    as_imagenet.write_shards(tmp_path, "val", images, ["n0", "n1", "n2"])
    monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [recipes.alexnet, recipes.googlenet])
def test_the_nets_for_imagenet_train_from_files_and_are_measured(recipe, imagenet):
    trainable = recipe(batch=3, workers=0).trainable(0, test=True)
    losses = [float(trainable.update(0.001)["loss"]) for _ in range(2)]
    assert torch.isfinite(torch.tensor(losses)).all()
    if recipe is recipes.alexnet:
        assert 0 <= trainable.evaluate()["accuracy"] <= 100


@pytest.mark.parametrize("name", sorted(ON_IMAGENET))
def test_the_experiments_on_imagenet_build_their_arms(name, imagenet):
    rows = EXPERIMENTS[name].by_name(0.01)
    assert all(entry.arm().updates == entry.row.updates for entry in rows.values())


def test_one_epoch_of_the_small_set_is_what_the_helper_writes():
    nets = EXPERIMENTS["small-imagenet"].by_name(1.0)
    assert {name: entry.row.updates for name, entry in nets.items()} == dict.fromkeys(("AlexNet", "GoogLeNet"), 2_000 // 32)


def test_a_variant_differs_in_one_thing(data):
    def described(name):
        recipe = recipes.cifar10_full_variant(name, batch=4)
        torch.manual_seed(0)
        net = recipe.model()
        optimizer = recipe.optimizer(net)
        groups = {group["name"]: group["weight_decay"] for group in optimizer.param_groups}
        spread = round(float(net.conv1.weight.detach().std()), 4)
        return type(net.norm1).__name__, isinstance(optimizer, CaffeSGD), groups["last weights"], spread

    usual = described("as in Caffe")
    assert usual == ("WithinChannelNorm", True, 1.0, 0.0001)
    different = {name: [a != b for a, b in zip(described(name), usual, strict=True)] for name in VARIANTS}
    assert {name: sum(differs) for name, differs in different.items()} == {
        name: int(name != "as in Caffe") for name in VARIANTS
    }


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["papers", *map(str, arguments)])
    return program.main()


@pytest.mark.parametrize("name", ["clr-table-1", "clr-figure-3", "clr-alexnet", "super-convergence-mnist"])
def test_without_data_an_experiment_is_skipped_with_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path))
    assert (
        call(monkeypatch, name, "--study", tmp_path / "a.sqlite") == 0
        if name != "clr-figure-3"
        else call(monkeypatch, name) == 0
    )
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("skipped: ")
    assert tells(line, "LEARNRATE_DATA")
    assert not (tmp_path / "a.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["clr-table-9"], ("clr-table-9", "clr-table-1")),
        (["clr-table-1", "--scale", "2"], ("--scale", "at most 1", "2")),
        (["clr-table-1", "--scale", "nan"], ("--scale", "nan")),
        (["clr-table-1", "--scale", "tenth"], ("--scale", "number", "tenth")),
        (["clr-table-1", "--seeds", "0"], ("--seeds", "at least 1", "0")),
        (["clr-table-1", "--executor", "-2"], ("--executor",)),
    ],
)
def test_what_cannot_be_is_refused_at_once(arguments, words, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *arguments)
    assert ended.value.code == 2
    assert tells(capsys.readouterr().err.splitlines()[-1], *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["clr-table-1", "--arms", "fixed", "tringular2"], ("--arms", "triangular2", "tringular2")),
        (["clr-table-1", "--scale", "0.00001"], ("scale", "1e-05")),
        (["clr-figure-3", "--arms", "fixed"], ("--arms", "range test")),
    ],
)
def test_what_does_not_fit_the_experiment_is_one_line(arguments, words, data, monkeypatch, capsys):
    assert call(monkeypatch, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert tells(line, "error", *words)


@pytest.mark.parametrize(
    "variables", [{"NAME": "clr-windows", "SCALE": "0.1"}, {"NAME": "headline", "SEEDS": "2", "EXECUTOR": "3"}]
)
def test_make_gives_its_variables_to_the_program(variables):
    assigned = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", "--dry-run", "--no-print-directory", "-o", ".venv/test.stamp", "paper", *assigned]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    scale = variables.get("SCALE", "1")
    expected = [f"benchmarks.papers {variables['NAME']} --scale {scale}"]
    expected += [f"--{name.lower()} {variables[name]}" for name in ("SEEDS", "EXECUTOR") if name in variables]
    assert all(part in shown for part in expected)


class Interruption:
    """Ctrl-C after some updates of any training."""

    def __init__(self, after):
        self.left = after
        self.update = recipes.lr.torch.Recipe.trainable

    def trainable(self, recipe, seed, **options):
        trainable = self.update(recipe, seed, **options)
        update = trainable.update

        def counted(lr):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return update(lr)

        trainable.update = counted
        return trainable


@pytest.mark.slow
def test_an_interrupted_experiment_goes_on_to_the_same_record(data, tmp_path, monkeypatch, capsys):
    name, scale = "super-convergence-mnist", 0.001
    options = [name, "--scale", scale, "--seeds", 2]
    smaller_lenet = partial(recipes.lenet, batch=16)
    monkeypatch.setattr(program, "EXPERIMENTS", {name: _with_recipe(EXPERIMENTS[name], smaller_lenet)})
    places = {
        which: ["--study", tmp_path / f"{which}.sqlite", "--results", tmp_path / which] for which in ("whole", "parts")
    }
    assert call(monkeypatch, *options, *places["whole"]) == 0
    for after in (6, 9):  # in the middle of the first training, and of another one
        with monkeypatch.context() as patched:
            interruption = Interruption(after)
            patched.setattr(recipes.lr.torch.Recipe, "trainable", lambda *a, i=interruption, **o: i.trainable(*a, **o))
            assert call(patched, *options, *places["parts"]) == 130
        assert tells(capsys.readouterr().err, "interrupted")
    assert call(monkeypatch, *options, *places["parts"]) == 0
    whole, parts = (_without_times(records.read(name, scale, tmp_path / which)) for which in places)
    assert whole == parts
    assert sum(len(arm["trainings"]) for arm in whole["arms"].values()) == 4


@pytest.mark.slow
def test_parts_that_share_no_study_are_one_record(data, tmp_path, monkeypatch, capsys):
    name, scale = "super-convergence-mnist", 0.002
    smaller_lenet = partial(recipes.lenet, batch=16)
    monkeypatch.setattr(program, "EXPERIMENTS", {name: _with_recipe(EXPERIMENTS[name], smaller_lenet)})
    arms = list(EXPERIMENTS[name].by_name(scale))

    def trained(place, *options):
        study = tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite"
        return call(monkeypatch, name, "--scale", scale, "--study", study, "--results", tmp_path / place, *options)

    assert trained("whole", "--seeds", 2) == 0
    assert trained("parts", "--seeds", 1, "--first-seed", 1) == 0
    for arm in arms:
        assert trained("parts", "--seeds", 1, "--arms", arm) == 0
    whole, parts = (_without_times(records.read(name, scale, tmp_path / which)) for which in ("whole", "parts"))
    assert whole == parts
    path = records.path_of(name, scale, tmp_path / "parts")
    path.write_text(path.read_text().replace(whole["arms"][arms[0]]["schedule"], "constant(0.1)"))
    assert trained("parts", "--seeds", 1) == 1
    assert tells(capsys.readouterr().err, "record", arms[0], "constant(0.1)")


def _with_recipe(experiment, recipe):
    return replace(experiment, recipe=recipe)


def _without_times(record):
    for arm in record["arms"].values():
        for training in arm["trainings"]:
            training.pop("seconds"), training.pop("times")
    return {name: value for name, value in record.items() if name != "environments"}


@pytest.mark.slow
def test_the_range_test_of_figure_3_keeps_its_record_and_goes_on(data, tmp_path, monkeypatch, capsys):
    test = range_tests.RANGE_TESTS["clr-figure-3"]
    assert (test.epochs, test.high, test.paper) == (8, 0.02, (0.001, 0.006))
    monkeypatch.setitem(range_tests.RANGE_TESTS, "clr-figure-3", _with_recipe(test, partial(recipes.cifar10_full, batch=10)))
    options = ["clr-figure-3", "--scale", 0.004, "--results", tmp_path]
    assert call(monkeypatch, *options, "--seeds", 1) == 0
    first = json.loads((tmp_path / "clr-figure-3-0.004.json").read_text())
    assert call(monkeypatch, *options, "--seeds", 2) == 0
    record = json.loads((tmp_path / "clr-figure-3-0.004.json").read_text())
    assert record["tests"][0] == first["tests"][0]
    assert [result["seed"] for result in record["tests"]] == [0, 1]
    for result in record["tests"]:
        assert result["lrs"] == sorted(result["lrs"])
        assert result["lrs"][-1] == pytest.approx(0.02)
        assert len(result["lrs"]) == len(result["accuracies"]) == 16  # epochs of two updates
    assert "host" not in record["environment"]
    assert tells(capsys.readouterr().out, "clr-figure-3", "seed 1")


def test_the_bounds_of_the_optimizers_beside_table_3_are_their_lrs():
    assert {name: build.keywords["lr"] for name, build in recipes.beside_table_3().items()} in (
        {},
        {name: base for name, (base, _) in policies.BESIDE_TABLE_3.items()},
    )
