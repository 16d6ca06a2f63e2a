"""The benchmark of choices on a tiny task: stored runs are not made again, stale ones are, and the page shows them."""

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
from benchmarks.choice.score import finished, summaries
from benchmarks.choice.store import Records
from benchmarks.choice.tasks import digits_cnn, digits_mlp

TASK = "digits_mlp"
SEEDS = (0, 1)
UPDATES = 40


@pytest.fixture
def trained(monkeypatch):
    """A task with few updates and a small grid; the LR and the seed of every training run."""
    short = dataclasses.replace(digits_mlp.task(), updates=UPDATES)
    description = dataclasses.replace(about.about(TASK), updates=UPDATES)
    lrs_and_seeds = []

    def train(*arguments):
        lrs_and_seeds.append(arguments[2:4])
        return training.train(*arguments)

    monkeypatch.setattr(run, "load", lambda name: short)
    for module in (results, page.score):
        monkeypatch.setattr(module, "about", lambda name: description)
    monkeypatch.setattr(oracle, "train", train)
    monkeypatch.setattr(oracle, "LEAST", 1)
    monkeypatch.setattr(oracle, "MOST", 1)
    monkeypatch.setattr(oracle, "ENOUGH", 0.0)
    return lrs_and_seeds


def run_job(folder, seeds=SEEDS, methods=("usual", "learnrate, double")):
    return run.run_job(run.Job(TASK, methods, seeds, folder))


def test_only_the_training_run_of_an_incomplete_line_is_made_again(trained, tmp_path):
    run_job(tmp_path)
    path, complete = tmp_path / f"{TASK}.jsonl", Records(TASK, tmp_path)
    first = len(trained)
    assert first == len(complete.runs)
    text = path.read_text()
    lines = text.splitlines()
    assert "run" in json.loads(lines[-1])
    path.write_text("\n".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]]))
    assert len(Records(TASK, tmp_path).runs) == first - 1
    run_job(tmp_path)
    restored = Records(TASK, tmp_path)
    assert len(trained) == first + 1
    assert (restored.runs, restored.choices) == (complete.runs, complete.choices)
    run_job(tmp_path)
    assert len(trained) == first + 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    root = Path(run.__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.choice", "--tasks", TASK, "--folder", str(tmp_path), "--processes", "1"]
    parent = subprocess.Popen(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: (tmp_path / f"{TASK}.jsonl").is_file() or parent.poll() is not None)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert children, "it ended before the kill"
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(alive(child) for child in children))


def test_an_interrupt_ends_all_tasks_at_once(tmp_path):
    root = Path(run.__file__).parents[2]
    tasks = ["--tasks", TASK, "digits_cnn", "digits_adam", "--processes", "1", "--folder", str(tmp_path)]
    parent = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.choice", *tasks], cwd=root, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    wait_until(lambda: (tmp_path / f"{TASK}.jsonl").is_file() or parent.poll() is not None)
    os.killpg(parent.pid, signal.SIGINT)
    _, stderr = parent.communicate(timeout=60)
    assert parent.returncode == 130
    [line] = stderr.splitlines()
    assert line.startswith("interrupted")
    assert str(tmp_path) in line


def error_of(folder, **options):
    root = Path(run.__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.choice", "--tasks", TASK, "--processes", "1", "--folder", str(folder)]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60, **options)
    (line,) = process.stderr.splitlines()
    return process.returncode, line


def test_two_runs_do_not_share_a_folder(tmp_path):
    with store.locked(tmp_path):
        code, line = error_of(tmp_path)
    assert code == 1
    assert line.startswith("error: another run")
    assert str(tmp_path) in line
    assert "--folder" in line


def test_a_folder_that_is_a_file_or_contains_other_records_is_an_error_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        code, line = error_of(folder)
        assert code == 1
        assert line.startswith(f"error: {folder} must be a folder")
    header = json.dumps({"header": store.header(TASK)})
    path = tmp_path / f"{TASK}.jsonl"
    path.write_text(header + '\n{"run": {"lr": 0.1, "colour": "blue"}}')
    code, line = error_of(tmp_path)
    assert code == 1
    assert re.fullmatch(r"error: .*digits_mlp\.jsonl, line 2, .*'colour'.*", line)
    for other in (b"3", b"null", b'"header"', b'{"header": {}}', b'{"choice": "x"}', b'{"run": 3}'):
        path.write_bytes(header.encode() + b"\n\xff\n" + other)
        with pytest.raises(store.RecordError, match="line 3"):
            Records(TASK, tmp_path)


def test_a_full_disk_is_an_error_in_one_line(tmp_path):
    code, line = error_of(tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)))
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


def test_every_method_can_be_selected_by_its_name():
    chosen = [name for method in run.methods(digits_mlp.task()) for name in method.names]
    assert sorted([*chosen, *run.tuning_free.KINDS]) == sorted(run.NAMES)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(process):
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_records_of_another_source_are_ignored(trained, tmp_path, monkeypatch):
    run_job(tmp_path, seeds=(0,), methods=("usual",))
    first = len(trained)
    monkeypatch.setattr(store, "source", lambda task: "another")
    assert not Records(TASK, tmp_path).runs
    assert not results.Results({TASK: Records(TASK, tmp_path)}, (0,)).summaries
    run_job(tmp_path, seeds=(0,), methods=("usual",))
    assert len(trained) == 2 * first
    assert {header["source"] for header in Records(TASK, tmp_path).headers} == {"another"}


