"""Executors of other libraries, and what is refused."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from facts import facts
from learnrate.errors import ExecutorError
from learnrate.study.executors import as_executor


def test_threads_and_forks_are_refused():
    with ThreadPoolExecutor(2) as threads, pytest.raises(ValueError, match=facts("random numbers", "executor=N")):
        as_executor(threads).__enter__()
    with (
        ProcessPoolExecutor(1, mp_context=get_context("fork")) as forks,
        pytest.raises(ValueError, match=facts("fork", "spawn")),
    ):
        as_executor(forks).__enter__()


def test_a_single_thread_is_as_good_as_none(study, serial, compared):
    with ThreadPoolExecutor(1) as thread:
        assert compared(study.make(thread)) == serial
        assert thread.submit(pow, 2, 3).result() == 8


@pytest.mark.slow
def test_a_pool_of_the_user_that_breaks_ends_the_study_in_one_line(study, serial, compared):
    import signal

    study.set(signal=signal.SIGKILL)
    said = facts("ProcessPoolExecutor", "BrokenProcessPool", "started again")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(ExecutorError, match=said):
        study.make(pool)
    assert study.was_ended
    assert compared(study.make()) == serial


def test_names():
    with pytest.raises(ValueError, match=facts("executor", "slurm", "processes", "ray")):
        as_executor("slurm").__enter__()
    for wrong in (True, 1.5, object(), ThreadPoolExecutor):
        with pytest.raises(TypeError, match="executor"):
            as_executor(wrong).__enter__()
    with pytest.raises(ValueError, match="executor"):
        as_executor(0).__enter__()


@pytest.mark.slow
def test_a_library_that_is_missing_is_named_with_its_extra():
    program = (
        "import sys\n"
        "for name in ('ray', 'distributed', 'submitit'): sys.modules[name] = None\n"
        "from learnrate.study.executors import Dask, Ray, Submitit\n"
        "for make in (Ray, Dask, lambda: Submitit('folder')):\n"
        "    try: make()\n"
        "    except ImportError as error: print(error.name, error)\n"
    )
    lines = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ray", "distributed", "submitit"]
    assert all(f"learnrate[{extra}]" in line for extra, line in zip(("ray", "dask", "submitit"), lines, strict=True))
