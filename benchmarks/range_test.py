"""The cost of a range test: time and memory compared with a bare loop of the same updates, here and in other libraries.

    make bench-range-test
    python benchmarks/range_test.py [--rounds 9] [--without-peers]

Writes benchmarks/results/range_test.json; `python docs/make.py` writes its section of docs/benchmarks.md from it.
"""

import argparse
import contextlib
import functools
import gc
import io
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import torch
from measure import Work, in_rounds, keep, ratios, seconds, spread
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader

import learnrate as lr

UPDATES = 200
# More than a sweep needs, so that no contender starts the data again.
BATCHES = 256
# With random targets no loss diverges at these LRs, so every sweep is complete.
LOW, HIGH = 1e-7, 1e-3

PEERS = {"pytorch-lr-finder": "torch-lr-finder", "Lightning": "lightning", "fastai": "fastai"}
"""Packages by their name in the table."""


@dataclass(frozen=True)
class Size:
    """A model whose update takes about this time, and the target for its range test."""

    name: str
    batch: int
    features: int
    width: int
    layers: int
    target: float
    runs: int
    """Number of runs in a round, whose median is its figure: one interruption can spoil a short run."""

    def __str__(self) -> str:
        return f"MLP of {self.layers} hidden layers of {self.width}, batches of {self.batch} times {self.features}"


SIZES = (Size("0.35 ms", 64, 64, 88, 2, 1.15, 7), Size("4 ms", 128, 256, 480, 3, 1.02, 3))

CLASSES = 10
CRITERION = nn.CrossEntropyLoss()


def perceptron(size: Size) -> nn.Module:
    """A new model from the same seed each time."""
    torch.manual_seed(0)
    widths = [size.features, *[size.width] * size.layers]
    hidden = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(size.width, CLASSES))


def loader_for(size: Size) -> DataLoader:
    """The same for every contender. The batches are collated in advance: collating takes longer than what is measured."""
    torch.manual_seed(1)
    inputs, targets = torch.randn(BATCHES, size.batch, size.features), torch.randint(CLASSES, (BATCHES, size.batch))
    return DataLoader(list(zip(inputs, targets, strict=True)), batch_size=None, num_workers=0)


# Prepares a contender outside the timing and returns the work that is timed.
Prepare = Callable[[nn.Module, torch.optim.Optimizer, DataLoader], Work]