def test_a_choice_of_another_version_is_made_again(trained, tmp_path, monkeypatch):
    run_job(tmp_path, seeds=(0,))
    own = run.ours.version()
    monkeypatch.setattr(run.ours, "version", lambda: "another")
    run_job(tmp_path, seeds=(0,))
    lines = [json.loads(line) for line in (tmp_path / f"{TASK}.jsonl").read_text().splitlines() if line]
    choices = [line["choice"] for line in lines if "choice" in line]
    assert [choice["version"] for choice in choices if choice["method"] != "usual"] == [own, "another"]
    assert Records(TASK, tmp_path).choices["learnrate, double", 0].version == "another"
    assert len([choice for choice in choices if choice["method"] == "usual"]) == 1


def test_a_task_without_its_data_is_skipped_with_a_message(tmp_path, monkeypatch):
    monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path / "none"))
    message = run.run_job(run.Job("california_mlp", ("usual",), (0,), tmp_path))
    assert message.startswith("california_mlp: skipped")
    assert "california_housing.npz" in message
    assert "LEARNRATE_DATA" in message
    assert not list(tmp_path.glob("*.jsonl"))


def test_regret_is_the_best_mean_minus_the_metric_and_is_on_the_page(trained, tmp_path):
    run_job(tmp_path)
    records_of = {TASK: Records(TASK, tmp_path)}
    scored = results.Results(records_of, SEEDS)
    (usual,) = (summary for summary in finished(records_of, SEEDS) if summary.method == "usual")
    grid = oracle.recorded_oracle(records_of[TASK], scored.tasks[0].about)
    assert grid.best == max(grid.means)
    assert usual.regrets == [grid.best - records_of[TASK].runs[0.1, seed, UPDATES].test for seed in SEEDS]
    assert usual.cost == 0
    ours = scored.summary("learnrate, double", scored.tasks)
    assert 0 < ours.cost <= 2
    text = "\n".join(page.text(scored))
    assert f"| usual | {usual.mean:.2f} | {usual.median:.2f} | {usual.worst:.1f} | {usual.disasters} of 2 | 0 |" in text
    assert "learnrate; learnrate, half; learnrate, quarter." in text
    third = results.Results(records_of, (0, 1, 2))
    assert not third.finished
    assert "usual (2 of 3)" in "\n".join(page.text(third))


def test_the_page_says_how_often_the_interval_contains_the_best_lr(trained, tmp_path):
    run_job(tmp_path, seeds=(0,), methods=("usual",))
    records_of = {TASK: Records(TASK, tmp_path)}
    best = results.Results(records_of, (0,)).tasks[0].oracle.best_lr
    assert "interval" not in "\n".join(page.text(results.Results(records_of, (0,))))
    for seed, interval in enumerate([(best / 2, best * 2), (best * 1.5, best * 3)]):
        records_of[TASK].add(store.Choice("learnrate", seed, best, 10, "version", interval=interval))
    scored = results.Results({TASK: Records(TASK, tmp_path)}, SEEDS)
    assert scored.intervals("learnrate") == [(True, 2.0), (False, 1.0)]
    assert scored.intervals("usual") == []
    assert results.Results({TASK: Records(TASK, tmp_path)}, (0,)).intervals("learnrate") == [(True, 2.0)]
    text = " ".join(page.text(scored))
    assert re.search(r"interval contains the best LR of the grid in 1 of 2 choices; .* 2\.8\b", text)


def test_the_figures_contain_their_origin_and_are_drawn_once(trained, tmp_path):
    run_job(tmp_path)
    scored = results.Results({TASK: Records(TASK, tmp_path)}, SEEDS)
    paths = pictures.draw(scored, tmp_path / "pictures")
    assert {path.stem for path in paths} == {"cost", "strips", "curves"}
    assert {pictures.drawn_from(path) for path in paths} == {pictures.origin(scored)}
    content = [path.read_bytes() for path in paths]
    assert pictures.draw(scored, tmp_path / "pictures") == []
    assert [path.read_bytes() for path in pictures.draw(scored, tmp_path / "again")] == content
    # Fewer seeds have another digest. Without records there are no figures, but there is a page.
    assert pictures.draw(results.Results(scored.records_of, (0,)), tmp_path / "pictures")
    nothing = results.Results({TASK: Records(TASK, tmp_path / "empty")}, SEEDS)
    assert pictures.draw(nothing, tmp_path / "pictures") == []
    assert not list((tmp_path / "pictures").iterdir())
    text = "\n".join(page.text(nothing))
    assert "No method has finished" in text
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
    assert read.metric in ("accuracy", "R2")


def test_the_hash_of_a_source_is_the_same_in_every_python(tmp_path):
    path = tmp_path / "file.py"
    path.write_text('"""Words."""\n\n\ndef f(x, *y, z=1):\n    """More."""\n    return f"{x:.2f}" if not y else print(z)\n')
    # The hash in Python 3.11; 3.12 and 3.13 print trees differently.
    assert store.digest([path]) == "1ef79886198a"


def test_every_record_of_the_repository_is_finite():
    for name in about.names():
        records = Records(name)
        assert all(math.isfinite(training_run.test) for training_run in records.runs.values())
        assert all(outcome.cost >= 0 for summary in summaries({name: records}) for outcome in summary.outcomes)
