"""Fixtures of all tests, and the order in which they run."""

import gc
import os
import shutil
import sys
import tempfile

# Before the first import of jax: most programs that a test, a page or a process compiles, another one has compiled already.
# Each worker has a folder of its own, because JAX writes the entries in place, where another worker could read half of one.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="learnrate-jax-")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# Before the first import of keras, whose own default is TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "torch")

import hypothesis
import matplotlib
import pytest
import torch

import keras_backends
import launches
import learnrate as lr
from background import Background
from command_line import ForkServer

matplotlib.use("Agg")
# Time limits per example would fail on a busy machine; a fixed seed makes a red run repeatable.
hypothesis.settings.register_profile("learnrate", deadline=None, derandomize=True, max_examples=100)
hypothesis.settings.load_profile("learnrate")
# Two workers share two cores.
torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the modules of all frameworks from the collector of garbage: each of its passes would take half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# Fixtures that start processes: all tests that use one run in the same worker, which starts them once.
SHARED = ("launched", "browser", "commands")

# Groups of tests that wait for programs in the background.
WAITING = {"launched", "keras"}


def pytest_itemcollected(item):
    # Here, because xdist reads the groups before the hook that orders the tests is called.
    for name in SHARED:
        if name in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(name))
            if name != "commands":
                item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items):
    # The slow ones first, so that no worker is alone with one of them at the end; last of them those that wait for programs.
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, group_of(item) in WAITING))


def group_of(item):
    """The tests that run in the same worker; None for a test that may run in any."""
    mark = item.get_closest_marker("xdist_group")
    return mark.args[0] if mark else None


def pytest_collection_finish(session):
    """Start the programs that the chosen tests wait for: once, in the first worker."""
    config = session.config
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0" or config.option.collectonly:
        return
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    background, programs = background_of(config), []
    if "launched" in used:
        programs += launches.programs(background, sizes=sorted({processes_of(item) for item in session.items} - {None}))
    if "both_backends" in used:
        programs += keras_backends.programs(background, strict="error" in config.getini("filterwarnings"))
    if programs:
        background.start(programs, os.getppid() if hasattr(config, "workerinput") else os.getpid())


def processes_of(item):
    """The number of processes whose outcomes a test looks at; None if of none."""
    if "launched" not in getattr(item, "fixturenames", ()):
        return None
    return item.callspec.params.get("processes", 2) if hasattr(item, "callspec") else 2


def background_of(config):
    """The programs in the background of this run of pytest."""
    return Background(getattr(config, "workerinput", {"testrunuid": os.getpid()})["testrunuid"])


@pytest.fixture(scope="session")
def background(pytestconfig):
    """The programs that run beside the tests."""
    return background_of(pytestconfig)


def pytest_unconfigure():
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def no_open_figures():
    """Close what a test leaves open in pyplot: other tests look at the list of open figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def commands():
    """Runs the command line and scripts in processes that need not import torch."""
    server = ForkServer()
    yield server
    server.close()


class Toy:
    """A small classification task with everything that training changes: batch norm, dropout, an optimizer with state."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.inputs = torch.randn(256, 6)
        self.targets = (self.inputs[:, :3].sum(1) > 0).long()
        self.model = torch.nn.Sequential(
            torch.nn.Linear(6, 16),
            torch.nn.BatchNorm1d(16),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.1),
            torch.nn.Linear(16, 2),
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        data = torch.utils.data.TensorDataset(self.inputs, self.targets)
        self.batches = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
        self.loss = torch.nn.CrossEntropyLoss()

    def accuracy(self, model):
        model.eval()
        return float((model(self.inputs).argmax(1) == self.targets).double().mean())

    def range_test(self, **changes):
        """The range test of the toy, with other arguments than its own where they are given."""
        arguments = [changes.pop(name, getattr(self, name)) for name in ("model", "optimizer", "batches", "loss")]
        return lr.torch.range_test(*arguments, **changes)

    def train(self, updates, scheduler=None):
        """Train by hand, as a user's own loop does."""
        stream = iter(self.batches)
        for _ in range(updates):
            try:
                inputs, targets = next(stream)
            except StopIteration:
                stream = iter(self.batches)
                inputs, targets = next(stream)
            self.optimizer.zero_grad()
            self.loss(self.model(inputs), targets).backward()
            self.optimizer.step()
            if scheduler is not None:
                scheduler.step()


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def new_toy():
    return Toy
