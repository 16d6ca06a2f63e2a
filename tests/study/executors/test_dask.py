"""A Dask cluster of real processes: the same study as one run after the other."""

import signal
import warnings

import dask
import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import ExecutorError
from learnrate.study.executors import Dask

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask")]


@pytest.fixture(scope="module")
def client():
    """Two workers with two threads each: runs in threads of one process would change each other's random numbers."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0", silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_client_of_the_user_makes_the_same_study_also_when_a_worker_is_killed(client, study, serial, compared):
    study.set(pause=0.002, signal=signal.SIGKILL)
    messages = []
    assert compared(study.make(client, progress=messages.append)) == serial
    assert study.was_ended
    assert {message.key.seed for message in messages} == {0, 1, 2}
    assert client.status == "running"
    client.wait_for_workers(2, timeout=60)


def test_runs_that_are_cancelled_end(client, waiting):
    client.wait_for_workers(2, timeout=60)
    executor = Dask(client)
    assert executor.workers == 2
    future = executor.submit(report_for_ever, executor.report)
    waiting(executor.messages, "the run reports")
    future.cancel()
    waiting(lambda: not any(client.processing().values()), "the run has ended")
    executor.messages()
    assert executor.submit(pow, 2, 3).result() == 8
    executor.close()
    assert Dask(client, workers=7).workers == 7


@pytest.mark.heavy  # for its time
def test_runs_end_when_their_driver_is_killed(client, study, waiting):
    study.set(pause=0.5)  # half a minute for a run
    driver = study.begin("dask", client.scheduler.address)
    try:
        waiting(study.workers, "a run in progress")
    finally:
        driver.kill()
        driver.communicate()
    executor = Dask(client, workers=1)
    assert executor.submit(pow, 2, 3).result() == 8
    waiting(lambda: not any(client.run(is_busy).values()), "the run has ended", seconds=10)
    executor.close()


def is_busy():
    from learnrate.study.executors import dask

    return dask._turn.locked()


def report_for_ever(report):
    import time

    while True:
        report(lr.study.running.run.Message(lr.study.running.run.Key("arm", 0), 1, 2, 0.5))
        time.sleep(0.02)


def test_a_cluster_that_is_gone_ends_the_study_in_one_line(study, serial, compared):
    study.set(pause=0.02)
    cluster = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50)
    client = distributed.Client(cluster)

    def close(comparison):
        cluster.close()
        client.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ExecutorError, match=facts("Dask", "started again")):
            study.make(client, on_result=close)
    study.set()
    comparison = study.make()
    assert compared(comparison) == serial


def test_what_is_no_scheduler_is_refused():
    with pytest.raises(TypeError, match="client"):
        Dask(3)
    with (
        pytest.raises(ExecutorError, match=facts("127.0.0.1:9")),
        dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}),
    ):
        Dask("tcp://127.0.0.1:9")
