"""`learnrate tune`: what it prints, writes and returns."""

import json
import math
import re
import subprocess
import sys

import pytest

import learnrate as lr
from command_line import ENVIRONMENT, learnrate
from facts import tells
from recipes import QUADRATIC

pytestmark = pytest.mark.slow

WITH_USUAL_LR = QUADRATIC.replace("def save", "def current_lr(self):\n        return 0.01\n    def save")


def test_json_is_one_object_on_stdout_and_the_report_is_on_stderr(commands, recipe, tmp_path):
    loud = recipe(("def recipe():", "print('LOADING')\ndef recipe():\n    print('BUILDING')"))
    ended = commands.run("tune", loud, "--json", "--out", "results", "--seed", 3, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    plan, results = summary["plan"], summary["results"]
    folder = tmp_path / "results"

    assert summary["bounds"] is None  # a probe made the range test needless
    schedule = lr.parse(plan["schedule"])
    assert schedule == (lr.warmup(plan["max_lr"], "10%") >> lr.cosine(plan["max_lr"], 0.0)).resolve(400)
    assert plan["family"] == "warmup_cosine"
    assert plan["step_size"] is plan["cycles"] is None
    low, high = map(float, plan["interval"])  # infinite if no higher LR was tried
    assert low <= plan["max_lr"] <= high
    assert 0 < plan["cost"] <= 1
    assert plan["reasons"]
    assert results["plan"]["schedule"] == plan["schedule"]
    assert results["constant"]["lr"] == 0.01
    for arm in results.values():
        assert arm["seeds"] == [3, 4, 5]
        assert arm["metric"] == "accuracy"
        assert len(arm["scores"]) == 3
        assert arm["mean"] == pytest.approx(sum(arm["scores"]) / 3)
        assert arm["std"] >= 0
    assert results["plan"]["mean"] >= results["constant"]["mean"]

    loaded = lr.Plan.load(folder / "plan.json")
    assert tells(ended.stderr, "LOADING", "BUILDING", *loaded.reasons.probe, plan["schedule"], folder)
    assert all(tells(ended.stderr, f"{arm['mean']:.4f}") for arm in results.values())

    assert summary["out"] == str(folder)
    assert {path.name for path in folder.iterdir()} == {
        "plan.json",
        "trainings.json",
        "result.json",
        "trials.png",
        "schedule.png",
        "comparison.png",
    }
    assert loaded.schedule == schedule
    assert loaded.curve is None
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    trainings = json.loads((folder / "trainings.json").read_text())
    assert [len(training["losses"]) for training in trainings["arms"]["plan"]["trainings"]] == [schedule.length] * 3
    assert json.loads((folder / "result.json").read_text())["plan"] == plan


def test_without_an_argument_the_plan_beats_a_constant_lr_on_real_data(commands, tmp_path):
    ended = commands.run("tune", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}-digits", folder.name)
    results = json.loads((folder / "result.json").read_text())["results"]
    assert results["plan"]["mean"] >= results["constant"]["mean"]
    assert results["plan"]["mean"] > 0.97
    assert results["constant"]["lr"] == 0.01

    plan = lr.Plan.load(folder / "plan.json")
    assert plan.length == 240
    ends = [f"{end:.2g}" for end in plan.interval if 0 < end < math.inf]
    assert tells(ended.stdout, folder, repr(plan.schedule), f"{plan.max_lr:.2g}", *ends, plan.spent)
    assert tells(ended.stdout, *plan.reasons, "accuracy", *(f"{arm['mean']:.4f}" for arm in results.values()))
    assert all(tells(ended.stdout, f"{trial.max_lr:.2g}", trial.updates) for trial in plan.trials)


def test_no_train_stops_at_the_plan(commands, recipe, tmp_path):
    ended = commands.run("tune", recipe(), "--no-train", "--json", "--updates", 200, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    assert summary.keys() == {"bounds", "plan", "out"}
    assert summary["plan"]["updates"] == 200
    assert not (tmp_path / "runs" / summary["out"] / "trainings.json").exists()


def test_a_budget_in_seconds_includes_the_range_test(commands, recipe, tmp_path):
    slow = "import torch\nimport time\n\ndef loss(model, batch):\n    time.sleep(0.05)\n"
    slow += "    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])\n"
    path = recipe(("import torch\n", slow), ("torch.nn.CrossEntropyLoss()", "loss"))
    ended = commands.run("tune", path, "--json", "--no-train", "--budget", "6 seconds", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["plan"]["spent"] <= 6 / 0.05 + 2


def test_two_runs_at_once_with_one_seed_give_the_same_answer_in_two_folders(commands, recipe, tmp_path):
    path = recipe()
    started = [commands.start("tune", path, "--json", "--updates", 200, folder=tmp_path) for _ in range(2)]
    first, second = (json.loads(process.communicate()[0]) for process in started)
    assert first.pop("out") != second.pop("out")
    assert first == second
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_two_runs_cannot_share_a_folder(commands, recipe, tmp_path):
    path = recipe(("def accuracy(model):", "def accuracy(model):\n        import time\n        time.sleep(0.05)"))
    started = [commands.start("tune", path, "--out", "shared", "--no-train", folder=tmp_path) for _ in range(2)]
    errors = [process.communicate()[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, 2], errors
    assert any(tells(error, "--out", tmp_path / "shared") for error in errors)


def test_results_are_written_also_if_a_recipe_scores_nan_or_diverges(commands, recipe, tmp_path):
    nan = recipe(("return float((model(x)", "return float('nan') * float((model(x)"))
    ended = commands.run("tune", nan, "--json", "--seeds", 1, "--updates", 200, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["results"]["plan"]["scores"] == ["nan"]
    assert json.loads(ended.stdout)["results"]["plan"]["std"] is None
    wild = recipe(("lr=0.01", "lr=1e38"), ("evaluate=accuracy,", ""), name="wild.py")
    ended = commands.run("tune", wild, "--json", "--updates", 200, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    results = json.loads(ended.stdout)["results"]
    assert results["plan"]["mean"] < 1
    assert not float(results["constant"]["mean"]) < 1


def test_the_constant_lr_is_the_highest_of_the_parameter_groups(commands, recipe, tmp_path):
    groups = "torch.optim.SGD([{'params': [model.weight], 'lr': 0.001}, {'params': [model.bias], 'lr': 0.01}])"
    path = recipe(("torch.optim.SGD(model.parameters(), lr=0.01)", groups))
    ended = commands.run("tune", path, "--json", "--updates", 200, "--budget", 2, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["results"]["constant"]["lr"] == 0.01


def test_an_ascii_terminal_and_a_recipe_that_changes_the_folder_lose_no_results(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    changing = f"def recipe():\n    import os\n    os.chdir({str(elsewhere)!r})"
    (tmp_path / "mine.py").write_text(WITH_USUAL_LR.replace("def recipe():", changing))
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    ended = learnrate("tune", "mine.py", "--updates", 200, "--out", "results", folder=tmp_path, environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "results" / "result.json").exists()


def test_a_recipe_without_an_evaluation_is_compared_by_its_loss(commands, recipe, tmp_path):
    ended = commands.run("tune", recipe(("evaluate=accuracy,", "")), "--json", "--updates", 200, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    results = json.loads(ended.stdout)["results"]
    assert results["plan"]["mean"] < results["constant"]["mean"]
    assert results["plan"]["metric"] == "loss"
    assert len(results["plan"]["scores"]) == 3


def test_an_evaluation_that_returns_a_mapping_names_what_is_compared(commands, recipe, tmp_path):
    path = recipe(("return float(", "return {'recall': 0.5, 'accuracy': float("), (".mean())", ".mean())}"))
    ended = commands.run("tune", path, "--json", "--seeds", 1, "--updates", 200, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "held-out recall" in ended.stderr
    assert json.loads(ended.stdout)["results"]["plan"]["scores"] == [0.5]


def test_a_recipe_that_does_not_say_its_usual_lr_is_not_compared_and_the_report_says_so(commands, tmp_path):
    path = tmp_path / "quadratic.py"
    path.write_text(QUADRATIC)
    ended = commands.run("tune", path, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert tells(ended.stdout, "comparison", "current_lr")
    path.write_text(QUADRATIC.replace("return Quadratic()", "return 3"))
    ended = commands.run("tune", path, folder=tmp_path)
    assert ended.returncode == 2
    assert tells(ended.stderr, "trainable", 3)


def test_a_recipe_may_be_a_relative_path_a_link_or_a_name_with_spaces(commands, recipe, tmp_path):
    path = recipe(name="my recipe.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link.py").symlink_to(path)
    ended = commands.run("tune", "link.py", "--no-train", "--updates", 200, folder=elsewhere)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("arguments", ["--help", "mine.py --no-train --out results"])
def test_a_closed_pipe_prints_no_error_and_loses_no_result(tmp_path, arguments):
    (tmp_path / "mine.py").write_text(QUADRATIC.replace("loss = self", "print('SCORE' * 10_000)\n        loss = self"))
    command = f"{sys.executable} -m learnrate tune {arguments} | head -1"
    ended = subprocess.run(command, shell=True, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    if "results" in arguments:
        assert {path.name for path in (tmp_path / "results").iterdir()} >= {"trials.png", "plan.json", "result.json"}


@pytest.mark.parametrize("name", ["c$_^$x.py", b"caf\xe9.py".decode("utf-8", "surrogateescape"), "x" * 200 + ".py", "字.py"])
def test_a_recipe_may_have_any_name_that_a_file_can_have(commands, tmp_path, name):
    (tmp_path / name).write_text(WITH_USUAL_LR)
    ended = commands.run("tune", name, "--seeds", 1, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_version_and_help(tmp_path):
    assert learnrate("--version", folder=tmp_path).stdout.strip() == lr.__version__
    shown = learnrate("tune", "--help", folder=tmp_path).stdout
    for option in ("--no-train", "--seed", "--updates", "--out", "--json", "--budget"):
        assert option in shown
    nothing = learnrate(folder=tmp_path)
    assert nothing.returncode == 2
    assert "tune" in nothing.stdout + nothing.stderr
