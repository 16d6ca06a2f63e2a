"""The examples that are scripts, each run as a newcomer runs it: a process of its own, in a folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import learnrate as lr

EXAMPLES = Path(__file__).parents[2] / "examples"

# By example: where base_lr, lr and max_lr of its (first) curve lie. Wide: other seeds of initial weights gave 3 times less
# to 3 times more.
FOUND = {
    "image_classifier": ((1e-4, 1e-3), (1e-3, 1e-2), (4e-3, 0.1)),
    "language_model": ((3e-5, 5e-4), (7e-4, 8e-3), (3e-3, 0.3)),
    "detection": ((5e-5, 1e-3), (3e-4, 3e-3), (6e-4, 3e-2)),
    "gan": ((1e-5, 5e-4), (1e-4, 3e-3), (2e-4, 5e-3)),
    "tabular": ((5e-4, 8e-3), (2e-3, 8e-2), (3e-2, 0.5)),
    "numpy": ((4e-3, 4e-2), (3e-2, 0.5), (0.3, 3)),
}


def ran(script, folder):
    command = [sys.executable, str(EXAMPLES / f"{script}.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def numbers(name, printed):
    return [float(found) for found in re.findall(rf"^  {name} is ([\d.e-]+\d)", printed, flags=re.M)]


@pytest.mark.parametrize("name", FOUND)
def test_an_example_finds_bounds(name, tmp_path):
    printed = ran(f"range_test_{name}", tmp_path)
    for bound, (least, most) in zip(("base_lr", "lr", "max_lr"), FOUND[name], strict=True):
        found = numbers(bound, printed)
        assert len(found) == (2 if name == "gan" else 1), printed
        assert least < found[0] < most, printed
    if name == "gan":
        assert printed.count("the mean of 3 sweeps") == 2
        together, alone = numbers("max_lr", printed)
        assert together < alone, "against a generator that keeps its pace, the discriminator stands a higher LR"
    if name == "detection":
        assert "metrics: loss_ce loss_bbox loss_giou" in printed
    if name == "tabular":
        assert "validation loss" in (tmp_path / "range_test_tabular.html").read_text()
    if name in ("image_classifier", "detection", "tabular", "numpy"):
        before, after = (float(re.search(rf"loss {when} ([\d.]+)$", printed, flags=re.M)[1]) for when in ("before", "after"))
        assert after < {"detection": 0.8}.get(name, 0.7) * before, printed


def test_a_plain_loop_is_tuned(tmp_path):
    printed = ran("tune_numpy", tmp_path)
    assert "Raced over" in printed
    schedule = lr.parse(printed.splitlines()[-3])
    assert schedule.length == 400
    assert 0.5 < schedule.max < 20
    before, after = (
        float(re.search(rf"^accuracy {when} ([\d.]+)$", printed, flags=re.M)[1]) for when in ("before", "after")
    )
    assert before < 0.7
    assert after > 0.93


def test_every_range_test_example_is_run():
    assert {path.stem.removeprefix("range_test_") for path in EXAMPLES.glob("range_test_*.py")} == set(FOUND)


def test_the_report_draws_and_says_why_there_are_no_bounds(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", ["example.py", "--plot", str(tmp_path / "curve.png")])
    from reporting import report

    lrs = [0.01 * 1.1**i for i in range(30)]
    report(constant=lr.Curve(lrs, [1.0] * 30, notes=("a note",)))
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["constant: 30 updates", "  a note"]
    none = lr.Curve(lrs, [1.0] * 30).bounds()
    assert printed[2:] == [f"  {none.reason}", f"  {none.remedy}"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
