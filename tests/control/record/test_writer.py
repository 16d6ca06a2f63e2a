"""Nothing is lost: killed processes, full disks, folders that vanish, forks, several writers."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings

import pytest

import learnrate as lr
from facts import facts
from learnrate.control import Observation, Scale
from learnrate.control.record import stores, writer
from learnrate.control.running import begin
from learnrate.errors import ArgumentError, ArgumentTypeError, OutputError, RecordWarning
from recording import recorded, run, step

FORMS = ("run.sqlite", "run.jsonl")
SCHEDULE = lr.linear(0.1, 0.0, 1_000_000)

PREPARE = """
import gc, os, resource, signal, sys, time
import learnrate as lr
from learnrate.control import Observation, Scale
from learnrate.control.running import begin
control = begin([lr.linear(0.1, 0.0, 1_000_000)], record=sys.argv[1])
def run(updates, pause=0.0):
    for n in updates:
        control.observe(Observation(n, lr=control.schedule(n), loss=1.0))
        control.settle(n + 1)
        time.sleep(pause)
"""


def started(code, path, **more):
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE + code, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_sound(path):
    """Whether sqlite finds no fault in a database."""
    if path.suffix == ".jsonl":
        return True
    connection = sqlite3.connect(path)
    answer = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return answer == ("ok",)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_run_is_read_while_it_is_written_and_a_killed_one_loses_a_second_at_most(form, tmp_path):
    path = tmp_path / form
    process = started("print('begun', flush=True)\nrun(range(100_000), 0.002)", path)
    assert process.stdout.readline() == "begun\n"
    until(lambda: len(lr.Record.load(path)) > 100)
    before = len(lr.Record.load(path))
    until(lambda: len(lr.Record.load(path)) > before)
    with pytest.raises(OutputError, match=facts(form, "another run")):
        begin([SCHEDULE], record=path)
    process.send_signal(signal.SIGKILL)
    killed = time.time()
    process.wait()
    process.stdout.close()
    process.stderr.close()

    record = lr.Record.load(path)
    assert record.times[-1] > killed - 1.5  # a second, and half of one for a machine that is busy with other tests
    assert record.updates.tolist() == list(range(len(record)))
    assert [record.schedule()(n) for n in range(len(record))] == record.lrs.tolist()
    assert is_sound(path)

    control = begin([SCHEDULE], record=path, start=50)  # the lock went with the process
    run(control, range(50, 60))
    control.close()
    assert len(lr.Record.load(path)) == 60
    assert len(lr.Record.load(path, attempt=1)) == len(record)


@pytest.mark.slow
@pytest.mark.parametrize(
    "end", ["", "raise SystemExit(3)", "signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), 2)", "1 / 0"]
)
def test_an_end_without_close_loses_nothing(end, tmp_path):
    path = tmp_path / "run.sqlite"
    process = started(f"run(range(3000))\n{end}", path)
    _, errors = process.communicate(timeout=300)
    assert ("KeyboardInterrupt" in errors) == ("kill" in end)
    assert "Warning" not in errors
    assert len(lr.Record.load(path)) == 3000
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.sqlite"]


@pytest.mark.slow
def test_a_fork_neither_writes_nor_breaks_nor_ends_a_record(tmp_path):
    code = """
import multiprocessing
run(range(500))
time.sleep(0.4)  # the database is open in the thread, and written
child = os.fork()
if child == 0:
    run(range(500, 510))
    del control
    gc.collect()
    sys.exit(0)  # with everything that runs at the end of a process
assert os.waitpid(child, 0)[1] == 0
worker = multiprocessing.get_context("fork").Process(target=gc.collect)
worker.start(); worker.join()
run(range(500, 1000))
time.sleep(0.4)
assert len(lr.Record.load(sys.argv[1])) == 1000
"""
    path = tmp_path / "run.sqlite"
    process = started(code, path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert errors.count("RecordWarning") == 1
    assert "forked process is not recorded" in errors
    assert lr.Record.load(path).updates.tolist() == list(range(1000))
    assert is_sound(path)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_is_said_once_and_survived(form, tmp_path):
    code = """
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))  # files may have so many bytes
for n in range(0, 6000, 1000):
    run(range(n, n + 1000))
    time.sleep(0.3)
