"""What goes wrong around the files of a study: full disks, removed and damaged files, dead machines, clocks."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from disks import full_disk
from driver_script import make
from facts import facts
from learnrate.errors import OutputError, RecordWarning
from learnrate.study.definition import Definition
from learnrate.study.running.run import EndedRun, Failure, Key
from learnrate.study.running.training import Training
from learnrate.study.store import drivers, run_files
from learnrate.study.store.opened import opened

DEFINITION = Definition({"a": {"schedule": "constant(0.1)"}}, updates=3)
KEYS = [Key("a", seed) for seed in range(4)]


@pytest.fixture(params=["study.sqlite", "study/"])
def study(request, tmp_path):
    return f"{tmp_path}/{request.param}"


@contextlib.contextmanager
def begun(study):
    with opened(study) as store:
        store.begin(DEFINITION)
        yield store


def training(seed, losses=(1.0, float("inf"))):
    return Training(
        seed, -0.5, losses, (2, 3), (-1.0, -0.5), "nearness", more={"updates": (2.0, 3.0)}, times=(0.1, 0.2), first_loss=1.0
    )


def ended_run(key, result=None):
    return EndedRun(key, result or training(key.seed), {"host": "here"})


def test_what_is_stored_is_read_back_as_it_was(study):
    key = Key("a very long name of an arm, with ümlauts / slashes \\ and \N{SNOWMAN}", 3)
    losses = tuple(1 / (n + 3) for n in range(250))
    with begun(study) as store:
        assert store.claim([key, KEYS[0]], 5) == [key, KEYS[0]]
        store.finish(ended_run(key, training(3, losses)))
        store.finish(ended_run(KEYS[0], Failure("no memory", "Traceback")))
    with opened(study, to_read=True) as store:
        contents = store.contents()
    assert contents.runs[key].result == training(3, losses)
    assert contents.runs[key].environment == {"host": "here"}
    assert contents.runs[KEYS[0]].result == Failure("no memory", "Traceback")


def test_a_study_can_be_read_while_it_is_made(study):
    with begun(study) as store:
        store.claim(KEYS, 1)
        store.finish(ended_run(KEYS[0]))
        with opened(study, to_read=True) as reader:
            assert list(reader.contents().runs) == KEYS[:1]
            store.claim(KEYS, 1)
            store.finish(ended_run(KEYS[1]))
            assert list(reader.contents().runs) == KEYS[:2]


def test_names_that_differ_in_what_file_systems_ignore_are_different_runs(tmp_path):
    names = ["cosine", "Cosine", "cosine/", "cosine\\", "c" * 80, "c" * 79]
    files = {run_files.name_of(Key(name, 0)).lower() for name in names}
    assert len(files) == len(names)
    assert all(len(file) < 100 and file.isascii() for file in files)


def test_two_stores_never_claim_the_same_run(study):
    with begun(study) as first, begun(study) as second:
        assert first.claim(KEYS, 1) == KEYS[:1]
        assert second.claim(KEYS, 2) == KEYS[1:3]
        assert first.others_work()
        first.finish(ended_run(KEYS[0]))
        second.release(KEYS[1])
        assert first.claim(KEYS, 9) == [KEYS[1], KEYS[3]]


def test_a_failed_run_is_tried_again_by_the_next_driver_whatever_the_clock_says(study, monkeypatch):
    with begun(study) as store:
        store.claim(KEYS[:1], 1)
        store.finish(ended_run(KEYS[0], Failure("no memory")))
        assert store.claim(KEYS[:1], 1) == []
    before = time.time()
    monkeypatch.setattr(time, "time", lambda: before - 86_400)
    with begun(study) as store:
        assert store.claim(KEYS[:1], 1) == KEYS[:1]
        store.finish(ended_run(KEYS[0], Failure("no memory")))
        assert store.claim(KEYS[:1], 1) == []


def test_what_was_made_twice_is_stored_once(study):
    with begun(study) as first, begun(study) as second:
        first.claim(KEYS, 1)
        first.finish(ended_run(KEYS[0], training(0, (1.0,))))
        second.finish(ended_run(KEYS[0], training(0, (2.0,))))
        assert second.contents().runs[KEYS[0]].result.losses == (1.0,)


def test_a_driver_whose_lock_was_deleted_by_hand_takes_it_again(tmp_path):
    study = tmp_path / "study.sqlite"
    with begun(study) as first, begun(study) as second:
        for file in first.checkpoints.glob("*.lock"):
            file.unlink()
        assert first.claim(KEYS, 1) == KEYS[:1]
        assert second.claim(KEYS, 9) == KEYS[1:]


def test_a_file_that_is_removed_while_it_is_in_use_is_said(tmp_path):
    study = tmp_path / "study.sqlite"
    with begun(study) as store:
        store.claim(KEYS, 1)
        study.unlink()
        with pytest.raises(OutputError, match=facts("study.sqlite", "removed")):
            store.finish(ended_run(KEYS[0]))


def test_a_folder_that_is_removed_while_it_is_in_use_is_said(tmp_path):
    with begun(f"{tmp_path}/study/") as store:
        store.claim(KEYS, 1)
        (tmp_path / "study" / "runs").rename(tmp_path / "moved")
        with pytest.raises(OutputError, match=facts("study", "No such file")):
            store.finish(ended_run(KEYS[0]))


def test_nothing_is_lost_when_the_disk_is_full(study):
    with begun(study) as store:
        store.claim(KEYS, 2)
        store.finish(ended_run(KEYS[0]))
        checkpoint = store.checkpoints / "0-1.checkpoint"
        checkpoint.write_text("kept")
        with full_disk(), pytest.raises(OutputError, match=facts("cannot write", "study")) as raised:
            store.finish(ended_run(KEYS[1], training(1, tuple(map(float, range(2000))))))
        assert "\n" not in str(raised.value)
        assert list(store.contents().runs) == KEYS[:1]
    assert checkpoint.read_text() == "kept"
    with begun(study) as store:
        assert store.claim(KEYS[:2], 9) == [KEYS[1]]


FULL = """
import resource, sys
sys.path[:0] = {path!r}
import driver_script
from learnrate.errors import OutputError
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
def on_result(comparison):
    if len(comparison.seeds):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
