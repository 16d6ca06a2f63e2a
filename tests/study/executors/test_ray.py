"""A Ray cluster of two nodes in processes of their own: the same study as on a pool, whatever becomes of its parts."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import ExecutorError, LearnrateWarning
from learnrate.study.executors import Ray, ray_nodes
from learnrate.study.running.run import Key, Run, make
from learnrate.study.running.source import source_of

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves the logs of its processes open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def started():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    return cluster


@pytest.fixture(scope="module")
def cluster():
    cluster = started()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def executor(cluster):
    executor = Ray(cluster.address)
    yield executor
    executor.close()
    assert not ray.is_initialized()


def test_a_worker_that_is_killed_costs_only_its_run(executor, study, serial, compared):
    assert executor.workers == 2
    study.set(pause=0.02, signal=signal.SIGKILL)
    messages = []
    comparison = study.make(executor, progress=messages.append)
    assert study.was_ended
    assert compared(comparison) == serial
    assert {str(message.key) for message in messages} >= {"constant, seed 0", "cosine, seed 0"}
    on_a_pool = lr.compare(study.arms, study.recipe, executor=2, **study.options)
    assert compared(on_a_pool) == serial


def test_objects_are_shipped(executor, compared):
    class Descent(lr.Trainable):  # of a function: another process cannot import it
        def __init__(self, seed):
            self.weight = 1.0 + seed

        def update(self, lr):
            self.weight -= lr * self.weight
            return self.weight**2

        def save(self):
            return self.weight

        def restore(self, state):
            self.weight = state

    recipe = lr.Recipe(Descent, updates=20)
    arms = {"constant": lr.constant(0.1), "custom": lr.custom(0.1, 0.0, lambda p: p**3, 20)}
    assert compared(lr.compare(arms, recipe, executor=executor, seeds=2)) == compared(lr.compare(arms, recipe, seeds=2))


SIBLING = """
import learnrate as lr

class Flat(lr.Trainable):
    def __init__(self, seed): pass
    def update(self, lr): return 1.0
    def save(self): pass
    def restore(self, state): pass
"""

RECIPE = """
import its_sibling
import learnrate as lr

def recipe(): return lr.Recipe(its_sibling.Flat, updates=3)
"""


def test_modules_beside_a_recipe_are_shipped(cluster, tmp_path):
    (tmp_path / "its_sibling.py").write_text(SIBLING)
    (tmp_path / "recipe.py").write_text(RECIPE)
    run = Run(Key("flat", 0), source_of(tmp_path / "recipe.py"), lr.constant(0.1), 3)
    executor = Ray(cluster.address, runtime_env={"working_dir": str(tmp_path)})
    with pytest.raises(ValueError, match=facts("runtime_env", "ray.init")):
        Ray(runtime_env={"working_dir": str(tmp_path)})
    for file in list(tmp_path.glob("*.py")):  # a worker on another machine has none of them
        file.unlink()
    ended = executor.submit(make, run, executor.report).result()
    executor.close()
    assert getattr(ended.result, "losses", ended.result) == (1.0, 1.0, 1.0)


def test_a_run_goes_on_without_the_actor_that_takes_its_messages(executor, study, serial, compared):
    study.set(pause=0.02)

    def kill_actor(message):
        ray.kill(executor._messages._actor, no_restart=True)

    assert compared(study.make(executor, progress=kill_actor)) == serial


def test_a_node_that_is_lost_and_one_that_comes(cluster, executor, study, serial, compared, waiting):
    study.set(pause=0.1)
    numbers = [executor.workers]
    node = next(iter(cluster.worker_nodes))

    # In a thread, because Ray starts nodes in the main thread only.
    with ThreadPoolExecutor(1) as driver:
        making = driver.submit(study.make, executor, progress=lambda message: numbers.append(executor.workers), seeds=6)
        try:
            waiting(lambda: len(study.workers()) == 2, "runs on both nodes")
            cluster.remove_node(node, allow_graceful=False)
            waiting(lambda: numbers[-1] == 1, "one worker less")
            cluster.add_node(**NODE)
            waiting(lambda: numbers[-1] == 2, "one worker more")
        finally:
            study.set()
        comparison = making.result(timeout=90)
    assert [numbers[0], min(numbers), numbers[-1]] == [2, 1, 2]
    assert {key: run for key, run in compared(comparison).items() if key[1] < 3} == serial


def test_an_interrupted_study_cancels_its_runs_and_goes_on(cluster, study, serial, compared, alive, waiting):
    study.set(pause=0.1)
    assert "interrupted" in study.interrupt("ray", cluster.address)
    waiting(lambda: not any(map(alive, study.workers())), "the workers have ended")
    study.set()
    assert compared(study.make()) == serial


def test_tasks_end_when_their_driver_is_killed(cluster, study, alive, waiting):
    study.set(pause=1.0)
    driver = study.begin("ray", cluster.address)
    try:
        waiting(study.workers, "a run in progress")
    finally:
        driver.kill()
        driver.communicate()
    waiting(lambda: not any(map(alive, study.workers())), "the workers have ended", seconds=30)


def test_shares_of_nodes(cluster, executor):
    assert Ray(num_cpus=0.5).workers == 4
    with pytest.warns(LearnrateWarning, match=facts("1 GPU")):
        assert Ray(num_gpus=1).workers == 1
    for wrong in ({"num_cpus": -1}, {"num_gpus": 1.5}, {"retries": -1}, {"num_cpus": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Ray(**wrong)
    with pytest.raises(TypeError, match="runtime_env"):
        Ray(runtime_env="folder")


def test_what_is_no_cluster_is_refused_at_once(cluster):
    with pytest.raises(ExecutorError, match=facts("127.0.0.1:9")):
        Ray("127.0.0.1:9")
    with pytest.raises(ValueError, match=facts("address", "ray://")):
        Ray("ray://127.0.0.1:10001")
    assert not ray.is_initialized()


def test_a_head_that_is_lost_ends_the_study_in_one_line_and_the_next_head_goes_on(
    cluster, study, serial, compared, monkeypatch
):
    monkeypatch.setattr(ray_nodes, "HEAD_PATIENCE", 3.0)
    study.set(pause=0.1)
    first = Ray(cluster.address)
    try:
        with pytest.raises(ExecutorError, match=facts("head", cluster.address, "started again")):
            study.make(first, progress=lambda message: cluster.head_node.kill_gcs_server(check_alive=False))
    finally:
        first.close()  # within a minute: Ray ends a process that waits longer for its head
        cluster.shutdown()
    other = started()
    study.set()
    second = Ray(other.address)
    try:
        assert compared(study.make(second)) == serial
    finally:
        second.close()
        other.shutdown()


def test_a_cluster_of_its_own_is_shut_down(study, serial, compared):
    assert compared(study.make("ray")) == serial
    assert not ray.is_initialized()
