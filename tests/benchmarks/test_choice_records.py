"""The benchmark of choices, run on a tiny task: what is on disk is not run again, what is out of date is."""

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.choice import about, oracle, page, pictures, results, run, store, training
from benchmarks.choice.__main__ import main
from benchmarks.choice.score import finished, summaries
from benchmarks.choice.store import Records
from benchmarks.choice.tasks import digits_cnn, digits_mlp

from command_line import ENVIRONMENT
from facts import tells

TASK = "digits_mlp"
SEEDS = (0, 1)
UPDATES = 40


@pytest.fixture
def trained(monkeypatch):
    return shortened(monkeypatch)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with the records of a run, to be copied, and how many trainings it made."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        runs = shortened(patch)
        work(folder)
    return folder, len(runs)


def shortened(monkeypatch):
    """Makes it a task of few updates and a small grid; returns the (LR, seed) of each training that is run from now on."""
    short = dataclasses.replace(digits_mlp.task(), updates=UPDATES)
    described = dataclasses.replace(about.about(TASK), updates=UPDATES)
    runs = []

    def train(*arguments):
        runs.append(arguments[2:4])
        return training.train(*arguments)

    monkeypatch.setattr(run, "load", lambda name: short)
    for module in (results, page.score):
        monkeypatch.setattr(module, "about", lambda name: described)
    monkeypatch.setattr(oracle, "train", train)
    monkeypatch.setattr(oracle, "LEAST", 1)
    monkeypatch.setattr(oracle, "MOST", 1)
    monkeypatch.setattr(oracle, "ENOUGH", 0.0)
    return runs


def work(folder, seeds=SEEDS, methods=("usual", "learnrate, double")):
    return run.run_job(run.Job(TASK, methods, seeds, folder))


@pytest.mark.slow
def test_after_a_line_that_was_cut_short_only_that_training_is_run_again(trained, recorded, tmp_path):
    folder, first = recorded
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path, complete = tmp_path / f"{TASK}.jsonl", Records(TASK, tmp_path)
    assert first == len(complete.runs)
    text = path.read_text()
    lines = text.splitlines()
    assert "run" in json.loads(lines[-1])
    path.write_text("\n".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]]))
    assert len(Records(TASK, tmp_path).runs) == first - 1
    work(tmp_path)
    again = Records(TASK, tmp_path)
    assert len(trained) == 1
    assert (again.runs, again.choices) == (complete.runs, complete.choices)
    work(tmp_path)
    assert len(trained) == 1


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    root = Path(run.__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.choice", "--tasks", TASK, "--folder", str(tmp_path), "--processes", "1"]
    parent = subprocess.Popen(command, cwd=root, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: (tmp_path / f"{TASK}.jsonl").is_file() or parent.poll() is not None)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert children, "it ended before it was killed"
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(alive(child) for child in children))


@pytest.mark.heavy
def test_an_interrupt_ends_the_run_and_not_only_one_task(tmp_path):
    root = Path(run.__file__).parents[2]
    tasks = ["--tasks", TASK, "digits_cnn", "digits_adam", "--processes", "1", "--folder", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.choice", *tasks]
    options = {"cwd": root, "env": ENVIRONMENT, "text": True, "start_new_session": True}
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, **options)
    wait_until(lambda: (tmp_path / f"{TASK}.jsonl").is_file() or parent.poll() is not None)
    os.killpg(parent.pid, signal.SIGINT)
    _, error = parent.communicate(timeout=300)
    assert parent.returncode == 130
    assert len(error.splitlines()) == 1
    assert tells(error, "interrupted", tmp_path)