try:
    driver_script.make(sys.argv[1], on_result=on_result, seeds=2)
except OutputError as error:
    print(error)
"""


def test_a_study_goes_on_after_the_disk_was_full(study):
    script = FULL.format(path=[str(Path(__file__).parent)])
    ended = subprocess.run([sys.executable, "-c", script, study], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    [line] = ended.stdout.splitlines()
    assert "cannot write" in line
    with opened(study, to_read=True) as store:
        assert len(store.contents().runs) == 3
    assert make(study, seeds=2).seeds == make(None, seeds=2).seeds


@pytest.mark.parametrize("cut", [1, 200, 0.5, 0.99])
def test_a_run_whose_file_is_cut_off_is_made_again_and_said(tmp_path, cut):
    study = f"{tmp_path}/study/"
    with begun(study) as store:
        store.claim(KEYS, 1)
        store.finish(ended_run(KEYS[0]))
    [file] = Path(study).glob("runs/*.jsonl")
    content = file.read_bytes()
    file.write_bytes(content[: cut if cut >= 1 else int(len(content) * cut)])
    with opened(study, to_read=True) as store, pytest.warns(RecordWarning, match=file.name):
        assert not store.contents().runs
    with contextlib.ExitStack() as stack:
        with pytest.warns(RecordWarning, match=file.name):
            store = stack.enter_context(begun(study))
        assert store.claim(KEYS[:1], 1) == KEYS[:1]
        store.finish(ended_run(KEYS[0]))
    with begun(study) as store:
        assert store.contents().runs[KEYS[0]].result == training(0)


def test_a_file_without_one_of_its_lines_is_damaged():
    lines = run_files.encode(ended_run(KEYS[0]), "d", 1.0).splitlines(keepends=True)
    assert run_files.decode(b"".join(lines), "file")[0] == KEYS[0]
    assert run_files.attempt_of(b"".join(lines), "file").driver == "d"
    for number in range(len(lines)):
        for content in (lines[:number] + lines[number + 1 :], lines[:number]):
            assert run_files.decode(b"".join(content), "file") is None
            assert run_files.attempt_of(b"".join(content), "file") is None


@pytest.mark.parametrize(
    "content", [None, "", f"{0:012d} another-machine/1 {os.getpid():012d}\n"], ids=["none", "empty", "full"]
)
def test_the_claims_of_a_machine_that_is_dead_are_taken_over_after_a_time(tmp_path, monkeypatch, content):
    study = tmp_path / "study"
    with begun(f"{study}/"):
        pass
    if content is not None:
        (study / "drivers" / "other.beat").write_text(content)
    (study / "runs" / f"{run_files.name_of(KEYS[0])}.1.claim").write_text("other")
    with begun(study) as first, begun(study) as second:
        assert first.claim(KEYS[:1], 1) == []
        assert first.others_work()
        assert second.claim(KEYS[:1], 1) == []
        monkeypatch.setattr(drivers, "DEAD_AFTER", 0.0)
        assert first.claim(KEYS[:1], 1) == KEYS[:1]
        monkeypatch.undo()
        assert second.claim(KEYS[:1], 1) == []
        first.finish(ended_run(KEYS[0]))
        assert not list(study.glob("runs/*.claim"))


def test_a_driver_that_shows_life_keeps_its_claims(tmp_path, monkeypatch):
    monkeypatch.setattr(drivers, "BEAT", 0.02)
    monkeypatch.setattr(drivers, "DEAD_AFTER", 0.5)
    with begun(f"{tmp_path}/study/") as first, begun(f"{tmp_path}/study/") as second:
        first.claim(KEYS, 1)
        for _ in range(7):
            assert second.claim(KEYS[:1], 1) == []
            time.sleep(0.1)


def test_a_claim_whose_writer_died_before_it_wrote_its_name_is_void_after_a_time(tmp_path, monkeypatch):
    with begun(f"{tmp_path}/study/") as store:
        (tmp_path / "study" / "runs" / f"{run_files.name_of(KEYS[0])}.1.claim").write_text("")
        assert store.claim(KEYS[:1], 1) == []
        monkeypatch.setattr(drivers, "DEAD_AFTER", 0.0)
        assert store.claim(KEYS[:1], 1) == KEYS[:1]


def test_a_study_of_another_version_is_refused(tmp_path):
    with begun(tmp_path / "study.sqlite"), begun(f"{tmp_path}/study/"):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "study.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 2")
    file = tmp_path / "study" / "definition.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 2}))
    for path in (tmp_path / "study.sqlite", tmp_path / "study"):
        for to_read in (False, True):
            with (
                pytest.raises(OutputError, match=facts(path.name, "version 1", "2", "upgrade")),
                opened(path, to_read=to_read),
            ):
                pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_study_that_may_not_be_written_can_be_read(study):
    with begun(study) as store:
        store.claim(KEYS, 1)
        store.finish(ended_run(KEYS[0]))
    paths = [Path(study), *(Path(study).rglob("*") if Path(study).is_dir() else [])]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with opened(study, to_read=True) as store:
            assert list(store.contents().runs) == KEYS[:1]
        with pytest.raises(OutputError, match=facts("cannot write", "study")), begun(study):
            pass
    finally:
        for path in paths:
            path.chmod(0o755)


def test_reading_changes_nothing(study):
    with begun(study) as store:
        store.claim(KEYS, 1)
    files = [Path(study), *Path(study).rglob("*")]
    before = {file: file.stat().st_mtime_ns for file in files}
    with opened(study, to_read=True) as store:
        assert not store.contents().runs
    assert {file: file.stat().st_mtime_ns for file in [Path(study), *Path(study).rglob("*")]} == before


def test_checkpoints_of_two_studies_are_never_mixed(tmp_path):
    """A study that was removed leaves the checkpoints of its drivers that were killed."""
    study = tmp_path / "study"
    environment = {**os.environ, "PAUSE": "0.01"}
    script = Path(__file__).with_name("driver_script.py")
    driver = subprocess.Popen([sys.executable, script, f"{study}/"], env=environment, stderr=subprocess.DEVNULL)
    while not list(study.glob("checkpoints/*.checkpoint")):
        time.sleep(0.02)
        assert driver.poll() is None
    driver.kill()
    driver.communicate()
    for name in ("runs", "drivers"):
        for file in (study / name).iterdir():
            file.unlink()
    (study / "definition.json").unlink()
    (study / "drivers" / "x.beat").write_text("")
    comparison = make(study, seeds=1)
    assert all(training.updates == 60 for arm in comparison for training in arm.trainings)
    assert any("another training" in note for note in comparison.notes)
