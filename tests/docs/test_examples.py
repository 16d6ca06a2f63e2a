"""The examples that are scripts, each run as a user runs it: in its own process and its own folder."""

import re
import sys
from pathlib import Path

import pytest

import learnrate as lr
from facts import tells

EXAMPLES = Path(__file__).parents[2] / "examples"

# By example: where base_lr, lr and max_lr of its (first) curve lie. Wide: other seeds of initial weights gave 3 times less
# to 3 times more.
EXPECTED = {
    "image_classifier": ((1e-4, 1e-3), (1e-3, 1e-2), (4e-3, 0.1)),
    "language_model": ((3e-5, 5e-4), (7e-4, 8e-3), (3e-3, 0.3)),
    "detection": ((5e-5, 1e-3), (3e-4, 3e-3), (6e-4, 3e-2)),
    "gan": ((1e-5, 5e-4), (1e-4, 3e-3), (2e-4, 5e-3)),
    "tabular": ((5e-4, 8e-3), (2e-3, 8e-2), (3e-2, 0.5)),
    "numpy": ((4e-3, 4e-2), (3e-2, 0.5), (0.3, 3)),
}
NUMBER = r"(\d[\d.]*(?:e[-+]?\d+)?)\b"


def run(commands, script, folder):
    ended = commands.run(script=str(EXAMPLES / f"{script}.py"), folder=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def numbers(name, printed):
    """The first number of each line that begins with a name."""
    return [float(number) for number in re.findall(rf"^\s*{name}\b[^\d\n]*{NUMBER}", printed, flags=re.M)]


def before_and_after(name, printed):
    return [float(re.search(rf"{name} {when}\D*{NUMBER}", printed)[1]) for when in ("before", "after")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.heavy) if name == "detection" else name for name in EXPECTED]
)
def test_an_example_finds_bounds(commands, name, tmp_path):
    printed = run(commands, f"range_test_{name}", tmp_path)
    for bound, (least, most) in zip(("base_lr", "lr", "max_lr"), EXPECTED[name], strict=True):
        values = numbers(bound, printed)
        assert len(values) == (2 if name == "gan" else 1), printed
        assert least < values[0] < most, printed
    if name == "gan":
        assert "3 sweeps" in printed
        together, alone = numbers("max_lr", printed)
        assert together < alone, "against a generator that keeps its LR, the discriminator stands a higher LR"
    if name == "detection":
        assert tells(printed, "loss_ce", "loss_bbox", "loss_giou")
    if name == "tabular":
        assert "validation loss" in (tmp_path / "range_test_tabular.html").read_text()
    if name in ("image_classifier", "detection", "tabular", "numpy"):
        before, after = before_and_after("loss", printed)
        assert after < {"detection": 0.8}.get(name, 0.7) * before, printed


@pytest.mark.slow
def test_a_plain_loop_is_tuned(commands, tmp_path):
    printed = run(commands, "tune_numpy", tmp_path)
    (expression,) = [line for line in printed.splitlines() if ">>" in line]
    schedule = lr.parse(expression)
    assert schedule.length == 400
    assert 0.5 < schedule.max < 20
    assert tells(printed, "max_lr", f"{schedule.max:.2g}")
    before, after = before_and_after("accuracy", printed)
    assert before < 0.7
    assert after > 0.93


def test_every_range_test_example_is_run():
    assert {path.stem.removeprefix("range_test_") for path in EXAMPLES.glob("range_test_*.py")} == set(EXPECTED)


def test_the_report_draws_curves_and_says_why_there_are_no_bounds(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", ["example.py", "--plot", str(tmp_path / "curve.png")])
    from reporting import report

    lrs = [0.01 * 1.1**i for i in range(30)]
    report(constant=lr.Curve(lrs, [1.0] * 30, notes=("a note",)))
    no_answer = lr.Curve(lrs, [1.0] * 30).bounds()
    assert tells(capsys.readouterr().out, "constant", 30, "a note", no_answer.reason, no_answer.remedy)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
