"""`learnrate show`: values, boundaries and the picture of a schedule."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

import learnrate as lr
from command_line import ENVIRONMENT, learnrate
from facts import tells
from learnrate.cli import show
from learnrate.cli.terminal import Canvas, plotted
from strategies import schedules

EXPRESSION = "warmup(0.1, 500) >> cosine(0.1, 0, 9500)"

# From the arguments to what the line must tell.
BAD = {
    "a misspelt schedule": (["cosin(0.1, 0, 100)"], ("column 1", "cosin", "cosine")),
    "no schedule": (["3"], ("schedule", "3")),
    "broken JSON": (["{}"], ("JSON",)),
    "lengths in percent": (["wsd(0.1)"], ("--updates", "5%", "20%", "rest")),
    "lengths in epochs": (["cosine(0.1, 0, '2 epochs')", "--updates", "9"], ("--updates-per-epoch", "2 epochs")),
    "lengths in tokens": (["cosine(0.1, 0, '2e9 tokens')"], ("--tokens-per-update", "2e+09 tokens")),
    "epochs without their length": (["wsd(0.1)", "--epochs", "3"], ("--epochs", "--updates-per-epoch", 3.0)),
    "a contradiction": (
        ["wsd(0.1)", "--epochs", "3", "--updates", "7", "--updates-per-epoch", "2"],
        ("--updates", 6, 7),
    ),
    "no updates": (["constant(1)", "--updates", "0"], ("--updates", 1, 0)),
    "more updates than floats hold": (["constant(1)", "--updates", str(2**53 + 1)], ("--updates", 2**53, 2**53 + 1)),
    "a schedule that is as long": ([f"linear(1, 0, {2**60})"], ("--updates", 2**53, 2**60)),
    "epochs of NaN": (["constant(1)", "--epochs", "nan"], ("--epochs", "finite", "nan")),
    "a horizon that is too short": (["warmup(0.1, 90) >> cosine(0.1, 0)", "--updates", "50"], ("rest", 50, 40)),
    "another kind of picture": (["constant(1)", "--out", "a.gif"], ("--out", ".png", ".svg", "a.gif")),
    "a folder that does not exist": (["constant(1)", "--out", "none/a.png"], ("--out", "folder", "none/a.png")),
    "a folder as the file": (["constant(1)", "--out", "folder.png"], ("--out", "folder.png")),
    "no expression": ([], ("SCHEDULE",)),
}


def shown(commands, folder, *arguments):
    ended = commands.run("show", *arguments, folder=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_values_the_boundaries_and_the_plot_are_printed(commands, tmp_path):
    printed = shown(commands, tmp_path, EXPRESSION)
    schedule = lr.parse(EXPRESSION)
    assert tells(printed, repr(schedule), "10,000")
    rows = {line.split()[0]: line for line in printed.splitlines() if re.match(r"\s+[\d,]+\s+[\d.e-]+  ", line)}
    assert set(rows) == {"0", "500", "9,999", "10,000"}
    for update, *what in [("0", "start"), ("500", "peak", "boundary"), ("9,999", "last update"), ("10,000", "end")]:
        assert tells(rows[update], f"{schedule(int(update.replace(',', ''))):.6g}", *what)
    plot = [line for line in printed.splitlines() if "|" in line]
    assert all(re.fullmatch(r"[\u2800-\u28ff ]*", line.split("|")[1]) for line in plot)
    assert len(plot) == show.HEIGHT
    assert max(map(len, plot)) <= int(ENVIRONMENT["COLUMNS"]) < max(map(len, plot)) + 3, "as wide as the terminal"


def test_the_axis_ends_at_a_peak_of_one_update(commands, tmp_path):
    printed = shown(commands, tmp_path, "triangular2(0.001, 0.01, 2000)")
    assert next(line for line in printed.splitlines() if "|" in line).split("|")[0].strip() == "0.01"


def test_a_narrow_terminal_cuts_no_number(tmp_path):
    ended = learnrate("show", EXPRESSION, folder=tmp_path, environment={**ENVIRONMENT, "COLUMNS": "20"})
    assert ended.returncode == 0, ended.stderr
    assert tells(ended.stdout, " 10,000 updates", "9,999", f"{lr.parse(EXPRESSION)(9_999):.6g}", "last update")


def test_the_plot_shows_the_values():
    lines = plotted(np.repeat([1.0, 0.75, 0.5, 0.25, 0.0], 10), "9", Canvas(5, 5, braille=False))
    assert [line.partition("|")[2] for line in lines[:5]] == ["*", " *", "  *", "   *", "    *"]
    assert lines[0].split()[0] == "1"
    assert lines[4].split()[0] == "0"
    assert lines[-1].split() == ["0", "9"]
    narrow = plotted(np.linspace(0.85, 0.95, 100), "", Canvas(20, 5, braille=True))  # an axis from 0 would flatten it
    assert (narrow[0].split()[0], narrow[4].split()[0]) == ("0.95", "0.85")
    for constant in (0.0, 3.0):
        assert len(plotted(np.full(50, constant), "", Canvas(10, 4, braille=True))) == 6
    jump = plotted(np.repeat([1.0, 0.5], 50), "", Canvas(10, 4, braille=False))
    assert [line.partition("|")[2].count("*") for line in jump[:4]] == [5, 1, 1, 5]


def test_json_is_one_object_that_rebuilds_the_schedule(commands, tmp_path):
    ended = commands.run("show", "wsd(0.1)", "--epochs", 4, "--updates-per-epoch", 250, "--json", folder=tmp_path)
    summary = json.loads(ended.stdout)
    schedule = lr.wsd(0.1, 1000)
    assert lr.parse(summary["schedule"]) == schedule
    assert (summary["updates"], summary["length"], summary["out"]) == (1000, 1000, None)
    assert summary["boundaries"] == list(schedule.boundaries())
    assert summary["boundaries_complete"]
    assert [entry["update"] for entry in summary["values"]] == [0, 50, 800, 999, 1000]
    assert [entry["value"] for entry in summary["values"]] == [schedule(n) for n in (0, 50, 800, 999, 1000)]
    assert "epoch" in ended.stderr
    again = commands.run("show", schedule.to_json(), "--json", folder=tmp_path)
    assert json.loads(again.stdout) == summary | {"boundaries": list(schedule.boundaries())}


def test_a_schedule_with_a_boundary_at_every_update_ends_soon(commands, tmp_path):
    printed = shown(commands, tmp_path, "triangular(0.1, 0.5, 1)", "--updates", 10**12)
    assert len(printed.splitlines()) < 60
    assert tells(printed, "1,000,000,000,000", "1,000 are left out")


@pytest.mark.parametrize(
    ("name", "start"), [("picture.png", b"\x89PNG"), ("picture.svg", b"<?xml"), ("PICTURE.SVG", b"<?xml")]
)
def test_the_picture_is_written_and_replaces_another(commands, tmp_path, name, start):
    (tmp_path / name).write_text("old")
    assert str(tmp_path / name) in shown(commands, tmp_path, EXPRESSION, "--out", name)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(commands, tmp_path, case):
    arguments, parts = BAD[case]
    (tmp_path / "folder.png").mkdir()
    ended = commands.run("show", *arguments, folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert tells(line, *parts), line


@pytest.mark.slow
def test_a_terminal_without_the_characters_gets_a_plot_of_stars(tmp_path):
    ended = learnrate(
        "show", EXPRESSION, folder=tmp_path, environment={**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    )
    assert ended.returncode == 0, ended.stderr
    plot = [line.split("|")[1] for line in ended.stdout.splitlines() if "|" in line]
    assert {character for line in plot for character in line} == {"*", " "}
    assert max(map(len, ended.stdout.splitlines()[1:])) <= 60  # all but the expression


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
@pytest.mark.slow
def test_a_full_disk_is_one_line_and_exit_code_1(tmp_path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "learnrate", "show", EXPRESSION, "--json"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    assert ended.returncode == 1
    assert tells(ended.stderr.splitlines()[-1], "error", "standard output", "No space left")


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(schedules, st.none() | st.integers(1, 10**7))
def test_every_schedule_is_shown_by_its_own_values(schedule, updates):
    updates = updates or schedule._span()
    boundaries, complete = show._boundaries(schedule, updates)
    rows = list(show._rows(schedule, updates, boundaries))
    assert [row.update for row in rows] == sorted({row.update for row in rows})
    assert (rows[0].update, rows[-1].update) == (0, updates)
    assert all(row.value == schedule(row.update) for row in rows)
    (peak,) = [row.value for row in rows if "peak" in row.what]
    assert peak == max(row.value for row in rows)
    printed = io.StringIO()
    show._report(Console(file=printed, width=70, soft_wrap=True), schedule, updates, rows, None, complete)
    assert max(len(line) for line in printed.getvalue().splitlines() if " |" in line) <= 70
