"""The command line, run as a user runs it: as a process, from any folder."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import learnrate as lr

RECIPE = """
import torch
import learnrate as lr

def recipe():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(320, 6, generator=generator)
    y = (x[:, :3].sum(1) > 0).long()

    def accuracy(model):
        return float((model(x).argmax(1) == y).double().mean())

    return lr.torch.Recipe(
        model=lambda: torch.nn.Linear(6, 2),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01),
        batches=lambda: list(zip(x.split(32), y.split(32))),
        loss=torch.nn.CrossEntropyLoss(),
        evaluate=accuracy,
        updates=400,
    )
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def learnrate(*arguments, folder, timeout=120):
    command = [sys.executable, "-m", "learnrate", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe, with changes, and returns its path."""

    def write(*changes, name="mine.py"):
        text = RECIPE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_budget_in_seconds_covers_the_range_test_too(recipe, tmp_path):
    slow = "import torch\nimport time\n\ndef loss(model, batch):\n    time.sleep(0.05)\n"
    slow += "    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])\n"
    path = recipe(("import torch\n", slow), ("torch.nn.CrossEntropyLoss()", "loss"))
    done = learnrate("tune", path, "--json", "--no-train", "--budget", "6 seconds", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    # As many as fit into the time, not those of a whole range test beside it.
    assert json.loads(done.stdout)["plan"]["spent"] <= 6 / 0.05 + 2


def test_json_is_one_object_on_stdout_and_all_else_is_on_stderr(recipe, tmp_path):
    loud = recipe(("def recipe():", "print('loading')\ndef recipe():\n    print('making')"))
    done = learnrate("tune", loud, "--json", "--out", "results", "--seed", 3, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for words in ("loading", "making", "Range test", "Plan", "Trainings", "Curve, plan and pictures are in"):
        assert words in done.stderr

    bounds, plan, results = told["bounds"], told["plan"], told["results"]
    # A sweep of 40 updates is too short for bounds of its own here: the races choose.
    assert bounds is None
    assert "The range test alone gives no answer" in done.stderr
    schedule = lr.parse(plan["schedule"])
    assert schedule == (lr.warmup(plan["max_lr"], "10%") >> lr.cosine(plan["max_lr"], 0.0)).resolve(400)
    assert plan["family"] == "warmup_cosine"
    assert plan["step_size"] is plan["cycles"] is None
    low, high = plan["interval"]
    assert low <= plan["max_lr"] <= high
    assert 0 < plan["cost"] <= 1
    assert len(plan["reasons"]) >= 6
    assert results["plan"]["schedule"] == plan["schedule"]
    assert results["constant"]["lr"] == 0.01
    for arm in results.values():
        assert arm["seeds"] == [3, 4, 5]
        assert len(arm["accuracy"]) == 3
        assert arm["mean"] == pytest.approx(sum(arm["accuracy"]) / 3)
        assert arm["std"] >= 0
    assert results["plan"]["mean"] >= results["constant"]["mean"]

    folder = tmp_path / "results"
    assert told["out"] == str(folder)
    assert {path.name for path in folder.iterdir()} == {
        "curve.json",
        "plan.json",
        "trainings.json",
        "result.json",
        "range-test.png",
        "schedule.png",
        "comparison.png",
    }
    loaded = lr.Plan.load(folder / "plan.json")
    assert loaded.schedule == schedule
    assert loaded.curve == lr.Curve.load(folder / "curve.json")
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    trainings = json.loads((folder / "trainings.json").read_text())
    assert [len(training["losses"]) for training in trainings["arms"]["plan"]["trainings"]] == [schedule.length] * 3
    assert json.loads((folder / "result.json").read_text())["plan"] == plan


def test_without_an_argument_the_tuned_plan_beats_the_usual_constant_lr_on_real_data(tmp_path):
    done = learnrate("tune", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}-digits", folder.name)
    results = json.loads((folder / "result.json").read_text())["results"]
    assert results["plan"]["mean"] >= results["constant"]["mean"]
    assert results["plan"]["mean"] > 0.97
    assert results["constant"]["lr"] == 0.01
    printed = done.stdout
    assert str(folder) in printed
    assert re.search(r"warmup\(max_lr=.*, length=24\) >> cosine\(start=.*, end=0.0, length=216\)", printed)
    for words in (
        "base_lr is",
        "max_lr is",
        "lr is",
        "The interval of lr",
        "Raced over",
        "max_lr of the plan is",
        "held-out accuracy",
        "Tuning cost",
    ):
        assert words in printed, words


def test_no_train_stops_at_the_plan(recipe, tmp_path):
    done = learnrate("tune", recipe(), "--no-train", "--json", "--updates", 200, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.keys() == {"bounds", "plan", "out"}
    assert told["plan"]["updates"] == 200
    assert not (tmp_path / "runs" / told["out"] / "trainings.json").exists()


def test_the_same_seed_gives_the_same_answer_and_two_runs_at_once_keep_apart(recipe, tmp_path):
    path = recipe()
    command = [sys.executable, "-m", "learnrate", "tune", str(path), "--json", "--updates", "200"]
    started = [
        subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (json.loads(process.communicate(timeout=120)[0]) for process in started)
    assert first.pop("out") != second.pop("out")
    assert first == second
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_two_runs_cannot_share_a_folder(recipe, tmp_path):
    path = recipe(("def accuracy(model):", "def accuracy(model):\n        import time\n        time.sleep(0.05)"))
    command = [sys.executable, "-m", "learnrate", "tune", str(path), "--out", "shared", "--no-train"]
    started = [
        subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, 2], said
    assert any("in use" in words or "holds files" in words for words in said)


def test_a_recipe_that_diverges_or_scores_nan_keeps_its_results(recipe, tmp_path):
    nan = recipe(("return float((model(x)", "return float('nan') * float((model(x)"))
    done = learnrate("tune", nan, "--json", "--seeds", 1, "--updates", 200, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]["plan"]["accuracy"] == ["nan"]
    assert json.loads(done.stdout)["results"]["plan"]["std"] is None
    wild = recipe(("lr=0.01", "lr=1e38"), ("evaluate=accuracy,", ""), name="wild.py")
    done = learnrate("tune", wild, "--json", "--updates", 200, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert results["plan"]["mean"] < 1
    assert not float(results["constant"]["mean"]) < 1


def test_the_baseline_of_several_groups_is_the_optimizer_as_it_came(recipe, tmp_path):
    groups = "torch.optim.SGD([{'params': [model.weight], 'lr': 0.001}, {'params': [model.bias], 'lr': 0.01}])"
    path = recipe(("torch.optim.SGD(model.parameters(), lr=0.01)", groups))
    done = learnrate("tune", path, "--json", "--updates", 200, "--budget", 2, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]["constant"]["lr"] == 0.01


def test_a_terminal_that_knows_ascii_alone_and_a_recipe_that_moves_house_cost_nothing(recipe, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = recipe(("def recipe():", f"def recipe():\n    import os\n    os.chdir({str(elsewhere)!r})"))
    command = [sys.executable, "-m", "learnrate", "tune", str(path), "--updates", "200", "--out", "results"]
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "result.json").exists()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("import torch\n", "import torch, sys\nsys.exit(0)\n"), 2, "the recipe cannot be loaded: mine.py, line 3"),
        (("evaluate=accuracy", "evaluate=lambda model: exit(0)"), 1, "the run failed: mine.py, line 18"),
        (("evaluate=accuracy", "evaluate=lambda model: open('none.pkl')"), 1, "the run failed: mine.py, line 18"),
        (("evaluate=accuracy", "evaluate=lambda model: next(_ for _ in [].index(1))"), 1, "mine.py, line 18"),
        (("evaluate=accuracy", "evaluate=lambda model: __import__('pickle').loads(b'')"), 1, "EOFError: Ran out of input"),
        (
            ("torch.optim.SGD(model.parameters(), lr=0.01)", "None"),
            2,
            "optimizer must be a torch.optim.Optimizer, received None",
        ),
        (("model.parameters(), lr", "[], lr"), 2, "Recipe.optimizer failed: mine.py, line 15"),
        (
            ("torch.nn.CrossEntropyLoss()", "lambda model, batch: 0 * model(batch[0]).sum() + 1"),
            1,
            "no answer: no LR made the loss fall enough to choose by, in races of up to",
        ),
        (
            ("model=lambda: torch.nn.Linear(6, 2)", "model=torch.nn.Sequential(torch.nn.Linear(6, 2))"),
            2,
            "received a model of type Sequential: write lambda: ..., so that each training gets a new one",
        ),
    ],
)
def test_what_a_recipe_may_do_wrong(recipe, tmp_path, change, code, words):
    done = learnrate("tune", recipe(change), folder=tmp_path)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert words in line


def test_a_recipe_without_an_evaluation_is_judged_by_its_loss(recipe, tmp_path):
    done = learnrate("tune", recipe(("evaluate=accuracy,", "")), "--json", "--updates", 200, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert results["plan"]["mean"] < results["constant"]["mean"]
    assert len(results["plan"]["loss"]) == 3


def test_relative_paths_links_and_names_with_spaces(recipe, tmp_path):
    path = recipe(name="my recipe.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link.py").symlink_to(path)
    done = learnrate("tune", "link.py", "--no-train", "--updates", 200, folder=elsewhere)
    assert done.returncode == 0, done.stderr


BAD = {
    "no such file": ([], ["none.py"], "none.py is no such file"),
    "a folder": ([], ["."], "is a folder"),
    "no recipe()": ([("def recipe()", "def prescription()")], [], "must define a function recipe()"),
    "the wrong type": (
        [("return lr.torch.Recipe(", "return dict(")],
        [],
        "must return a learnrate.torch.Recipe, received {",
    ),
    "an import error": ([("import torch\n", "import torch\nimport numpyy\n")], [], "line 3: 'import numpyy'"),
    "an exit": ([("def recipe():", "def recipe():\n    raise SystemExit(0)")], [], "recipe() failed"),
    "no parameters": (
        [("torch.nn.Linear(6, 2)", "torch.nn.Flatten()")],
        [],
        "model must have trainable parameters, Flatten",
    ),
    "an empty loader": ([("list(zip(x.split(32), y.split(32)))", "[]")], [], "at least one batch"),
    "a generator": ([("list(zip(x.split(32), y.split(32)))", "(b for b in [])")], [], "which runs out for good"),
    "a loss of many": ([("CrossEntropyLoss()", "CrossEntropyLoss(reduction='none')")], [], "the loss must be a scalar"),
    "a loss of NaN": ([("torch.randn(", "float('nan') * torch.randn(")], [], "the loss is nan at the first update"),
    "a scheduler attached": (
        [
            (
                "def recipe():",
                "def made(model):\n    o = torch.optim.SGD(model.parameters(), 0.1)\n    "
                "lr.torch.attach(o, lr.constant(1))\n    return o\n\ndef recipe():",
            ),
            ("lambda model: torch.optim.SGD(model.parameters(), lr=0.01)", "made"),
        ],
        [],
        "already is by a learnrate.torch.Attachment",
    ),
    "a torch scheduler attached": (
        [
            (
                "def recipe():",
                "def made(model):\n    o = torch.optim.SGD(model.parameters(), 0.1)\n    "
                "torch.optim.lr_scheduler.StepLR(o, 10)\n    return o\n\ndef recipe():",
            ),
            ("lambda model: torch.optim.SGD(model.parameters(), lr=0.01)", "made"),
        ],
        [],
        "already has a torch LRScheduler",
    ),
    "an unwritable folder": (
        [],
        ["--out", "/proc/none"],
        "--out must be a folder that can be written to, /proc/none is not",
    ),
    "a folder that is a file": ([], ["--out", "mine.py"], "mine.py is a file or in use"),
    "a folder that holds files": ([], ["--out", "."], "--out must be a new or empty folder, "),
    "no updates": ([], ["--updates", "0"], "--updates must be at least 1, received 0"),
    "one update": ([], ["--updates", "1"], "budget must cover at least 40 updates"),
    "two updates": ([], ["--updates", "2"], "received 2 updates"),
    "updates of a half": ([], ["--updates", "1.5"], "Invalid value for '--updates'"),
    "a negative LR": ([], ["--low", "-1"], "--low must be above 0, received -1.0"),
    "an LR of 0": ([], ["--low", "0"], "--low must be above 0, received 0.0"),
    "an LR of NaN": ([], ["--high", "nan"], "--high must be finite, received nan"),
    "swapped LRs": ([], ["--low", "1", "--high", "0.1"], "--low must be below --high, received 1.0 and 0.1: swap them"),
    "a budget of 0": ([], ["--budget", "0"], "budget must be above 0, received 0"),
    "a budget of many trainings": (
        [],
        ["--budget", "500"],
        "received 500: a number is a share of one training, so give '500 updates'",
    ),
    "a budget in miles": ([], ["--budget", "3 miles"], "'90 seconds' or '5 minutes', received '3 miles'"),
    "a budget of NaN": ([], ["--budget", "nan"], "budget must be finite, received nan"),
    "an unknown family": ([], ["--family", "cosin"], "family must be one of 'warmup_cosine'"),
    "a seed that is too high": ([], ["--seed", str(2**32 - 2)], "--seed must be at most 2 ** 32 - 3, for 3 seeds"),
    "a misspelt option": ([], ["--update", "3"], "No such option: --update"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_exit_code_2(recipe, tmp_path, case):
    changes, arguments, words = BAD[case]
    path = recipe(*changes)
    given = arguments if arguments[:1] in (["none.py"], ["."]) else [path, *arguments]
    done = learnrate("tune", *given, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert "Traceback" not in done.stderr
    assert path.read_text().startswith("\nimport torch")
    for folder in (tmp_path / "runs").glob("*"):
        assert (folder / "curve.json").exists(), "a run that came to nothing left an empty folder"


def test_an_unwritable_folder_is_found_before_any_training(recipe, tmp_path):
    path = recipe(("model=lambda:", "model=lambda: print('TRAINED') or"))
    done = learnrate("tune", path, "--out", "/proc/none", folder=tmp_path)
    assert "TRAINED" not in done.stdout + done.stderr


def test_a_failed_run_is_exit_code_1_with_the_users_own_line(recipe, tmp_path):
    path = recipe(("torch.nn.Linear(6, 2)", "torch.nn.Linear(7, 2)"))
    done = learnrate("tune", path, folder=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied" in line
    shown = learnrate("tune", path, "--debug", folder=tmp_path)
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr


def test_a_full_disk_is_exit_code_1_and_keeps_what_was_written(recipe, tmp_path):
    # The second evaluation, called after the range test is written, leaves no room for the plan.
    path = recipe(
        (
            "def accuracy(model):",
            "calls = []\n\n    def accuracy(model):\n        calls.append(model)\n        limited(calls)",
        ),
        (
            "def recipe():",
            "import resource, signal\n\ndef limited(calls):\n    if len(calls) == 2:\n        "
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n        "
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n\ndef recipe():",
        ),
    )
    done = learnrate("tune", path, "--out", "results", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"error: cannot write .*plan\.json: File too large", line)
    assert len(lr.Curve.load(tmp_path / "results" / "curve.json")) > 10
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"curve.json", "range-test.png"}


def wait_for(condition, process):
    end = time.monotonic() + 60
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


MARK = """
import pathlib, time

def mark(path):
    path = pathlib.Path(path)
    if not path.exists():
        path.touch()
        time.sleep(1)

def first(path, model, batch):
    mark(path)
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
"""


@pytest.mark.parametrize("moment", ["loading", "first update", "curve.json", "plan.json", "trainings.json"])
def test_an_interrupt_is_exit_code_130_and_leaves_what_was_written_readable(recipe, tmp_path, moment):
    # Slow enough that the run is still going when the file has appeared.
    path = recipe(
        ("def accuracy(model):", "def accuracy(model):\n        import time\n        time.sleep(0.05)"),
        ("def recipe():", f"{MARK}\nmark({str(tmp_path / 'loading')!r})\n\ndef recipe():"),
        ("torch.nn.CrossEntropyLoss()", f"lambda model, batch: first({str(tmp_path / 'first update')!r}, model, batch)"),
    )
    out = tmp_path / "results"
    command = [sys.executable, "-m", "learnrate", "tune", str(path), "--json", "--out", str(out)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for((out / moment if "." in moment else tmp_path / moment).exists, process)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert printed == ""
    assert "Traceback" not in said
    written = sorted(path.name for path in out.iterdir()) if out.exists() else []
    assert not [name for name in written if name.endswith(".part")]
    for name in written:
        if name.endswith(".json"):
            json.loads((out / name).read_text())
    if moment in ("loading", "first update"):
        assert not list(tmp_path.glob("results/*"))
    else:
        assert moment in written
        assert f"interrupted: what was done so far is in {out}" in said
        lr.Curve.load(out / "curve.json")
    if moment == "loading":
        assert said == "interrupted\n"
    if moment == "first update":
        assert "interrupted: nothing was written yet" in said
        assert not out.exists()


def test_a_reader_that_goes_away_is_no_news():
    command = f"{sys.executable} -m learnrate tune --help | head -1"
    done = subprocess.run(command, shell=True, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_version_and_help(tmp_path):
    assert learnrate("--version", folder=tmp_path).stdout.strip() == lr.__version__
    shown = learnrate("tune", "--help", folder=tmp_path).stdout
    for option in ("--no-train", "--seed", "--updates", "--out", "--json", "--budget"):
        assert option in shown
    nothing = learnrate(folder=tmp_path)
    assert nothing.returncode == 2
    assert "tune" in nothing.stdout + nothing.stderr
