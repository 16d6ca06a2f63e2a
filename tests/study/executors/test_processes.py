"""A pool of processes: the same study as one run after the other, whatever becomes of its processes."""

import re
import signal
import subprocess
import sys
from itertools import groupby

import pytest

import learnrate as lr
from facts import facts
from learnrate.study.executors import Processes, WorkerLostError


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_only_its_run(study, serial, compared):
    study.set(pause=0.002, signal=signal.SIGKILL)
    messages = []
    comparison = study.make(2, progress=messages.append)
    assert study.was_ended
    assert compared(comparison) == serial
    assert len(study.workers()) == 3  # two, and one in the place of that which was killed
    # The messages of a run come in order, but for the run that began again.
    runs = groupby(sorted(enumerate(messages), key=lambda pair: (str(pair[1].key), pair[0])), key=lambda pair: pair[1].key)
    orders = [[message.updates for _, message in several] for _, several in runs]
    assert len(orders) == 6
    assert sum(updates != sorted(updates) for updates in orders) <= 1
    assert all(updates[-1] == 60 for updates in orders)


@pytest.mark.slow
def test_an_interrupted_study_leaves_no_process_and_goes_on(study, serial, compared, alive, waiting):
    study.set(pause=0.02)
    assert "interrupted" in study.interrupt(2)
    waiting(lambda: not any(map(alive, study.workers())), "the workers have ended")
    study.set()
    assert compared(study.make()) == serial


@pytest.mark.slow
def test_workers_end_when_their_driver_is_killed(study, alive, waiting):
    study.set(pause=1.0)
    driver = study.begin(1)
    try:
        waiting(study.workers, "a run in progress")
        assert all(map(alive, study.workers()))
    finally:
        driver.kill()
        driver.communicate()
    waiting(lambda: not any(map(alive, study.workers())), "the workers have ended")


@pytest.mark.slow
def test_calls_errors_and_what_cannot_be_pickled():
    executor = Processes(1)
    try:
        with pytest.raises(TypeError, match=facts("picklable", "generator")):
            executor.submit(len, (n for n in range(3)))
        powers = [executor.submit(pow, 2, exponent) for exponent in (3, 4)]
        failing, returning = executor.submit(divmod, 1, 0), executor.submit(open, __file__)
        assert [power.result() for power in powers] == [8, 16]
        with pytest.raises(ZeroDivisionError):
            failing.result()
        with pytest.raises(TypeError):  # a file cannot be sent back
            returning.result()
        in_place = executor.submit(lambda n: n + 1, 2)
        assert in_place.result() == 3
        cancelled = executor.submit(pow, 2, 5)
        assert cancelled.cancel()
        with pytest.raises(WorkerLostError):
            cancelled.result()
    finally:
        executor.close()


@pytest.mark.heavy  # for its time: each attempt costs a process
def test_a_run_that_always_ends_its_worker_fails_and_the_others_are_made(tmp_path):
    recipe = tmp_path / "deadly.py"
    recipe.write_text(
        "import os, signal\n"
        "import learnrate as lr\n"
        "class Deadly(lr.Trainable):\n"
        "    def __init__(self, seed): self.seed = seed\n"
        "    def update(self, lr):\n"
        "        if self.seed == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return 1.0\n"
        "    def save(self): return None\n"
        "    def restore(self, state): pass\n"
        "def recipe(): return lr.Recipe(Deadly, updates=3)\n"
    )
    executor = Processes(1)
    executor.attempts = 2  # each costs a process
    comparison = lr.compare({"constant": "constant(0.1)"}, recipe, seeds=3, executor=executor)
    executor.close()
    assert len(comparison["constant"].trainings) == 2
    assert re.search(facts("2 attempts", "signal 9"), comparison["constant"].failures[1].error)


@pytest.mark.slow
def test_a_script_without_a_guard_of_its_own_work_says_so(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import learnrate as lr\n"
        "from learnrate.study.executors import Processes\n"
        "from learnrate.study.executors.executor import WorkerLostError\n"
        "executor = Processes(1)\n"
        "try:\n"
        "    executor.submit(pow, 2, 3).result()\n"
        "except WorkerLostError as error:\n"
        "    print('told:', error)\n"
        "executor.close()\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert "__main__" in ended.stdout, ended.stderr
    assert "exit code 1" in ended.stdout
