"""`learnrate compare` and `learnrate report`, as a user runs them."""

import contextlib
import json
import shlex
import signal
import sqlite3
import time

import pytest

import learnrate as lr
from facts import tells
from learnrate.cli.schedules import named_schedule
from learnrate.errors import LearnrateError

RECIPE = """
import pathlib, random, time
import learnrate as lr

class Noisy(lr.Trainable):
    def __init__(self, seed):
        self.random, self.weight = random.Random(seed), 1.0
    def update(self, lr):
        if pathlib.Path("slow").exists():
            time.sleep(0.004)
        loss = self.weight * self.weight + 0.01
        self.weight -= lr * (2 * self.weight + self.random.gauss(0, 0.1))
        return loss
    def save(self):
        return self.random.getstate(), self.weight
    def restore(self, state):
        self.random.setstate(state[0])
        self.weight = state[1]
    checkpoint, resume = save, restore
    def evaluate(self):
        return {"nearness": -abs(self.weight)}

def made(seed):
    return Noisy(seed)

def recipe():
    return lr.Recipe(made, updates=60, name="noisy")
"""
ARMS = ("--schedule", "high=constant(0.2)", "--schedule", "constant(value=0.02)")
LOW = "constant(value=0.02)"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "mine.py").write_text(RECIPE)
    return tmp_path / "mine.py"


def runs_of(study):
    try:
        with contextlib.closing(sqlite3.connect(study)) as connection:
            return connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.Error:  # not written yet
        return 0


