"""What may go wrong in `learnrate tune`: one line on stderr, an exit code, and what was done so far on disk."""

import subprocess
import sys
from pathlib import Path

import pytest

import learnrate as lr
from command_line import ENVIRONMENT, learnrate
from facts import tells
from recipes import QUADRATIC

pytestmark = pytest.mark.slow

SGD = "torch.optim.SGD(model.parameters(), lr=0.01)"
DRIVEN = """
def driven(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    {driver}
    return optimizer

def recipe():"""

# From what goes wrong to the exit code, and to what the line must tell: the user's own line where it is his code.
FAILURES = {
    "an exit while loading": (("import torch\n", "import torch, sys\nsys.exit(0)\n"), 2, ("mine.py, line 3", "SystemExit")),
    "an exit": (("evaluate=accuracy", "evaluate=lambda model: exit(0)"), 1, ("mine.py, line 18", "SystemExit")),
    "a missing file": (
        ("evaluate=accuracy", "evaluate=lambda model: open('none.pkl')"),
        1,
        ("mine.py, line 18", "none.pkl"),
    ),
    "a bug": (("evaluate=accuracy", "evaluate=lambda model: [].index(1)"), 1, ("mine.py, line 18", "ValueError")),
    "an end of file": (("evaluate=accuracy", "evaluate=lambda model: __import__('pickle').loads(b'')"), 1, ("EOFError",)),
    "no optimizer": ((SGD, "None"), 2, ("torch.optim.Optimizer", None)),
    "no parameters": (("model.parameters(), lr", "[], lr"), 2, ("optimizer", "mine.py, line 15")),
    "a constant loss": (
        ("torch.nn.CrossEntropyLoss()", "lambda model, batch: 0 * model(batch[0]).sum() + 1"),
        1,
        ("loss", "updates"),
    ),
    "a model that is built already": (
        ("model=lambda: torch.nn.Linear(6, 2)", "model=torch.nn.Sequential(torch.nn.Linear(6, 2))"),
        2,
        ("model", "Sequential", "lambda"),
    ),
    "a model that does not fit": (
        ("torch.nn.Linear(6, 2)", "torch.nn.Linear(7, 2)"),
        1,
        ("RuntimeError: mat1 and mat2 shapes cannot be multiplied",),
    ),
}

# From what is wrong to the changes of the recipe, the arguments after it, and what the line must tell.
BAD = {
    "no such file": ([], ["none.py"], ("none.py",)),
    "a folder": ([], ["."], ("recipe", "folder")),
    "no recipe()": ([("def recipe()", "def prescription()")], [], ("mine.py", "recipe()")),
    "the wrong type": ([("return lr.torch.Recipe(", "return dict(")], [], ("recipe()", "Recipe", "dict")),
    "an import error": ([("import torch\n", "import torch\nimport numpyy\n")], [], ("mine.py, line 3", "import numpyy")),
    "an exit": ([("def recipe():", "def recipe():\n    raise SystemExit(0)")], [], ("recipe()", "SystemExit")),
    "no parameters": ([("torch.nn.Linear(6, 2)", "torch.nn.Flatten()")], [], ("model", "parameters", "Flatten")),
    "an empty loader": ([("list(zip(x.split(32), y.split(32)))", "[]")], [], ("batch",)),
    "a generator": ([("list(zip(x.split(32), y.split(32)))", "(b for b in [])")], [], ("batches", "generator")),
    "a loss of many": ([("CrossEntropyLoss()", "CrossEntropyLoss(reduction='none')")], [], ("loss", "scalar", 32)),
    "a loss of NaN": ([("torch.randn(", "float('nan') * torch.randn(")], [], ("loss", "nan", "update")),
    "a scheduler attached": (
        [
            ("\ndef recipe():", DRIVEN.format(driver="lr.torch.attach(optimizer, lr.constant(1))")),
            (f"lambda model: {SGD}", "driven"),
        ],
        [],
        ("optimizer", "Attachment"),
    ),
    "a torch scheduler attached": (
        [
            ("\ndef recipe():", DRIVEN.format(driver="torch.optim.lr_scheduler.StepLR(optimizer, 10)")),
            (f"lambda model: {SGD}", "driven"),
        ],
        [],
        ("optimizer", "LRScheduler"),
    ),
    "an unwritable folder": ([], ["--out", "/proc/none"], ("--out", "/proc/none")),
    "a folder that is a file": ([], ["--out", "mine.py"], ("--out", "mine.py", "file")),
    "a folder that holds files": ([], ["--out", "."], ("--out", "files")),
    "no updates": ([], ["--updates", "0"], ("--updates", 1, 0)),
    "one update": ([], ["--updates", "1"], ("updates", 2, 1)),
    "two updates": ([], ["--updates", "2"], ("budget", 40, 2)),
    "updates of a half": ([], ["--updates", "1.5"], ("--updates", "integer")),
    "a negative LR": ([], ["--low", "-1"], ("--low", 0, -1.0)),
    "an LR of 0": ([], ["--low", "0"], ("--low", 0.0)),
    "an LR of NaN": ([], ["--high", "nan"], ("--high", "nan")),
    "swapped LRs": ([], ["--low", "1", "--high", "0.1"], ("--low", "--high", 1.0, 0.1)),
    "a budget of 0": ([], ["--budget", "0"], ("budget", 0)),
    "a budget of many trainings": ([], ["--budget", "500"], ("budget", 10, "500 updates")),
    "a budget in miles": ([], ["--budget", "3 miles"], ("budget", "seconds", "3 miles")),
    "a budget of NaN": ([], ["--budget", "nan"], ("budget", "nan")),
    "an unknown family": ([], ["--family", "cosin"], ("family", "warmup_cosine", "cosin")),
    "a seed that is too high": ([], ["--seed", str(2**32)], ("--seed", 2**32 - 1, 2**32)),
    "seeds that end too high": ([], ["--seed", str(2**32 - 2)], ("--seeds", 2, 3, f"--seed {2**32 - 2}")),
    "too many seeds": ([], ["--seeds", str(10**12)], ("--seeds must", 2**32, 10**12)),
    "an LR beyond single precision": ([], ["--high", "1e308"], ("--high", "1e30", "1e+308")),
    "a misspelt option": ([], ["--update", "3"], ("--update",)),
}


