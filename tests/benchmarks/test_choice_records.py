"""The benchmark of choices, run for real on a tiny task: what is on disk is not run again, what is stale is, and it tells."""

import dataclasses
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.choice import about, oracle, page, pictures, results, run, store, training
from benchmarks.choice.__main__ import main
from benchmarks.choice.score import gathered, summaries
from benchmarks.choice.store import Records
from benchmarks.choice.tasks import digits_cnn, digits_mlp

TASK = "digits_mlp"
SEEDS = (0, 1)
UPDATES = 40


@pytest.fixture
def made(monkeypatch):
    """A task of few updates, a small grid; the trainings that are made."""
    short = dataclasses.replace(digits_mlp.task(), updates=UPDATES)
    described = dataclasses.replace(about.about(TASK), updates=UPDATES)
    found = []

    def train(*arguments):
        found.append(arguments[2:4])
        return training.train(*arguments)

    monkeypatch.setattr(run, "load", lambda name: short)
    for module in (results, page.score):
        monkeypatch.setattr(module, "about", lambda name: described)
    monkeypatch.setattr(oracle, "train", train)
    monkeypatch.setattr(oracle, "LEAST", 1)
    monkeypatch.setattr(oracle, "MOST", 1)
    monkeypatch.setattr(oracle, "ENOUGH", 0.0)
    return found


def work(folder, seeds=SEEDS, methods=("usual", "learnrate, double")):
    return run.work(run.Order(TASK, methods, seeds, folder))


def test_a_run_that_was_cut_short_in_the_middle_of_a_line_makes_that_training_alone_again(made, tmp_path):
    work(tmp_path)
    path, whole = tmp_path / f"{TASK}.jsonl", Records(TASK, tmp_path)
    first = len(made)
    assert first == len(whole.runs)
    text = path.read_text()
    lines = text.splitlines()
    assert "run" in json.loads(lines[-1])
    path.write_text("\n".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]]))
    assert len(Records(TASK, tmp_path).runs) == first - 1
    work(tmp_path)
    again = Records(TASK, tmp_path)
    assert len(made) == first + 1
    assert (again.runs, again.choices) == (whole.runs, whole.choices)
    work(tmp_path)
    assert len(made) == first + 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    root = Path(run.__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.choice", "--tasks", TASK, "--folder", str(tmp_path), "--processes", "1"]
    parent = subprocess.Popen(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: (tmp_path / f"{TASK}.jsonl").is_file() or parent.poll() is not None)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert children, "it ended before it was killed"
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(alive(child) for child in children))


def test_an_interrupt_ends_the_run_and_not_one_task_after_the_other(tmp_path):
    root = Path(run.__file__).parents[2]
    tasks = ["--tasks", TASK, "digits_cnn", "digits_adam", "--processes", "1", "--folder", str(tmp_path)]
    parent = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.choice", *tasks], cwd=root, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    wait_until(lambda: (tmp_path / f"{TASK}.jsonl").is_file() or parent.poll() is not None)
    os.killpg(parent.pid, signal.SIGINT)
    _, said = parent.communicate(timeout=60)
    assert parent.returncode == 130
    assert said == f"interrupted: what was trained so far is in {tmp_path}\n"


