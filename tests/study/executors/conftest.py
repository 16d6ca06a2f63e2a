"""A recipe and the study of it, made one run after the other: what every executor has to give too."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import learnrate as lr

HERE = Path(__file__).parent
ARMS = {"constant": "constant(0.1)", "cosine": "cosine(0.2, 0)"}
OPTIONS = {"seeds": 3, "evaluate_every": 7, "checkpoint_every": 0.1}
LIMIT = 90
"""Seconds after which a process that should have ended is killed, and its test fails."""


def runs_of(comparison):
    """What must be the same wherever a study is made: all but the times, and that a run was begun again."""
    return {
        (arm.name, training.seed): replace(training, seconds=0.0, times=(), notes=())
        for arm in comparison
        for training in arm.trainings
    }


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition, what, seconds=LIMIT):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Study:
    """A study in a folder of its own."""

    arms, options = ARMS, OPTIONS

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "study.sqlite"
        self.recipe = folder / "walk_recipe.py"
        self.recipe.write_text((HERE / "walk_recipe.py").read_text())
        self.set()

    def set(self, pause=0.0, signal=None):
        (self.folder / "settings.json").write_text(json.dumps({"pause": pause, "signal": signal}))

    def make(self, executor=None, **changes):
        return lr.compare(ARMS, self.recipe, study=self.path, executor=executor, **{**OPTIONS, **changes})

    @property
    def was_ended(self):
        """Whether the process of a run was ended in mid-run."""
        return (self.folder / "ended").exists()

    def workers(self):
        """The processes in which runs were made."""
        return [int(path.stem) for path in self.folder.glob("*.process")]

    def begin(self, *executor):
        """A driver in a process of its own."""
        command = [sys.executable, HERE / "walk_study.py", self.recipe, self.path, *map(str, executor)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def interrupt(self, *executor):
        """Begin a driver, and interrupt it as soon as a run is in progress. Returns what it says."""
        driver = self.begin(*executor)
        try:
            wait_until(lambda: self.workers() or driver.poll() is not None, "a run in progress")
            driver.send_signal(signal.SIGINT)
            said = driver.communicate(timeout=LIMIT)[1]
        finally:
            driver.kill()
            driver.wait()
        return said


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


@pytest.fixture(scope="session")
def serial(tmp_path_factory):
    """The runs, made one after the other."""
    runs = runs_of(Study(tmp_path_factory.mktemp("serial")).make())
    assert len(runs) == len(ARMS) * OPTIONS["seeds"]
    return runs


@pytest.fixture(scope="session")
def compared():
    """What to compare of a study."""
    return runs_of


@pytest.fixture(scope="session")
def waiting():
    return wait_until


@pytest.fixture(scope="session")
def alive():
    return is_alive
