"""Jobs of submitit, as real processes of this machine: the same study as one run after the other."""

import signal

import pytest

from facts import facts
from learnrate.study.executors import Submitit

submitit = pytest.importorskip("submitit")


def executor_in(folder):
    executor = submitit.AutoExecutor(folder=folder / "jobs", cluster="local")
    executor.update_parameters(timeout_min=2)
    return executor


@pytest.mark.parametrize(
    ("end", "jobs"),
    [
        # submitit waits 15 seconds for the result of a job that ended without one.
        pytest.param(signal.SIGKILL, 3, marks=pytest.mark.heavy, id="killed"),
        pytest.param(signal.SIGUSR2, 2, marks=pytest.mark.slow, id="queued again"),
    ],
)
def test_a_job_that_ends_early_costs_only_its_run(study, serial, compared, end, jobs):
    # The second signal is what Slurm sends before the time of a job is over: submitit queues the job again by itself.
    study.set(signal=end)
    comparison = study.make(executor_in(study.folder), seeds=[1])
    assert study.was_ended
    assert compared(comparison) == {key: run for key, run in serial.items() if key[1] == 1}
    assert len(list((study.folder / "jobs").glob("*_submitted.pkl"))) == jobs


def test_parameters_are_checked(tmp_path):
    with pytest.raises(ValueError, match=facts("submitit", "slurm_partitian")):
        Submitit(tmp_path, cluster="local", slurm_partitian="gpu")
    with pytest.raises(ValueError, match="timeout_min"):
        Submitit(executor_in(tmp_path), timeout_min=3)
    with pytest.raises(ValueError, match="tasks_per_node"):
        Submitit(tmp_path, cluster="local", tasks_per_node=2)
    with pytest.raises(TypeError, match="executor"):
        Submitit(3)
    assert Submitit(tmp_path, cluster="local", workers=5).workers == 5
    slurm = submitit.SlurmExecutor(tmp_path) if submitit.SlurmExecutor.affinity() > 0 else None
    assert slurm is None or Submitit(slurm).workers == 32