def refused(folder, *before):
    """The exit code and the line on stderr of a run in this folder; `before` is what starts it."""
    root = Path(run.__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.choice", "--tasks", TASK, "--processes", "1", "--folder", str(folder)]
    options = {"cwd": root, "env": ENVIRONMENT, "text": True, "timeout": 600, "check": False}
    ended = subprocess.run([*before, *command], capture_output=True, **options)
    (line,) = ended.stderr.splitlines()
    return ended.returncode, line


@pytest.mark.slow
def test_two_runs_do_not_share_a_folder(tmp_path):
    with store.locked(tmp_path):
        code, line = refused(tmp_path)
    assert code == 1
    assert tells(line, "error", tmp_path, "--folder")


@pytest.mark.heavy
def test_a_folder_that_is_a_file_or_has_other_records_is_an_error_of_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setattr(sys, "argv", ["choice", "--tasks", TASK, "--folder", str(folder)])
        with pytest.raises(SystemExit) as ended:
            main()
        # A text is what Python prints on stderr, and exit code 1.
        assert tells(ended.value.code, "error", folder, "folder")
        assert len(ended.value.code.splitlines()) == 1
    header = json.dumps({"header": store.header(TASK)})
    path = tmp_path / f"{TASK}.jsonl"
    path.write_text(header + '\n{"run": {"lr": 0.1, "colour": "blue"}}')
    code, line = refused(tmp_path)
    assert code == 1
    assert tells(line, "error", "digits_mlp.jsonl", "line 2", "'colour'")
    for other in (b"3", b"null", b'"header"', b'{"header": {}}', b'{"choice": "x"}', b'{"run": 3}'):
        path.write_bytes(header.encode() + b"\n\xff\n" + other)
        with pytest.raises(store.RecordError, match="line 3"):
            Records(TASK, tmp_path)


@pytest.mark.heavy
def test_a_full_disk_ends_the_run_with_one_line(tmp_path):
    code, line = refused(tmp_path, "sh", "-c", 'ulimit -f 1; exec "$0" "$@"')
    assert code == 1
    assert tells(line, "error", "File too large")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], ("--seeds", 1, 0)),
        (["--processes", "-1"], ("--processes", 1, -1)),
        (["--methods", "usual", "Learnrate"], ("--methods", "'Learnrate'")),
    ],
)
def test_a_selection_that_cannot_be_run_is_refused_at_once(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["choice", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert tells(capsys.readouterr().err.splitlines()[-1], *words)


def test_every_method_can_be_selected_by_its_name():
    names = [name for method in run.methods(digits_mlp.task()) for name in method.names]
    assert sorted([*names, *run.FREE]) == sorted(run.NAMES)


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(process):
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_records_of_another_source_do_not_count(trained, tmp_path, monkeypatch):
    work(tmp_path, seeds=(0,), methods=("usual",))
    first = len(trained)
    monkeypatch.setattr(store, "source", lambda task: "another")
    assert not Records(TASK, tmp_path).runs
    assert not results.Results({TASK: Records(TASK, tmp_path)}, (0,)).summaries
    work(tmp_path, seeds=(0,), methods=("usual",))
    assert len(trained) == 2 * first
    assert {header["source"] for header in Records(TASK, tmp_path).headers} == {"another"}


def test_a_choice_of_another_version_is_made_again(trained, tmp_path, monkeypatch):
    work(tmp_path, seeds=(0,))
    own = run.ours.version()
    monkeypatch.setattr(run.ours, "version", lambda: "another")
    work(tmp_path, seeds=(0,))
    lines = [json.loads(line) for line in (tmp_path / f"{TASK}.jsonl").read_text().splitlines() if line]
    choices = [line["choice"] for line in lines if "choice" in line]
    assert [choice["version"] for choice in choices if choice["method"] != "usual"] == [own, "another"]
    assert Records(TASK, tmp_path).choices["learnrate, double", 0].version == "another"
    assert len([choice for choice in choices if choice["method"] == "usual"]) == 1


def test_a_task_without_its_data_is_skipped_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path / "none"))
    message = run.run_job(run.Job("california_mlp", ("usual",), (0,), tmp_path))
    assert tells(message, "california_mlp", "skipped", "california_housing.npz", "LEARNRATE_DATA")
    assert not list(tmp_path.glob("*.jsonl"))


