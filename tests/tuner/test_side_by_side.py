"""tune() with an executor: the same trials and the same plan as without it."""

import itertools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate.recipes.loading import load
from learnrate.study.executors import Here, Processes
from trainables import NotFinite, Quadratic, Regression, check_reasons

WAYS = ("An executor trained", "The trials ran one by one", "Several trials at a time")


def regression(seed):
    return Regression(epoch=20 + seed)


def steep(seed):
    return Quadratic(seed=seed, curvature=300.0, noise=3.0)


def network():
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(16, 1))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def shuffled():
    inputs = torch.randn(256, 4)
    data = torch.utils.data.TensorDataset(inputs, inputs.square().sum(1, keepdim=True))
    return torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)


def distance(model):
    torch.manual_seed(3)
    inputs = torch.randn(64, 4)
    return -float((model.eval()(inputs) - inputs.square().sum(1, keepdim=True)).abs().mean())


RECIPES = {
    "regression": lr.Recipe(regression, updates=400),
    "steep": lr.Recipe(steep, updates=1000),
    "network": lr.torch.Recipe(network, sgd, shuffled, torch.nn.MSELoss(), distance, updates=300, metric="nearness"),
}


class Patient:
    """Processes that end what they have begun: a worker that is ended would have to import torch again."""

    def __init__(self, executor):
        self.executor, self.workers = executor, executor.workers

    def submit(self, function, *arguments):
        future = self.executor.submit(function, *arguments)
        future.cancel = lambda: None
        return future


@pytest.fixture(scope="module")
def pool():
    executor = Processes(2)
    yield Patient(executor)
    executor.close()


def plan_of(recipe, executor=None, seed=0, **options):
    return lr.tune(recipe.trainable(seed), updates=recipe.updates, executor=executor, **options)


def same(plan, other):
    """Whether two plans differ in nothing but in how trials ran."""
    trials, others = (
        tuple(sentence for sentence in side.reasons.trials if not sentence.startswith(WAYS)) for side in (plan, other)
    )
    reasons = replace(plan.reasons, trials=()) == replace(other.reasons, trials=())
    return trials == others and reasons and replace(plan, reasons=other.reasons) == other


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_processes_give_the_same_plan(name, pool):
    plan, alone = plan_of(RECIPES[name], pool), plan_of(RECIPES[name])
    assert [trial.max_lr for trial in plan.trials] == [trial.max_lr for trial in alone.trials]
    assert same(plan, alone)
    assert len(plan.trials) > 2
    assert any("executor" in reason for reason in plan.reasons.trials)
    check_reasons(plan)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", [None, ["one_cycle", "wsd"]])
@pytest.mark.parametrize("workers", [1, 4])
def test_trials_that_are_not_needed_change_nothing(seed, family, workers):
    executor = Here()
    executor.workers = workers
    recipe = RECIPES["steep" if seed else "regression"]
    assert same(plan_of(recipe, executor, seed, family=family), plan_of(recipe, None, seed, family=family))


class Counting:
    """An executor of somebody else, which makes a call when its result is asked for."""

    def __init__(self, max_workers=None):
        self.calls, self.events, self.cancelled = [], [], 0
        if max_workers:
            self._max_workers = max_workers

    def submit(self, function, *arguments):
        self.calls.append(arguments)
        self.events.append(("begun", tuple(arguments[1])))
        return Lazy(self, function, arguments)


class Lazy:
    def __init__(self, executor, function, arguments):
        self.executor, self.function, self.arguments, self.value = executor, function, arguments, None

    def done(self):
        return self.value is not None

    def result(self):
        self.executor.events.append(("asked", tuple(self.arguments[1])))
        self.value = self.value or pickle.loads(pickle.dumps(self.function))(*self.arguments)
        return self.value

    def cancel(self):
        self.executor.cancelled += 1


def test_what_was_begun_and_not_needed_is_told_and_given_back():
    executor = Counting(max_workers=4)
    plan = plan_of(RECIPES["steep"], executor)
    more = len(executor.calls) - len(plan.trials)
    assert more > 0
    assert executor.cancelled == more
    updates = sum(len(lrs) for _, lrs, _ in executor.calls) - sum(trial.updates for trial in plan.trials)
    assert any(f"not needed: {more} ({updates} updates)" in reason for reason in plan.reasons.trials)
    assert plan.spent == plan_of(RECIPES["steep"]).spent


