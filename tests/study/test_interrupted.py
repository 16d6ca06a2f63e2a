"""A study whose driver is killed, and one that several processes make: nothing is lost, nothing is made twice."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import learnrate as lr
from driver_script import ARMS, make
from facts import facts
from learnrate.study.results import comparison_of
from learnrate.study.store.opened import opened
from slow_recipe import RandomWalk, recipe

SCRIPT = Path(__file__).with_name("driver_script.py")
LIMIT = 300
"""Seconds that a driver may take: a few, but much longer on a busy machine."""


def begin(study, *arguments, pause=0.004):
    environment = {**os.environ, "PAUSE": str(pause)}
    return subprocess.Popen([sys.executable, SCRIPT, study, *map(str, arguments)], env=environment, stderr=subprocess.PIPE)


def facts_of(comparison):
    """What must be the same however often a study was interrupted: all but the times."""
    return {
        (arm.name, training.seed): replace(training, seconds=0.0, times=(), notes=())
        for arm in comparison
        for training in arm.trainings
    }


@pytest.fixture(scope="module")
def undisturbed():
    return facts_of(make(None))


def read(study):
    with opened(study, to_read=True) as store:
        return comparison_of(store.contents())


def kill_again_and_again(study, times, executor=()):
    """Kill the driver at random moments; returns the updates that the finished study would have cost without interruption."""
    chance = random.Random(0)
    for _ in range(times):
        driver = begin(study, *executor)
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(chance.uniform(0.3, 1.1))
        driver.kill()
        driver.communicate()
    driver = begin(study, *executor, pause=0)
    assert driver.wait(LIMIT) == 0, driver.stderr.read().decode()
    driver.communicate()


@pytest.fixture(params=["study.sqlite", "study/"])
def study(request, tmp_path):
    return f"{tmp_path}/{request.param}"


@pytest.mark.slow
def test_a_driver_that_is_killed_three_times_ends_with_the_same_study(study, undisturbed):
    kill_again_and_again(study, 3)
    assert facts_of(read(study)) == undisturbed
    assert not left_over(study)


@pytest.mark.slow
def test_a_driver_with_workers_that_is_killed_three_times_ends_with_the_same_study(tmp_path, undisturbed):
    study = tmp_path / "study.sqlite"
    kill_again_and_again(study, 3, (2,))
    assert facts_of(read(study)) == undisturbed
    assert not left_over(study)


@pytest.mark.heavy
def test_a_driver_that_is_killed_twenty_times_ends_with_the_same_study(study, undisturbed):
    kill_again_and_again(study, 20)
    assert facts_of(read(study)) == undisturbed


def left_over(study):
    """Claims and checkpoints of a study that has ended."""
    if Path(study).is_file():
        return list(Path(study).parent.glob("*.checkpoints"))
    return [*Path(study).glob("runs/*.claim"), *Path(study).glob("checkpoints/*")]


def records_of(study):
    """Driver of each run that has ended, and the number of evaluations, read without learnrate."""
    if Path(study).is_dir():
        files = [[json.loads(line) for line in file.read_text().splitlines()] for file in Path(study).glob("runs/*.jsonl")]
        evaluations = sum("metric" in line for lines in files for line in lines)
        return [lines[0]["driver"] for lines in files], evaluations
    try:
        with contextlib.closing(sqlite3.connect(study)) as connection:
            [evaluations] = connection.execute("SELECT count(*) FROM evaluations").fetchone()
            return [driver for (driver,) in connection.execute("SELECT driver FROM runs")], evaluations
    except sqlite3.Error:  # not written yet
        return [], 0


@pytest.mark.slow
def test_two_processes_share_the_work_of_a_study(study, undisturbed):
    drivers = [begin(study), begin(study)]
    for driver in drivers:
        assert driver.wait(LIMIT) == 0, driver.stderr.read().decode()
        driver.communicate()
    assert facts_of(read(study)) == undisturbed
    drivers_of_runs, evaluations = records_of(study)
    assert len(set(drivers_of_runs)) == 2
    assert len(drivers_of_runs) == 12
    assert evaluations == 12 * 2 * 9


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_made_and_gives_the_rest_back(study, undisturbed):
    driver = begin(study)
    while not Path(study).exists() or not records_of(study)[0]:
        time.sleep(0.02)
        assert driver.poll() is None
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=LIMIT)
    assert 0 < len(records_of(study)[0]) < 12
    if Path(study).is_file():
        with contextlib.closing(sqlite3.connect(study)) as connection:
            assert connection.execute("SELECT count(*) FROM claims").fetchone() == (0,)
    assert not list(Path(study).glob("runs/*.claim"))
    assert not list(Path(study).glob("drivers/*"))
    assert facts_of(make(study)) == undisturbed


def test_a_study_is_not_continued_with_other_values(study):
    make(study, seeds=1)
    for changes in ({"updates": 61}, {"evaluate_every": 8}, {"tune_each": True}):
        with pytest.raises(ValueError, match=facts(next(iter(changes)), Path(study).name)):
            make(study, seeds=1, **changes)
    assert len(make(study, seeds=2).seeds) == 2


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A study that was interrupted in its second arm, after 39 of 60 updates; and the updates that were begun."""
    updates, update = [], RandomWalk.update

    def counted(walk, lr):
        updates.append(walk.updates)
        if len(updates) == 100:
            raise KeyboardInterrupt
        return update(walk, lr)

    monkeypatch.setattr(RandomWalk, "update", counted)
    with pytest.raises(KeyboardInterrupt):
        lr.compare(ARMS, recipe(), study=tmp_path / "study.sqlite", seeds=1, checkpoint_every=1e-9)
    return tmp_path / "study.sqlite", updates


