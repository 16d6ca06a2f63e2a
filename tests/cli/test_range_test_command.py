"""`learnrate range-test`: what it prints, writes and returns, and what may go wrong."""

import json
import signal
import sys
import time

import pytest

import learnrate as lr
from command_line import learnrate
from facts import tells
from recipes import NEUTRAL, QUADRATIC

pytestmark = pytest.mark.slow

FILES = {"curve.json", "range-test.png", "range-test.html", "result.json"}

# From what is wrong to the changes of the recipe, the arguments after it, and what the line must tell.
BAD = {
    "too few updates": ([], ["--updates", "5"], ("--updates", 10, 5)),
    "swapped LRs": ([], ["--low", "1", "--high", "0.1"], ("--low", "--high", 1.0, 0.1)),
    "a narrow range": ([], ["--low", "1", "--high", "1.5"], ("high", "twice", 1.5)),
    "no seeds": ([], ["--seeds", "0"], ("--seeds", 1)),
    "a folder that holds files": ([], ["--out", "."], ("--out", "files")),
    "an empty loader": ([("list(zip(x.split(32), y.split(32)))", "[]")], [], ("batch",)),
    "a failing model": ([("torch.nn.Linear(6, 2)", "torch.nn.Linear(6)")], [], ("Recipe.model", "mine.py, line 14")),
    "no recipe()": ([("def recipe()", "def prescription()")], [], ("mine.py", "recipe()")),
}


def test_json_is_one_object_and_the_files_are_there(commands, recipe, tmp_path):
    shuffled = "torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 32, shuffle=True)"
    loud = recipe(("def recipe():", "print('LOADING')\ndef recipe():"), ("list(zip(x.split(32), y.split(32)))", shuffled))
    ended = commands.run("range-test", loud, "--json", "--out", "results", "--seed", 3, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    folder = tmp_path / "results"
    assert {path.name for path in folder.iterdir()} == FILES
    curve = lr.Curve.load(folder / "curve.json")
    bounds = curve.bounds()
    assert summary["bounds"] == bounds.as_record()
    assert (summary["no_answer"], summary["ended"], summary["updates"]) == (None, curve.ended, len(curve))
    assert (curve.seeds, summary["seeds"], summary["out"]) == ((3,), [3], str(folder))
    assert tells(ended.stderr, "LOADING", f"{bounds.max_lr:g}", f"{bounds.base_lr:g}", *curve.notes, folder)
    assert json.loads((folder / "result.json").read_text())["bounds"] == summary["bounds"]
    assert "plotly" in (folder / "range-test.html").read_text()


def test_several_seeds_make_a_mean_curve_over_the_given_range(commands, recipe, tmp_path):
    arguments = ["--seeds", 2, "--low", 1e-4, "--high", 1, "--updates", 40, "--out", "results"]
    ended = commands.run("range-test", recipe(), *arguments, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    curve = lr.Curve.load(tmp_path / "results" / "curve.json")
    assert (curve.seeds, len(curve.sweeps)) == ((0, 1), 2)
    assert curve.lrs[0] == 1e-4
    assert curve.lrs[-1] <= 1.0
    assert len(curve) <= 40
    assert (curve.sweeps[0].losses != curve.sweeps[1].losses).any()


def test_a_recipe_of_no_framework_in_a_folder_of_its_name(commands, tmp_path):
    (tmp_path / "mine.py").write_text(NEUTRAL)
    ended = commands.run("range-test", "mine.py", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-neutral")
    assert lr.Curve.load(folder / "curve.json").bounds()


def test_no_answer_is_exit_code_1_after_everything_is_written(commands, tmp_path):
    (tmp_path / "flat.py").write_text(QUADRATIC.replace("return loss", "return 1.0"))
    ended = commands.run("range-test", "flat.py", "--json", "--out", "results", folder=tmp_path)
    assert ended.returncode == 1
    summary = json.loads(ended.stdout)
    assert summary["bounds"] is None
    line = ended.stderr.splitlines()[-1]
    assert tells(line, "error", "no answer", *summary["no_answer"].values(), tmp_path / "results")
    assert {path.name for path in (tmp_path / "results").iterdir()} == FILES


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(commands, recipe, tmp_path, case):
    changes, arguments, parts = BAD[case]
    ended = commands.run("range-test", recipe(*changes), *arguments, folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert tells(line, "error", *parts), line
    for folder in (tmp_path / "runs").glob("*"):
        assert any(folder.iterdir()), "a run without results left an empty folder"


def test_without_plotly_the_report_says_that_there_is_no_page(recipe, tmp_path, monkeypatch, capsys):
    from learnrate.cli.range_test import Options, range_test_command

    (tmp_path / "quadratic.py").write_text(QUADRATIC)
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    out = tmp_path / "results"
    range_test_command(Options(tmp_path / "quadratic.py", 100, 0, 1, 1e-7, 10.0, out, False))
    assert tells(capsys.readouterr().out, "plotly", "learnrate[pages]")
    assert {path.name for path in out.iterdir()} == FILES - {"range-test.html"}


def test_a_full_disk_is_exit_code_1_and_keeps_what_was_written(tmp_path):
    # The first update leaves no room for the page, which holds plotly.
    limited = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
    (tmp_path / "mine.py").write_text(limited + NEUTRAL)
    ended = learnrate("range-test", "mine.py", "--out", "results", folder=tmp_path)  # through pipes, which have no limit
    assert ended.returncode == 1, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert tells(line, "error", "range-test.html", "File too large")
    assert {path.name for path in (tmp_path / "results").iterdir()} == FILES - {"range-test.html"}


@pytest.mark.parametrize("seeds", [1, 2])
def test_an_interrupt_is_exit_code_130_and_keeps_the_curve(commands, tmp_path, seeds):
    slow = "open('begun', 'a').write('x') and __import__('time').sleep(0.05)\n        loss = self"
    (tmp_path / "slow.py").write_text(QUADRATIC.replace("loss = self", slow))
    process = commands.start("range-test", "slow.py", "--out", "results", "--updates", 60, "--seeds", seeds, folder=tmp_path)
    begun, end = tmp_path / "begun", time.monotonic() + 300
    updates = 30 if seeds == 1 else 60 + 20
    while time.monotonic() < end and not (begun.exists() and begun.stat().st_size > updates):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130, error
    assert tells(error, "interrupted", tmp_path / "results")
    assert "Traceback" not in error
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"curve.json", "result.json"}
    curve = lr.Curve.load(tmp_path / "results" / "curve.json")
    assert 10 < len(curve) < 60