size = os.path.getsize(sys.argv[1])
assert size <= 60_000, size
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
run(range(6000, 6010))
"""
    path = tmp_path / form
    process = started(code, path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert errors.count("RecordWarning") == 1
    assert "cannot be written" in errors
    assert form in errors
    assert lr.Record.load(path).updates.tolist() == list(range(6010))
    assert is_sound(path)


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_vanishes_comes_back_with_the_whole_record(form, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    control = begin([SCHEDULE], record=folder / form)
    run(control, range(50))
    until(lambda: len(lr.Record.load(folder / form)) == 50)
    shutil.rmtree(folder)
    run(control, range(50, 100))
    until(lambda: control.listeners[0]._writer.trouble is not None)
    with pytest.warns(RecordWarning, match=facts(form, "cannot be written")):
        step(control, 100)
    folder.mkdir()
    run(control, range(101, 110))
    control.close()
    record = lr.Record.load(folder / form)
    assert record.updates.tolist() == list(range(110))
    assert is_sound(folder / form)


def test_another_file_in_the_place_of_the_record_is_left_alone(tmp_path):
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    run(control, range(50))
    until(lambda: len(lr.Record.load(path)) == 50)
    for name in ("run.sqlite", "run.sqlite-wal", "run.sqlite-shm"):
        (tmp_path / name).unlink()
    path.write_text("mine")
    run(control, range(50, 60))
    with pytest.warns(RecordWarning, match=facts("run.sqlite", "another file")):
        control.close()
    assert path.read_text() == "mine"


def test_a_locked_database_delays_a_record_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "WAIT", 0.05)
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    run(control, range(50))
    other = sqlite3.connect(path, isolation_level=None)
    until(lambda: control.listeners[0]._writer._waiting == {} and not control.listeners[0]._writer._queue)
    other.execute("BEGIN IMMEDIATE")
    run(control, range(50, 100))
    until(lambda: control.listeners[0]._writer.trouble is not None)
    with pytest.warns(RecordWarning, match=facts("run.sqlite", "locked")):
        step(control, 100)
    other.execute("ROLLBACK")
    other.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(control, range(101, 120))
        control.close()
    assert len(lr.Record.load(path)) == 120


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_written_together_or_not_at_all(form, tmp_path):
    store = stores.opened(tmp_path / form)
    store.write({"attempts": [(1, 0.0, "[]", "{}")], "starts": [(1, 0, 0)]})
    rows = [(1, n, 0.1, 1.0, None, 0.0) for n in range(3)]
    with pytest.raises((sqlite3.Error, TypeError)):
        store.write({"updates": [*rows, (1, object(), 0.1, 1.0, None, 0.0)]})
    store.write({"updates": rows})
    store.close()
    assert lr.Record.load(tmp_path / form, attempt=1).updates.tolist() == [0, 1, 2]


def test_what_is_lost_in_the_end_is_said_with_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MOST_WAITING", 40)
    (tmp_path / "folder").mkdir()
    control = begin([SCHEDULE], record=tmp_path / "folder" / "run.sqlite")
    run(control, range(10))
    until(lambda: len(lr.Record.load(tmp_path / "folder" / "run.sqlite")) == 10)
    shutil.rmtree(tmp_path / "folder")
    # Nobody warns before the training thread comes by.
    control.listeners[0]._writer._queue.extend(("updates", (1, n, 0.1, 1.0, None, 0.0)) for n in range(10, 100))
    until(lambda: control.listeners[0]._writer._dropped > 0)
    with pytest.warns(RecordWarning, match=facts("run.sqlite", "oldest updates are lost")):
        step(control, 100)
    with pytest.warns(RecordWarning, match=facts("run.sqlite", "91 rows could not be written")):
        control.close()
    control.close()  # again


def rest(control, updates):
    """Updates until the last of which some were dropped."""
    run(control, updates[:-1])
    until(lambda: control.listeners[0]._writer._dropped > 0)
    step(control, updates[-1])


def test_updates_that_were_dropped_are_missing_and_the_record_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MOST_WAITING", 40)
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    run(control, range(10))
    until(lambda: len(lr.Record.load(path)) == 10)
    shutil.rmtree(tmp_path / "folder")
    control.request(Scale(0.5))
    with pytest.warns(RecordWarning, match=facts("run.sqlite")):
        rest(control, range(10, 110))
    path.parent.mkdir()
    with pytest.warns(RecordWarning, match=facts("run.sqlite", "59 rows could not")):
        control.close()
    record = lr.Record.load(path)
    assert len(record.events) == 1
    assert record.updates[-1] == 109
    assert any("updates are missing" in note for note in record.notes)
    assert [record.schedule()(n) for n in record.updates.tolist()] == record.lrs.tolist()


def test_one_run_writes_a_file_until_it_ends_or_is_forgotten(tmp_path):
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    with pytest.raises(OutputError, match=facts("run.sqlite", "another run", "file of its own")):
        begin([SCHEDULE], record=path)
    run(control, range(5))
    control.cycle = control  # is forgotten when the garbage collector runs, as much of a notebook
    del control
    control = begin([SCHEDULE], record=path, start=5)
    run(control, range(5, 8))
    control.close()
    assert len(lr.Record.load(path)) == 8


def test_only_the_first_process_writes(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite", rank=1)
    run(control, range(5))
    control.close()
    assert list(tmp_path.iterdir()) == []


def test_the_program_may_change_its_folder(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    control = begin([SCHEDULE], record="run.jsonl")
    monkeypatch.chdir(tmp_path / "other")
    run(control, range(5))
    control.close()
    assert len(lr.Record.load(tmp_path / "run.jsonl")) == 5


@pytest.mark.parametrize(
    ("record", "error", "words"),
    [
        (3, ArgumentTypeError, ("record", 3)),
        (True, ArgumentTypeError, ("record", True)),
        ("", OutputError, ("name of a file",)),
        ("a\0b", ArgumentError, ("record",)),
        ("\udcff", OutputError, ("UTF-8",)),
        (".", OutputError, ("name of a file",)),
        ("folder", OutputError, ("folder", "run.sqlite")),
        ("no/run.sqlite", OutputError, ("no folder no", "create")),
        ("notes", OutputError, ("notes", "another name")),
        ("run.json", OutputError, ("run.json", "run.jsonl", "run.sqlite")),
        ("notes.jsonl", OutputError, ("notes.jsonl", "another name")),
        ("other.db", OutputError, ("other.db", "something else", "another name")),
        ("later.jsonl", OutputError, ("later.jsonl", "version", 99)),
    ],
)
def test_a_file_that_cannot_be_a_record_is_refused_at_the_start_and_stays(record, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes").write_text("these are notes, and long enough that sqlite looks at them. " * 50)
    (tmp_path / "notes.jsonl").write_text('{"loss": 1}\n')
    (tmp_path / "later.jsonl").write_text('{"learnrate": "record", "version": 99}\n')
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE a (b)")
    other.close()
    before = {path.name: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(error, match=facts(*words)):
        begin([SCHEDULE], record=record)
    assert {path.name: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_line_that_a_process_was_killed_at_is_cut_off(tmp_path):
    path = tmp_path / "run.jsonl"
    recorded(path, SCHEDULE, 5)
    with path.open("a") as file:
        file.write('{"table": "upda')
    assert len(lr.Record.load(path)) == 5
    control = begin([SCHEDULE], record=path, start=5)
    run(control, range(5, 8))
    control.close()
    assert len(lr.Record.load(path)) == 8


def test_a_reader_does_not_hold_up_the_end_of_a_run(tmp_path):
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    run(control, range(5))
    until(lambda: len(lr.Record.load(path)) == 5)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM updates").fetchone()
    run(control, range(5, 10))
    began = time.monotonic()
    control.close()
    assert time.monotonic() - began < 5
    reader.close()
    assert len(lr.Record.load(path)) == 10


def test_numbers_of_frameworks_and_strange_texts_are_recorded(tmp_path):
    import torch

    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    control.observe(
        Observation(torch.tensor(0), lr=torch.tensor(0.5), loss=torch.tensor(2.0), gradient_norm=torch.tensor(3))
    )
    control.observe(Observation(0, lr=0.5, metrics={"\udcff": torch.tensor(1.0)}))
    control.request(Scale(0.5), why="\udcff")
    control.settle(1)
    control.close()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert (record.lrs[0], record.losses[0], record.gradient_norms[0]) == (0.5, 2.0, 3.0)
    assert len(record.metrics) == len(record.events) == 1


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_finished_record_is_read_in_a_folder_that_cannot_be_written(tmp_path):
    recorded(tmp_path / "run.sqlite", SCHEDULE, 5)
    tmp_path.chmod(0o555)
    try:
        assert len(lr.Record.load(tmp_path / "run.sqlite")) == 5
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="POSIX")
@pytest.mark.parametrize("path", ["x" * 300 + ".sqlite", "/dev/null", __file__ + "/run.sqlite"])
def test_what_is_no_file_is_refused_in_one_line(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=facts(path[-20:])):
        begin([SCHEDULE], record=path)
    assert list(tmp_path.iterdir()) == []