def test_a_training_goes_on_where_fewer_arms_are_compared(interrupted):
    study, updates = interrupted
    lr.compare({"cosine": ARMS["cosine"]}, recipe(), study=study, seeds=1)
    assert updates == [*range(60), *range(40), *range(39, 60)]


def test_nothing_is_left_of_processes_that_were_killed(interrupted):
    study, _ = interrupted
    folder = Path(f"{study}.checkpoints")
    [checkpoint] = folder.glob("*.checkpoint")
    (folder / f".{checkpoint.name}.0123abcd.part").write_bytes(b"half")
    (folder / "0123456789ab.lock").touch()  # of a process that was killed before it claimed a run
    lr.compare(ARMS, recipe(), study=study, seeds=1)
    assert not folder.exists()


def test_a_study_is_not_continued_with_other_data(tmp_path):
    study, file, folder = tmp_path / "study.sqlite", tmp_path / "data.bin", tmp_path / "images"
    file.write_bytes(b"first")
    folder.mkdir()
    (folder / "one.png").write_bytes(b"12")
    make(study, seeds=1, data=[file, folder])
    make(study, seeds=1, data=file)
    (folder / "two.png").write_bytes(b"12")
    with pytest.raises(ValueError, match=facts("images", "study.sqlite")):
        make(study, seeds=1, data=[file, folder])
    file.write_bytes(b"other")
    with pytest.raises(ValueError, match=facts("data.bin", "study.sqlite")):
        make(study, seeds=1, data=file)
    with pytest.raises(ValueError, match=facts("missing", "data")):
        make(study, seeds=1, data=tmp_path / "missing")


def test_what_is_no_study_is_refused_and_left_as_it_is(tmp_path):
    text, database = tmp_path / "text.sqlite", tmp_path / "other.sqlite"
    text.write_text("no database, but long enough to be read as one" * 20)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE mine (value)")
    for path in (text, database, tmp_path / "missing" / "study.sqlite"):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(OSError, match=facts(path.name)):
            make(path, seeds=1)
        assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize("content", [["notes.txt"], ["runs/one.jsonl", "checkpoints/last"], ["definition.json"]])
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(tmp_path, content):
    for name in content:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match=facts(tmp_path.name)):
        make(tmp_path, seeds=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_name_of_a_folder_is_not_taken_for_that_of_a_file(tmp_path):
    (tmp_path / "study").write_text("mine")
    with pytest.raises(OSError, match="is a file"):
        make(f"{tmp_path}/study/", seeds=1)
    with pytest.raises(OSError, match="missing"):
        make(f"{tmp_path}/missing/study/", seeds=1)


def test_the_study_can_be_read_with_sqlite_alone(tmp_path):
    study = tmp_path / "study.sqlite"
    comparison = make(study, seeds=1)
    with contextlib.closing(sqlite3.connect(study)) as connection:
        rows = list(connection.execute("SELECT arm, score, updates, record FROM runs ORDER BY arm"))
        [definition] = connection.execute("SELECT value FROM study WHERE name = 'definition'").fetchone()
    assert [(arm, score, updates) for arm, score, updates, _ in rows] == [
        (name, comparison[name].scores[0], 60) for name in ("constant", "cosine", "linear")
    ]
    assert json.loads(rows[0][3])["metric"] == "nearness"
    assert json.loads(definition)["arms"]["cosine"]["schedule"] == "cosine(start=0.2, end=0.0)"