def bare_loop(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader) -> Work:
    """The same updates with a list of losses, and nothing else."""

    def work() -> list[float]:
        losses = []
        model.train()
        for inputs, target in islice(loader, UPDATES):
            optimizer.zero_grad()
            loss = CRITERION(model(inputs), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return work


def learnrate_range_test(model: nn.Module, optimizer: torch.optim.Optimizer, loader: Any, updates: int = UPDATES) -> Work:
    """The range test of learnrate."""
    sweep: dict[str, Any] = {"low": LOW, "high": HIGH, "updates": updates, "stop": None}
    return functools.partial(lr.torch.range_test, model, optimizer, loader, CRITERION, **sweep)


def pytorch_lr_finder() -> Prepare:
    """Its constructor copies the state and `reset` restores it; both are timed, as they are for learnrate."""
    from torch_lr_finder import LRFinder

    def prepare(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader) -> Work:
        def work() -> None:
            finder = LRFinder(model, optimizer, CRITERION)
            finder.range_test(loader, start_lr=LOW, end_lr=HIGH, num_iter=UPDATES, diverge_th=float("inf"))
            finder.reset()

        return work

    return prepare


def lightning(folder: str) -> Prepare:
    """A user has a trainer before the range test, so it is created outside the timing."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.tuner import Tuner

    class Module(LightningModule):
        def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
            super().__init__()
            self.model, self.optimizer = model, optimizer

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            inputs, target = batch
            return CRITERION(self.model(inputs), target)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return self.optimizer

    quiet = ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary")
    off = dict.fromkeys(quiet, False)
    sweep = {"min_lr": LOW, "max_lr": HIGH, "num_training": UPDATES, "early_stop_threshold": None}

    def prepare(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader) -> Work:
        trainer = Trainer(accelerator="cpu", max_epochs=1, default_root_dir=folder, **off)
        module = Module(model, optimizer)
        # Without updating the model's LR, which would analyse the curve; no other contender does here.
        return functools.partial(Tuner(trainer).lr_find, module, loader, update_attr=False, **sweep)

    return prepare


def fastai(folder: str) -> Prepare:
    """Its learner is created outside the timing. It suggests no LR, because no contender analyses the curve here."""
    import fastai.callback.schedule  # noqa: F401  gives Learner its lr_find
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    sweep = {"start_lr": LOW, "end_lr": HIGH, "num_it": UPDATES, "stop_div": False}

    def prepare(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader) -> Work:
        def wrapped(*_: Any, **__: Any) -> Any:
            return OptimWrapper(opt=optimizer)

        learner = Learner(DataLoaders(loader, loader), model, loss_func=CRITERION, opt_func=wrapped, path=folder)

        def work() -> None:
            with learner.no_bar():
                learner.lr_find(show_plot=False, suggest_funcs=None, **sweep)

        return work

    return prepare


def contenders(folder: str, with_peers: bool) -> dict[str, Prepare]:
    """All contenders, the bare loop first.

    Raises:
        ImportError: if a peer is not installed.
    """
    ours: dict[str, Prepare] = {"bare loop": bare_loop, "learnrate": learnrate_range_test}
    if not with_peers:
        return ours
    from tqdm import tqdm

    # The finders of two peers always draw progress bars. It is too late for the variable TQDM_DISABLE, because torch has
    # imported tqdm already.
    tqdm.__init__ = functools.partialmethod(tqdm.__init__, disable=True)
    return ours | {"pytorch-lr-finder": pytorch_lr_finder(), "Lightning": lightning(folder), "fastai": fastai(folder)}


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress the greetings, logs and warnings of the peers."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield


def prepared(prepare: Prepare, size: Size, loader: DataLoader) -> Work:
    """The work of a contender on a new model."""
    model = perceptron(size)
    return prepare(model, torch.optim.SGD(model.parameters(), lr=LOW, momentum=0.9), loader)


def check_updates(name: str, prepare: Prepare, size: Size, loader: DataLoader) -> None:
    """Check that a contender makes exactly the updates that its time is divided by."""
    updates = 0

    def count(*_: Any) -> None:
        nonlocal updates
        updates += 1

    hook = register_optimizer_step_post_hook(count)
    with silence():
        prepared(prepare, size, loader)()
    hook.remove()
    if updates != UPDATES:
        sys.exit(f"error: {name} made {updates} updates, not {UPDATES}: its time is not comparable")


def time_of(prepare: Prepare, size: Size, loader: DataLoader) -> float:
    """Median time of a run in seconds."""

    def time_once() -> float:
        work = prepared(prepare, size, loader)
        gc.collect()
        return seconds(work)

    with silence():
        return statistics.median(time_once() for _ in range(size.runs))


def overheads(size: Size, rounds: int, contenders: dict[str, Prepare]) -> dict[str, Any]:
    """The time of every contender as a multiple of the bare loop, in the same rounds."""
    loader = loader_for(size)
    for name, prepare in contenders.items():
        check_updates(name, prepare, size, loader)
    measures = {name: functools.partial(time_of, prepare, size, loader) for name, prepare in contenders.items()}
    figures = in_rounds(rounds, **measures)
    multiples = {name: ratios(figures, name, "bare loop") for name in figures if name != "bare loop"}
    return {
        "name": size.name,
        "what": str(size),
        "update_ms": spread([time / UPDATES * 1e3 for time in figures["bare loop"]]),
        "target": size.target,
        "reached": statistics.median(multiples["learnrate"]) <= size.target,
        "ratios": {name: spread(values) for name, values in multiples.items()},
        "seconds": {name: [round(time, 6) for time in values] for name, values in figures.items()},
    }


def memory() -> dict[str, float]:
    """Peaks of a process that does nothing else, as multiples of the state: tracemalloc does not trace torch."""
    model = nn.Sequential(*(nn.Linear(4096, 4096, bias=False) for _ in range(3)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LOW)
    batches = [(torch.randn(8, 4096), torch.randint(4096, (8,)))]

    def train(updates: int = 10) -> None:
        for _ in range(updates):
            optimizer.zero_grad()
            CRITERION(model(batches[0][0]), batches[0][1]).backward()
            optimizer.step()
        optimizer.zero_grad()

    def preserve() -> None:
        with lr.torch.preserve(model, optimizer):
            pass

    train()
    sweep = learnrate_range_test(model, optimizer, batches, updates=10)
    sweep()
    tensors = [*model.parameters(), *(value for state in optimizer.state.values() for value in state.values())]
    size = sum(tensor.nbytes for tensor in tensors)
    peaks = {name: peak(work) / size for name, work in {"loop": train, "sweep": sweep, "preserve": preserve}.items()}
    return {"state_mib": size / 2**20, "preserve": peaks["preserve"], "range_test": peaks["sweep"] - peaks["loop"]}


def peak(work: Work) -> int:
    """Bytes by which the resident memory of the process grows at most."""
    gc.collect()
    # 5 resets the high-water mark: proc_pid_clear_refs(5).
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    work()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """A memory figure of the process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def memory_in_a_process() -> dict[str, float] | None:
    """`memory` in a new process; None if the system has no high-water mark."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, __file__, "--memory"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_table(models: list[dict[str, Any]], used: dict[str, float] | None) -> None:
    """The results, on the terminal."""
    for model in models:
        print(f"\n{model['what']}: {model['update_ms']['median']:.3f} ms an update")
        print(f"  {'over the bare loop':<20} {'median':>7}   range")
        for name, ratio in model["ratios"].items():
            print(f"  {name:<20} {ratio['median']:>7.3f}   {ratio['min']:.3f} to {ratio['max']:.3f}")
        print(f"  target of learnrate  {model['target']:>7.3f}   {'reached' if model['reached'] else 'NOT REACHED'}")
    if used is not None:
        print(f"\nmemory, as multiples of {used['state_mib']:.0f} MiB of weights and AdamW state")
        print(f"  range test over the bare loop {used['range_test']:.3f}; preserve alone {used['preserve']:.3f}")


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds, at least 7")
    parser.add_argument("--without-peers", action="store_true", help="measure only learnrate, and write no record")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 7:
        parser.error(f"--rounds must be at least 7, received {arguments.rounds}")
    torch.set_num_threads(1)
    if arguments.memory:
        print(json.dumps(memory()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            with silence():
                measured = contenders(folder, not arguments.without_peers)
        except ImportError as error:
            remedy = "`make bench-range-test` installs the peers into .venv-bench and runs this there"
            print(f"error: {error}: {remedy}; --without-peers measures only learnrate", file=sys.stderr)
            return 2
        models = [overheads(size, arguments.rounds, measured) for size in SIZES]
    used = memory_in_a_process()
    print_table(models, used)
    if not arguments.without_peers:
        packages = ("learnrate", "torch", *PEERS.values())
        content = {"rounds": arguments.rounds, "updates": UPDATES, "models": models, "memory": used}
        print(f"\nwritten: {keep('range_test', packages, **content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