def test_a_search_is_foreseen_often_enough_to_save_time():
    """Half of the trials after the first are in progress before they are asked for."""
    foreseen = trials = 0
    for name, seed in itertools.product(("regression", "steep"), range(3)):
        executor = Counting(max_workers=3)
        plan = plan_of(RECIPES[name], executor, seed)
        trials += len(plan.trials) - 1
        asked = [place for place, (what, _) in enumerate(executor.events) if what == "asked"]
        begun = {lrs: place for place, (what, lrs) in enumerate(executor.events) if what == "begun"}
        foreseen += sum(begun[executor.events[place][1]] < before for before, place in itertools.pairwise(asked))
    assert foreseen >= trials / 2


def test_an_error_of_a_trial_is_raised_as_without_an_executor():
    recipe = lr.Recipe(lambda seed: NotFinite(finite=1), updates=300)
    with pytest.raises(lr.errors.NoAnswerError) as alone:
        plan_of(recipe)
    with pytest.raises(lr.errors.NoAnswerError) as parallel:
        plan_of(recipe, Here())
    assert str(alone.value) == str(parallel.value)


class Failing(Quadratic):
    def update(self, lr):
        raise RuntimeError("no memory")


kinds = itertools.count()


def fails_in_workers(seed):
    return Failing() if next(kinds) else Quadratic()


def test_what_a_worker_raises_is_raised():
    with pytest.raises(RuntimeError, match="no memory"):
        plan_of(lr.Recipe(fails_in_workers, updates=1000), Here())


def test_a_training_that_no_worker_can_build_again_is_refused():
    trainable = RECIPES["regression"].trainable(0)
    for _ in range(5):
        trainable.update(0.1)
    with pytest.raises(ValueError, match=facts("first loss", "recipe")):
        lr.tune(trainable, updates=400, executor=Here())


def test_a_training_without_a_recipe_travels_whole(pool):
    trainable = Regression()
    for _ in range(5):
        trainable.update(0.1)
    before = pickle.dumps(trainable.save())
    plan = lr.tune(trainable, updates=400, executor=pool)
    assert pickle.dumps(trainable.save()) == before
    assert same(plan, lr.tune(trainable, updates=400))


RECIPE_FILE = """
import random
import learnrate as lr

class Bowl(lr.Trainable):
    def __init__(self, seed):
        self.random, self.weight = random.Random(seed), 3.0
    def update(self, lr):
        loss = self.weight**2
        self.weight -= lr * (2 * self.weight + 0.1 * self.random.gauss(0, 1))
        return loss
    def save(self):
        return self.weight, self.random.getstate()
    def restore(self, state):
        self.weight = state[0]
        self.random.setstate(state[1])

def recipe():
    return lr.Recipe(lambda seed: Bowl(seed), updates=300)
"""


@pytest.mark.slow
def test_the_recipe_of_a_file_travels_with_its_code(pool, tmp_path):
    (tmp_path / "bowl.py").write_text(RECIPE_FILE)
    recipe = load(tmp_path / "bowl.py")
    assert same(plan_of(recipe, pool), plan_of(recipe))


def test_a_curve_of_the_user_may_come_from_other_batches():
    curve = lr.range_test(RECIPES["regression"].trainable(7), updates=60)
    plans = [plan_of(RECIPES["regression"], executor, curve=curve, budget=0.4) for executor in (Here(), None)]
    assert same(*plans)


def test_threads_do_not_disturb_each_other():
    with ThreadPoolExecutor(3) as executor:
        assert same(plan_of(RECIPES["network"], executor), plan_of(RECIPES["network"]))


def test_what_cannot_be_pickled_is_one_clear_error():
    trainable = Regression()
    trainable.lock = threading.Lock()
    with pytest.raises(TypeError, match=facts("picklable", "Recipe")):
        lr.tune(trainable, updates=400, executor=Here())


@pytest.mark.parametrize("executor", [2, "processes", object()])
def test_what_is_no_executor_is_refused(executor):
    with pytest.raises(TypeError, match=facts("executor", "submit", "Processes")):
        plan_of(RECIPES["regression"], executor)


def test_a_budget_in_time_is_refused_with_an_executor():
    with pytest.raises(ValueError, match=facts("budget", "90 seconds", "executor")):
        plan_of(RECIPES["regression"], Here(), budget="90 seconds")


def test_an_interrupt_gives_back_what_was_submitted():
    class Interrupting(Counting):
        def submit(self, function, *arguments):
            if len(self.calls) == 4:
                raise KeyboardInterrupt
            return super().submit(function, *arguments)

    executor, trainable = Interrupting(max_workers=3), RECIPES["steep"].trainable(0)
    before = trainable.save()
    with pytest.raises(KeyboardInterrupt):
        lr.tune(trainable, updates=1000, executor=executor)
    assert executor.cancelled > 0
    assert trainable.save() == before