def one_line(ended):
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_of_the_recipe_is_one_line_and_an_exit_code(commands, recipe, tmp_path, case):
    change, code, parts = FAILURES[case]
    ended = commands.run("tune", recipe(change), folder=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert tells(one_line(ended), *parts), ended.stderr


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(commands, recipe, tmp_path, case):
    changes, arguments, parts = BAD[case]
    path = recipe(*changes)
    arguments = arguments if arguments in (["none.py"], ["."]) else [path, *arguments]
    ended = commands.run("tune", *arguments, folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert tells(one_line(ended), *parts), ended.stderr
    assert path.read_text().startswith("\nimport torch")
    for folder in (tmp_path / "runs").glob("*"):
        assert any(folder.iterdir()), "a run without results left an empty folder"


def test_an_unwritable_folder_is_refused_before_any_training(commands, recipe, tmp_path):
    path = recipe(("model=lambda:", "model=lambda: print('TRAINED') or"))
    ended = commands.run("tune", path, "--out", "/proc/none", folder=tmp_path)
    assert "TRAINED" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("change", "code"),
    [(("loss = self.weight**2", "loss = 1 / 0"), 1), (("def recipe()", "def prescription()"), 2)],
    ids=["a failed run", "bad input"],
)
def test_the_interpreter_ends_with_that_line_and_exit_code(tmp_path, change, code):
    (tmp_path / "mine.py").write_text(QUADRATIC.replace(*change))
    ended = learnrate("tune", "mine.py", folder=tmp_path)
    assert ended.returncode == code
    assert one_line(ended)


def test_debug_shows_the_traceback(commands, recipe, tmp_path):
    ended = commands.run("tune", recipe(("torch.nn.Linear(6, 2)", "torch.nn.Linear(7, 2)")), "--debug", folder=tmp_path)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_a_full_disk_is_exit_code_1_and_keeps_what_was_written(tmp_path):
    # The first update after the range test was written leaves no room for the plan.
    limited = """
        import pathlib, resource, signal
        if pathlib.Path("results/range-test.png").exists():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        loss = self"""
    (tmp_path / "mine.py").write_text(QUADRATIC.replace("\n        loss = self", limited))
    # Through pipes, which the limit does not concern.
    ended = learnrate("tune", "mine.py", "--out", "results", folder=tmp_path)
    assert ended.returncode == 1, ended.stderr
    assert tells(one_line(ended), "plan.json", "File too large")
    assert len(lr.Curve.load(tmp_path / "results" / "curve.json")) > 10
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"curve.json", "range-test.png"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
@pytest.mark.parametrize(
    "arguments", ["--version", "tune --help", "tune mine.py --out results", "tune mine.py --out results --json"]
)
def test_a_stdout_on_a_full_disk_is_one_line_and_loses_no_result(recipe, tmp_path, arguments):
    recipe().write_text(QUADRATIC)
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "learnrate", *arguments.split()]
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False
        )
    assert ended.returncode == 1, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert tells(last, "error", "standard output", "No space left")
    if "--json" not in arguments:
        assert one_line(ended)
    if "results" in arguments:
        assert tells(last, tmp_path / "results")
        assert {path.name for path in (tmp_path / "results").iterdir()} >= {"curve.json", "plan.json", "result.json"}


def test_the_help_shows_every_default(tmp_path):
    ended = learnrate("tune", "--help", folder=tmp_path)
    text = " ".join(ended.stdout.replace("│", " ").split())
    for name, default in {
        "--updates": "that of the recipe",
        "--seed": "0",
        "--seeds": "3",
        "--family": "warmup_cosine",
        "--budget": "by the length of the run",
        "--low": "1e-06",
        "--high": "100.0",
        "--out": "runs/<time>-<recipe>",
    }.items():
        described = text[text.index(f"{name} ") :]
        shown = described[described.index("[default: ") + len("[default: ") :]
        assert shown.lstrip("(").startswith(default), name