def refused(folder, **given):
    root = Path(run.__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.choice", "--tasks", TASK, "--processes", "1", "--folder", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60, **given)
    (line,) = done.stderr.splitlines()
    return done.returncode, line


def test_two_runs_do_not_share_a_folder(tmp_path):
    with store.claimed(tmp_path):
        assert refused(tmp_path) == (
            1,
            f"error: another run is at work in {tmp_path}: wait for it, or give another --folder",
        )


def test_a_folder_that_is_a_file_or_holds_other_records_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        code, line = refused(folder)
        assert code == 1
        assert line.startswith(f"error: {folder} must be a folder that can be written to: ")
    header = json.dumps({"header": store.header(TASK)})
    path = tmp_path / f"{TASK}.jsonl"
    path.write_text(header + '\n{"run": {"lr": 0.1, "colour": "blue"}}')
    code, line = refused(tmp_path)
    assert code == 1
    assert re.fullmatch(r"error: .*digits_mlp\.jsonl, line 2, is no record: .*'colour'.*: move the file away", line)
    for other in (b"3", b"null", b'"header"', b'{"header": {}}', b'{"choice": "x"}', b'{"run": 3}'):
        path.write_bytes(header.encode() + b"\n\xff\n" + other)
        with pytest.raises(store.RecordError, match="line 3, is no record"):
            Records(TASK, tmp_path)


def test_a_full_disk_ends_the_run_with_one_line(tmp_path):
    code, line = refused(tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)))
    assert code == 1
    assert re.fullmatch(r"error: .*File too large.*", line)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, received 0"),
        (["--processes", "-1"], "--processes must be at least 1, received -1"),
        (["--methods", "usual", "Learnrate"], "received 'Learnrate'"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["choice", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(words)


def test_every_method_has_its_name_among_those_that_may_be_asked_for():
    made = [name for method in run.methods(digits_mlp.task()) for name in method.names]
    assert sorted([*made, *run.tuning_free.KINDS]) == sorted(run.NAMES)


def wait_until(condition, seconds=60):
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


def test_records_of_another_source_count_as_not_made(made, tmp_path, monkeypatch):
    work(tmp_path, seeds=(0,), methods=("usual",))
    first = len(made)
    monkeypatch.setattr(store, "source", lambda task: "another")
    assert not Records(TASK, tmp_path).runs
    assert not results.Results({TASK: Records(TASK, tmp_path)}, (0,)).known
    work(tmp_path, seeds=(0,), methods=("usual",))
    assert len(made) == 2 * first
    assert {header["source"] for header in Records(TASK, tmp_path).headers} == {"another"}


def test_a_choice_of_another_version_is_made_again(made, tmp_path, monkeypatch):
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
    said = run.work(run.Order("california_mlp", ("usual",), (0,), tmp_path))
    assert said.startswith("california_mlp: skipped, california_housing.npz is not in ")
    assert "LEARNRATE_DATA" in said
    assert not list(tmp_path.glob("*.jsonl"))


def test_regret_is_the_best_mean_less_the_metric_and_the_page_tells_it(made, tmp_path):
    work(tmp_path)
    held = {TASK: Records(TASK, tmp_path)}
    found = results.Results(held, SEEDS)
    (usual,) = (one for one in summaries(held, SEEDS) if one.method == "usual")
    grid = oracle.known(held[TASK], found.tasks[0].about)
    assert grid.best == max(grid.means)
    assert usual.regrets == [grid.best - held[TASK].runs[0.1, seed, UPDATES].test for seed in SEEDS]
    assert usual.cost == 0
    ours = found.summary("learnrate, double", found.tasks)
    assert 0 < ours.cost <= 2
    text = "\n".join(page.text(found))
    assert f"| usual | {usual.mean:.2f} | {usual.median:.2f} | {usual.worst:.1f} | {usual.disasters} of 2 | 0 |" in text
    assert "Not begun: learnrate; learnrate, half; learnrate, quarter." in text
    third = results.Results(held, (0, 1, 2))
    assert not third.finished
    assert "usual (2 of 3)" in "\n".join(page.text(third))


def test_the_page_tells_how_often_the_interval_holds_the_best(made, tmp_path):
    work(tmp_path, seeds=(0,), methods=("usual",))
    held = {TASK: Records(TASK, tmp_path)}
    best = results.Results(held, (0,)).tasks[0].oracle.best_lr
    assert "tells an interval" not in "\n".join(page.text(results.Results(held, (0,))))
    for seed, interval in enumerate([(best / 2, best * 2), (best * 1.5, best * 3)]):
        held[TASK].add(store.Choice("learnrate", seed, best, 10, "version", interval=interval))
    again = results.Results({TASK: Records(TASK, tmp_path)}, SEEDS)
    assert again.intervals("learnrate") == [(True, 2.0), (False, 1.0)]
    assert again.intervals("usual") == []
    assert results.Results({TASK: Records(TASK, tmp_path)}, (0,)).intervals("learnrate") == [(True, 2.0)]
    text = " ".join(page.text(again))
    assert "holds the best LR of the grid in 1 of 2 choices; its upper end is, in the median, 2.8 times" in text


def test_the_pictures_bear_what_they_were_drawn_from_and_are_drawn_once(made, tmp_path):
    work(tmp_path)
    found = results.Results({TASK: Records(TASK, tmp_path)}, SEEDS)
    paths = pictures.draw(found, tmp_path / "pictures")
    assert {path.stem for path in paths} == {"cost", "strips", "curves"}
    assert {pictures.drawn_from(path) for path in paths} == {pictures.origin(found)}
    content = [path.read_bytes() for path in paths]
    assert pictures.draw(found, tmp_path / "pictures") == []
    assert [path.read_bytes() for path in pictures.draw(found, tmp_path / "anew")] == content
    # Fewer seeds: another digest. None at all: no pictures, and a page all the same.
    assert pictures.draw(results.Results(found.held, (0,)), tmp_path / "pictures")
    nothing = results.Results({TASK: Records(TASK, tmp_path / "empty")}, SEEDS)
    assert pictures.draw(nothing, tmp_path / "pictures") == []
    assert not list((tmp_path / "pictures").iterdir())
    text = "\n".join(page.text(nothing))
    assert "No method has finished" in text
    assert "images/" not in text


@pytest.mark.parametrize("module", [digits_mlp, digits_cnn])
def test_the_description_that_is_read_is_that_of_the_task(module):
    task, read = module.task(), about.about(module.__name__.split(".")[-1])
    assert (read.about, read.updates, read.metric) == (task.about, task.updates, task.metric)


@pytest.mark.parametrize("name", about.names())
def test_every_task_has_a_description(name):
    read = about.about(name)
    assert read.about
    assert read.updates > 0
    assert read.metric in ("accuracy", "R2")


def test_the_hash_of_a_source_is_the_same_in_every_python(tmp_path):
    path = tmp_path / "file.py"
    path.write_text('"""Words."""\n\n\ndef f(x, *y, z=1):\n    """More."""\n    return f"{x:.2f}" if not y else print(z)\n')
    # What 3.11 made of it; 3.12 and 3.13 print trees differently.
    assert store.digest([path]) == "1ef79886198a"


def test_every_record_of_the_repository_is_finite():
    for name in about.names():
        records = Records(name)
        for trained in records.runs.values():
            assert math.isfinite(trained.test)
        assert all(one.cost >= 0 for summary in gathered({name: records}) for one in summary.outcomes)
