"""Ctrl-C at any moment of `learnrate tune`."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import learnrate as lr
from command_line import ENVIRONMENT, learnrate, start
from facts import tells
from learnrate.cli.folder import open_folder
from recipes import QUADRATIC

pytestmark = pytest.mark.slow

MARK = """
import pathlib, time

def mark(path):
    path = pathlib.Path(path)
    if not path.exists():
        path.touch()
        time.sleep(1)

def marked_loss(path, model, batch):
    mark(path)
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
"""


def wait_for(condition, process):
    end = time.monotonic() + 300
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.parametrize("moment", ["loading", "first update", "curve.json", "plan.json", "trainings.json"])
def test_an_interrupt_is_exit_code_130_and_leaves_readable_files(commands, recipe, tmp_path, moment):
    # Slow enough that the run still goes on when the file has appeared.
    path = recipe(
        ("def accuracy(model):", "def accuracy(model):\n        import time\n        time.sleep(0.05)"),
        ("def recipe():", f"{MARK}\nmark({str(tmp_path / 'loading')!r})\n\ndef recipe():"),
        (
            "torch.nn.CrossEntropyLoss()",
            f"lambda model, batch: marked_loss({str(tmp_path / 'first update')!r}, model, batch)",
        ),
        # There is no probe for it, so that a range test writes its curve first.
        ("torch.optim.SGD(model.parameters(), lr=0.01)", "torch.optim.Rprop(model.parameters(), lr=0.01)"),
    )
    out = tmp_path / "results"
    arguments = ["tune", path, "--json", "--out", out]
    # The interpreter itself may end by the signal, and not with the exit code.
    begin = start if moment in ("loading", "plan.json") else commands.start
    process = begin(*arguments, folder=tmp_path)
    wait_for((out / moment if "." in moment else tmp_path / moment).exists, process)
    process.send_signal(signal.SIGINT)
    printed, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert printed == ""
    assert "Traceback" not in error
    assert tells(error, "interrupted")
    written = sorted(path.name for path in out.iterdir()) if out.exists() else []
    assert not [name for name in written if name.endswith(".part")]
    for name in written:
        if name.endswith(".json"):
            json.loads((out / name).read_text())
    if moment in ("loading", "first update"):
        assert not out.exists()
        assert str(out) not in error
        assert len(error.splitlines()) == 1 if moment == "loading" else error
    else:
        assert moment in written
        assert str(out) in error
        assert len(lr.Curve.load(out / "curve.json")) > 10


@pytest.mark.parametrize("function", ["new_figure", "plot", "savefig"])
def test_an_interrupt_waits_until_a_figure_is_drawn(tmp_path, function):
    folder = open_folder(tmp_path / "results", tmp_path, "mine")
    curve = lr.Curve([1e-3, 1e-2, 1e-1], [1.0, 0.5, 2.0])

    def interrupt(frame, event, arg):
        if event == "call" and frame.f_code.co_name == function:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            folder.draw_curve(curve, curve.bounds())
    finally:
        sys.setprofile(None)
        folder.close()
    assert (folder.path / "range-test.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_folder_of_a_run_that_was_killed_can_be_used_again(commands, tmp_path, number):
    path = tmp_path / "quadratic.py"
    path.write_text(QUADRATIC.replace("loss = self", "__import__('time').sleep(1)\n        loss = self"))
    out = tmp_path / "results"
    process = commands.start("tune", path, "--out", out, folder=tmp_path)
    wait_for(lambda: out.exists() and any(out.iterdir()), process)
    refused = commands.run("tune", path, "--out", out, folder=tmp_path)
    assert refused.returncode == 2
    assert tells(refused.stderr, "--out", out, "in use")
    process.send_signal(number)
    process.communicate()
    assert process.returncode == -number
    path.write_text(QUADRATIC)
    ended = commands.run("tune", path, "--out", out, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in out.iterdir()} == {
        "curve.json",
        "plan.json",
        "range-test.png",
        "result.json",
        "schedule.png",
        "trials.png",
    }


INTERRUPT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.parametrize(
    "name", ["numpy", "learnrate.finder", "learnrate.tuner", "learnrate.cli", "learnrate.cli.app", "typer"]
)
def test_an_interrupt_while_the_command_loads_shows_no_traceback(tmp_path, name):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT.format(name=name))
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = learnrate("--version", folder=tmp_path, environment={**ENVIRONMENT, "PYTHONPATH": paths})
    assert ended.returncode in (130, -signal.SIGINT)
    assert ended.stdout == ""
    assert ended.stderr in ("", "interrupted\n")


def test_a_program_that_imports_learnrate_keeps_its_handler():
    lines = "import signal, learnrate\nassert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    subprocess.run([sys.executable, "-c", lines], check=True)