@pytest.mark.slow
def test_schedules_are_compared_and_the_report_is_written(commands, path, tmp_path):
    arguments = ["compare", path, *ARMS, "--seeds", 3, "--target", "-0.2", "--out", tmp_path / "out"]
    ended = commands.run(*arguments, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "high is better than constant(value=0.02), by" in ended.stdout
    assert tells(
        ended.stdout, "high - constant(value=0.02)", "95 %", "probability", "reached by 3 of 3 runs", 360, "updates"
    )
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert written == ["report.html", "result.json", "study.sqlite"]
    comparison = lr.Comparison.load(tmp_path / "out" / "study.sqlite")
    assert [arm.name for arm in comparison] == ["high", LOW]
    assert f"{comparison['high'].mean:.4f}" in ended.stdout
    # The same folder again: everything is there already, and --json prints what the file has.
    again = commands.run(*arguments, "--study", tmp_path / "out" / "study.sqlite", "--json", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    printed = json.loads(again.stdout)
    assert printed["best"] == "high"
    assert printed["arms"]["high"]["scores"] == list(comparison["high"].scores)
    times = {name: arm["to_target"] for name, arm in printed["arms"].items()}
    assert 0 < times["high"]["median"] < times[LOW]["median"] <= 60
    assert printed["differences"][0]["mean"] == comparison.differences()[0].mean
    assert printed["cost"]["seconds"] == comparison.cost.seconds  # nothing was trained
    assert json.loads((tmp_path / "out" / "result.json").read_text())["arms"] == printed["arms"]
    # Another folder that holds files stays refused.
    other = commands.run("compare", path, *ARMS, "--out", tmp_path / "out", folder=tmp_path)
    assert (other.returncode, tells(other.stderr, "--out", "holds files")) == (2, True)


def line_of_an_interrupt(process, has_run):
    """The line that a command prints at Ctrl-C, which comes when the study has a run that has ended."""
    end = time.monotonic() + 60
    while not has_run():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = error.splitlines()
    return line


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_by_the_command_that_it_prints(commands, path, tmp_path):
    (tmp_path / "slow").touch()
    process = commands.start("compare", path.name, *ARMS, "--seeds", 3, "--target", "-0.2", folder=tmp_path)
    line = line_of_an_interrupt(process, lambda: any(map(runs_of, tmp_path.glob("runs/*/study.sqlite"))))
    words = shlex.split(line[line.index("learnrate compare") :])
    (study,) = tmp_path.glob("runs/*/study.sqlite")
    before = runs_of(study)
    assert 0 < before < 6
    assert str(study) in line
    (tmp_path / "slow").unlink()
    ended = commands.run(*words[1:], folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(list(tmp_path.glob("runs/*"))) == 1
    assert (study.parent / "report.html").exists()
    undisturbed = lr.compare({"high": lr.constant(0.2), LOW: LOW}, path, seeds=3)
    resumed = lr.Comparison.load(study)
    assert [arm.scores for arm in resumed] == [arm.scores for arm in undisturbed]
    assert [training.end for arm in resumed for training in arm.trainings] == [
        training.end for arm in undisturbed for training in arm.trainings
    ]


@pytest.mark.slow
def test_an_interrupt_names_the_study_wherever_it_lies(commands, path, tmp_path):
    (tmp_path / "slow").touch()
    study = tmp_path / "elsewhere.sqlite"
    process = commands.start("compare", path.name, *ARMS, "--seeds", 3, "--study", study.name, folder=tmp_path)
    line = line_of_an_interrupt(process, lambda: runs_of(study))
    assert tells(line, str(study), "ended", "go on with: learnrate compare")
    assert "nothing" not in line


@pytest.mark.slow
def test_a_fault_of_every_run_is_said_once_and_without_empty_tables(commands, path, tmp_path):
    path.write_text(RECIPE.replace("    return Noisy(seed)", "    return 1 / 0"))
    ended = commands.run("compare", path, *ARMS, "--seeds", 3, "--out", tmp_path / "out", folder=tmp_path)
    assert ended.returncode == 1
    assert tells(ended.stdout, "without an error", "6 runs failed", "high, seed 0")
    assert ended.stdout.count("ZeroDivisionError") == 1
    assert "schedule  training loss" not in ended.stdout
    assert tells(ended.stderr, "5 further runs failed")


@pytest.mark.slow
def test_a_failed_training_is_exit_code_1_and_the_others_are_shown(commands, path, tmp_path):
    path.write_text(RECIPE.replace("    return Noisy(seed)", "    return Noisy(seed) if seed else 1 / 0"))
    ended = commands.run("compare", path, *ARMS, "--seeds", 3, "--json", "--out", tmp_path / "out", folder=tmp_path)
    assert ended.returncode == 1
    assert tells(ended.stderr, "error", "high, seed 0 failed", "ZeroDivisionError", "mine.py")
    assert tells(ended.stderr, "again with: learnrate compare")
    printed = json.loads(ended.stdout)
    assert [len(arm["scores"]) for arm in printed["arms"].values()] == [2, 2]
    assert "ZeroDivisionError" in printed["arms"]["high"]["failures"]["0"]
    assert "ZeroDivisionError" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_a_target_that_cannot_be_used_loses_no_results(commands, path, tmp_path):
    arms = ("--schedule", "diverges=constant(1e200)", "--schedule", "[b]fine[/b] and a name that is long=constant(0.1)")
    ended = commands.run(
        "compare", path, *arms, "--seeds", 1, "--target", "diverges", "--out", tmp_path / "out", folder=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    assert tells(ended.stdout, "target", "an arm whose final scores are all finite", "[b]fine[/b]")
    assert "diverged" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_a_report_is_made_of_a_study_with_its_pictures(commands, path, tmp_path):
    study = tmp_path / "s.sqlite"
    lr.compare({"a $1$": "constant(0.2)", "<i>b</i>": "constant(0.1)"}, path, seeds=2, study=study)
    ended = commands.run("report", study, "--target", "a $1$", "--png", "--svg", "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    printed = json.loads(ended.stdout)
    assert printed["out"] == str(tmp_path / "s.html")
    names = {"curves", "differences", "seeds", "times", "schedules"}
    assert {file.name for file in tmp_path.glob("s-*")} == {f"s-{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert (tmp_path / "s-curves.png").read_bytes().startswith(b"\x89PNG")
    assert set(printed["files"]) == {str(file) for file in (*tmp_path.glob("s-*"), tmp_path / "s.html")}
    lr.Comparison.load(study).save(tmp_path / "saved.json")
    other = commands.run("report", tmp_path / "saved.json", "--out", tmp_path / "x.html", folder=tmp_path)
    assert other.returncode == 0, other.stderr
    assert (tmp_path / "x.html").exists()


@pytest.mark.slow
def test_bad_input_is_one_line_and_nothing_is_left(commands, path, tmp_path):
    (tmp_path / "other.sqlite").write_text("no database, but text")
    valid = ("compare", path, "--schedule", "constant(0.1)")
    for arguments, named, code in (
        (("compare", path), ("--schedule", "none"), 2),
        (("compare", path, "--schedule", "x=constnat(0.1)"), ("constnat", "constant"), 2),
        (("compare", path, "--schedule", "x=wsd(0.1)", "--schedule", "x=wsd(0.2)"), ("--schedule", "'x'"), 2),
        (("compare", path, "--schedule", "one_cycle"), ("--schedule", "--tune-each", "one_cycle"), 2),
        ((*valid, "--tune-budget", "2"), ("--tune-budget", "--tune-each"), 2),
        ((*valid, "--target", "best"), ("--target", "best"), 2),
        (("compare", path, "--schedule", "warmup_cosine"), ("--tune-each", "'warmup_cosine'"), 2),
        ((*valid, "--executor", "rya"), ("--executor", "rya"), 2),
        ((*valid, "--executor", "0"), ("--executor", "at least 1"), 2),
        ((*valid, "--budget", "nine"), ("--budget", "nine"), 2),
        ((*valid, "--budget", "9 seeds"), ("--budget", "unless --until-sure", "--seeds"), 2),
        ((*valid, "--until-sure"), ("--until-sure", "left out", "single"), 2),
        ((*valid, "--tune-each", "--tune-budget", "none"), ("--tune-budget", "'none'"), 2),
        ((*valid, "--tune-each", "--tune-budget", "0.01"), ("--tune-budget", "at least 40 updates"), 2),
        ((*valid, "--tune-each", "--updates", "9"), ("--tune-each must be left out", "at least 40 updates"), 2),
        ((*valid, "--study", ""), ("--study", "path"), 2),
        ((*valid, "--study", tmp_path / "no" / "s.sqlite"), ("there is no folder", tmp_path / "no"), 1),
        (("report", "/"), ("/",), 2),
        ((*valid, "--study", tmp_path / "other.sqlite"), ("other.sqlite", "not a study"), 1),
        (("compare", tmp_path / "no.py", "--schedule", "constant(0.1)"), ("no.py",), 2),
        (("report", tmp_path / "no.sqlite"), ("no.sqlite",), 1),
        (("report", path), ("mine.py", "not a study"), 1),
    ):
        ended = commands.run(*arguments, folder=tmp_path)
        lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        assert ended.returncode == code, (arguments, ended.stderr)
        assert len(lines) == 1, ended.stderr
        assert tells(lines[0], *named), lines
        assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("text", "name", "schedule"),
    [
        ("cosine=cosine(0.1, 0)", "cosine", lr.cosine(0.1, 0)),
        ("cosine(start=0.1, end=0)", "cosine(start=0.1, end=0)", lr.cosine(0.1, 0)),
        ("a (b) = constant(value=0.1)", "a (b)", lr.constant(0.1)),
        ("x=y=constant(value=0.1)", "x=y", lr.constant(0.1)),
        ('json={"type": "constant", "value": 0.1}', "json", None),
        ("tuned=wsd", "tuned", "wsd"),
        ("warmup_cosine", "warmup_cosine", "warmup_cosine"),
    ],
)
def test_a_name_is_what_stands_before_a_schedule(text, name, schedule):
    if name == "json":
        text = f"json={lr.constant(0.1).to_json()}"
        schedule = lr.constant(0.1)
    assert named_schedule(text) == (name, schedule)


def test_a_long_schedule_without_a_name_has_a_short_one():
    text = " >> ".join(["linear(0.1, 0.2, 100)"] * 12)
    name, schedule = named_schedule(text)
    assert len(name) == 80
    assert schedule == lr.parse(text)


@pytest.mark.parametrize(
    ("text", "named"), [("=constant(0.1)", "name"), ("", "schedule"), ("a=", "schedule"), ("x" * 99 + "=wsd(1)", "name")]
)
def test_what_is_no_schedule_is_refused(text, named):
    with pytest.raises(LearnrateError, match=named):
        named_schedule(text)