def row(text, method):
    """The cells of a method's row in the last table of the page that has one: the table of all tasks."""
    *_, line = [line for line in text if line.startswith(f"| {method} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.slow
def test_the_page_has_the_regret_which_is_the_best_mean_minus_the_metric(trained, recorded):
    records = {TASK: Records(TASK, recorded[0])}
    measured = results.Results(records, SEEDS)
    (usual,) = (summary for summary in finished(records, SEEDS) if summary.method == "usual")
    grid = oracle.recorded_oracle(records[TASK], measured.tasks[0].about)
    assert grid.best == max(grid.means)
    assert usual.regrets == [grid.best - records[TASK].runs[0.1, seed, UPDATES].test for seed in SEEDS]
    assert usual.cost == 0
    ours = measured.summary("learnrate, double", measured.tasks)
    assert 0 < ours.cost <= 2
    text = page.text(measured)
    assert row(text, "usual")[1:4] == [f"{usual.mean:.2f}", f"{usual.median:.2f}", f"{usual.worst:.1f}"]
    assert any(tells(line, "learnrate; learnrate, half") for line in text)
    assert row(text, "the floor")[5] == f"{measured.floor.curve:.2f}"
    third = results.Results(records, (0, 1, 2))
    assert not third.finished
    assert any(tells(line, "usual", 2, 3) for line in page.text(third))


def test_the_page_says_how_often_the_interval_contains_the_best_lr(trained, tmp_path):
    work(tmp_path, seeds=(0,), methods=("usual",))
    records = {TASK: Records(TASK, tmp_path)}
    best = results.Results(records, (0,)).tasks[0].oracle.best_lr
    before = " ".join(page.text(results.Results(records, (0,))))
    for seed, interval in enumerate([(best / 2, best * 2), (best * 1.5, best * 3)]):
        records[TASK].add(store.Choice("learnrate", seed, best, 10, "version", interval=interval))
    again = results.Results({TASK: Records(TASK, tmp_path)}, SEEDS)
    assert again.intervals("learnrate") == [(True, 2.0), (False, 1.0)]
    assert again.intervals("usual") == []
    assert results.Results({TASK: Records(TASK, tmp_path)}, (0,)).intervals("learnrate") == [(True, 2.0)]
    text = " ".join(page.text(again))
    coverage = r"interval\b[^|]*\b1 of 2\b[^|]*\b2\.8\b"
    assert re.search(coverage, text)
    assert not re.search(coverage, before)


@pytest.mark.heavy
def test_pictures_are_drawn_once_from_the_same_records(trained, recorded, tmp_path):
    measured = results.Results({TASK: Records(TASK, recorded[0])}, SEEDS)
    paths = pictures.draw(measured, tmp_path / "pictures")
    assert {path.stem for path in paths} == {"report", "cost", "strips", "curves"}
    assert {pictures.drawn_from(path) for path in paths} == {pictures.origin(measured)}
    content = [path.read_bytes() for path in paths]
    assert pictures.draw(measured, tmp_path / "pictures") == []
    assert [path.read_bytes() for path in pictures.draw(measured, tmp_path / "again")] == content
    # Fewer seeds: another digest. None at all: no pictures, and still a page.
    assert pictures.draw(results.Results({TASK: Records(TASK, recorded[0])}, (0,)), tmp_path / "pictures")
    nothing = results.Results({TASK: Records(TASK, tmp_path / "empty")}, SEEDS)
    assert pictures.draw(nothing, tmp_path / "pictures") == []
    assert not list((tmp_path / "pictures").iterdir())
    text = "\n".join(page.text(nothing))
    assert text
    assert "images/" not in text


@pytest.mark.parametrize("module", [digits_mlp, digits_cnn])
def test_the_description_read_from_the_source_is_that_of_the_task(module):
    task, read = module.task(), about.about(module.__name__.split(".")[-1])
    assert (read.about, read.updates, read.metric) == (task.about, task.updates, task.metric)


@pytest.mark.parametrize("name", about.names())
def test_every_task_has_a_description(name):
    read = about.about(name)
    assert read.about
    assert read.updates > 0
    assert read.metric


def test_the_hash_of_a_source_is_the_same_in_every_python(tmp_path):
    path = tmp_path / "file.py"
    path.write_text('"""Words."""\n\n\ndef f(x, *y, z=1):\n    """More."""\n    return f"{x:.2f}" if not y else print(z)\n')
    # What 3.11 made of it; 3.12 and 3.13 print trees differently.
    assert store.digest([path]) == "1ef79886198a"


def test_every_record_of_the_repository_is_finite():
    for name in about.names():
        records = Records(name)
        assert all(math.isfinite(training.test) for training in records.runs.values())
        assert all(outcome.cost >= 0 for summary in summaries({name: records}) for outcome in summary.outcomes)
