"""What each process of a distributed test runs: scenarios, whose outcomes it writes to files.

Called by test_distributed.py under torchrun, with gloo: `worker_process.py FOLDER SCENARIO ... -- SCENARIO ...`. Scenarios
between two `--` run one after the other in a fork, in the same process group; one that breaks the group comes last there.
"""

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import learnrate as lr
from guarded import guarded
from steered_process import steered

UPDATES = 40
BREAKS_AT = 12
"""Number of the batch at which a fault occurs."""
SLOW = 4.0
"""Seconds of a slow process: more than `GRACE`, which learnrate gives a process to end after another has failed, and than
`PATIENCE`, after which processes compare what they wait for."""


class Net(nn.Module):
    """Batch norm and dropout, and a fault on request in the middle of the forward pass."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop, self.last = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 2)
        self.fault = None
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        if self.fault is not None and self.calls == BREAKS_AT:
            self.fault()
        return self.last(self.drop(torch.relu(self.norm(self.first(inputs)))))


def setting(rank, wrap):
    torch.manual_seed(0)
    model = Net()
    inputs = torch.randn(640, 6, generator=torch.Generator().manual_seed(1))
    targets = (inputs[:, :3].sum(1) > 0).long()
    shard = slice(rank, None, dist.get_world_size())
    batches = list(zip(inputs[shard].split(16), targets[shard].split(16), strict=True))
    if wrap == "ddp":
        trained = DistributedDataParallel(model)
    elif wrap == "fsdp":
        for layer in (model.first, model.last):
            fully_shard(layer)
        trained = fully_shard(model)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3)
    return model, trained, optimizer, batches


def fingerprint(model, optimizer):
    def digest(value):
        if isinstance(value, torch.Tensor):
            part = value.to_local() if hasattr(value, "to_local") else value
            return hashlib.sha256(part.detach().contiguous().numpy().tobytes()).hexdigest()
        return repr(value)

    state = [sorted((key, digest(entry)) for key, entry in entries.items()) for entries in optimizer.state.values()]
    return [
        sorted((name, digest(value)) for name, value in model.state_dict().items()),
        state,
        [p.grad is None for p in model.parameters()],
        [module.training for module in model.modules()],
        digest(torch.get_rng_state()),
    ]


def sweep(rank, wrap, fault=None, at=1, forward_after=False, again=False, **options):
    """A range test with a fault on rank `at`, on all ranks if that is None."""
    model, trained, optimizer, batches = setting(rank, wrap)
    source, loss = batches, nn.CrossEntropyLoss()
    if fault is not None and at in (rank, None):
        source, loss = fault(model, batches, loss)
    before = fingerprint(model, optimizer)
    start = time.monotonic()
    outcome = {}
    try:
        curve = lr.torch.range_test(trained, optimizer, source, loss, updates=UPDATES, high=1.0, seed=3, **options)
        outcome["curve"] = curve.as_record()
        bounds = curve.bounds()
        outcome["bounds"] = bounds.as_record() if bounds else repr(bounds)
    except BaseException as error:
        outcome["error"] = f"{type(error).__name__}: {error}"
        outcome["rank"] = getattr(error, "rank", None)
    outcome["seconds"] = time.monotonic() - start
    outcome["given back"] = fingerprint(model, optimizer) == before
    if again:
        outcome["again"] = second_call(trained, optimizer, batches)
    if forward_after:
        trained(batches[0][0])
    if fault is raising_while_the_other_is_slow:
        time.sleep(SLOW)  # an abandoned thread has ended by now
        outcome["given back"] = fingerprint(model, optimizer) == before
    return outcome


def second_call(trained, optimizer, batches):
    start = time.monotonic()
    try:
        lr.torch.range_test(trained, optimizer, batches, nn.CrossEntropyLoss(), updates=UPDATES)
    except RuntimeError as error:
        return {"error": f"{type(error).__name__}: {error}", "seconds": time.monotonic() - start}
    return {"error": "none", "seconds": time.monotonic() - start}


def large_loss(model, batches, loss):
    return batches, lambda m, b: 8 * loss(m(b[0]), b[1])


def nan_loss(model, batches, loss):
    calls = iter(range(10**6))
    return batches, lambda m, b: loss(m(b[0]), b[1]) * (float("nan") if next(calls) == BREAKS_AT else 1.0)


def raising_loss(model, batches, loss):
    calls = iter(range(10**6))

    def broken(m, b):
        value = loss(m(b[0]), b[1])
        if next(calls) == BREAKS_AT:
            raise ZeroDivisionError("a bug in the loss")
        return value

    return batches, broken


def interrupting_loss(model, batches, loss):
    calls = iter(range(10**6))

    def broken(m, b):
        value = loss(m(b[0]), b[1])
        if next(calls) == BREAKS_AT:
            raise KeyboardInterrupt
        return value

    return batches, broken


def loss_without_the_model(model, batches, loss):
    calls, other = iter(range(10**6)), nn.Parameter(torch.ones(1))

    def skips(m, b):
        value = loss(m(b[0]), b[1])
        return other.sum() if next(calls) == BREAKS_AT else value

    return batches, skips


def interrupting_rule(lrs, losses):
    if len(losses) == BREAKS_AT:
        raise KeyboardInterrupt


def interrupt_at(number):
    def progress(updates, planned):
        if updates == number:
            raise KeyboardInterrupt

    return progress


def raising_forward(model, batches, loss):
    def fail():
        raise ZeroDivisionError("a bug in the model")

    model.fault = fail
    return batches, loss


def raising_loader(model, batches, loss):
    def stream():
        yield from batches[:BREAKS_AT]
        raise OSError("a broken file")

    return stream, loss


def other_metrics(model, batches, loss):
    return batches, lambda m, b: {"loss": loss(m(b[0]), b[1]), "extra": 1.0}


def raising_while_the_other_is_slow(model, batches, loss):
    if dist.get_rank() == 1:
        return raising_loader(model, [], loss)

    def slow_loss(m, b):
        value = loss(model(b[0]), b[1])  # without DDP, so that only the time delays it
        time.sleep(SLOW)
        return value

    return batches, slow_loss


def exhausted(model, batches, loss):
    return iter(batches[:8]), loss


def empty(model, batches, loss):
    return [], loss


def dies(model, batches, loss):
    model.fault = lambda: os.kill(os.getpid(), signal.SIGKILL)
    return batches, loss


def slow(model, batches, loss):
    model.fault = lambda: time.sleep(SLOW)
    return batches, loss


def interrupted(model, batches, loss):
    model.fault = lambda: os.kill(os.getpid(), signal.SIGINT)
    return batches, loss


def plain_setting(rank, size):
    """The model of tune, and this process's share of the same global batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))
    inputs = torch.randn(960, 6, generator=torch.Generator().manual_seed(1))
    targets = (inputs[:, :3].sum(1) > 0).long()
    share = slice(rank, None, size)
    batches = list(zip(inputs[share].split(48 // size), targets[share].split(48 // size), strict=True))
    return model, batches, (inputs, targets)


def tuned(rank, size, *, fault=None, at_call=60, wrap=DistributedDataParallel, function=lr.torch.tune, **options):
    """Tuning, with a fault on rank 1 in a forward pass in the middle of the trials."""
    model, batches, (inputs, targets) = plain_setting(rank, size)
    trained = wrap(model)
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9)
    calls = iter(range(10**6))

    def loss(model, batch):
        value = nn.functional.cross_entropy(model(batch[0]), batch[1])
        if next(calls) == at_call and fault is not None and rank == 1:
            fault()
        return value

    def accuracy(model):
        share = slice(rank, None, size)
        return {"accuracy": float((model(inputs[share]).argmax(1) == targets[share]).double().mean())}

    before = fingerprint(model, optimizer)
    start = time.monotonic()
    outcome = {}
    try:
        plan = function(trained, optimizer, batches, loss, updates=150, evaluate=accuracy, **options)
        outcome["plan"] = plan.as_record()
    except BaseException as error:
        outcome["error"] = f"{type(error).__name__}: {error}"
        outcome["rank"] = getattr(error, "rank", None)
    outcome["seconds"] = time.monotonic() - start
    outcome["given back"] = fingerprint(model, optimizer) == before
    return outcome


def probed(rank, size, *, wrap=DistributedDataParallel, kind=torch.optim.AdamW, other=False):
    """A probe; the steps of all processes are compared."""
    model, batches, _ = plain_setting(rank, size)
    trained = wrap(model)
    optimizer = kind(trained.parameters(), lr=0.1)
    before = fingerprint(model, optimizer)
    outcome = {}
    try:
        probe = lr.torch.probe(trained, optimizer, batches, nn.CrossEntropyLoss(), updates=800 if other and rank else 640)
        outcome["probe"] = [probe.lr, probe.reason, probe.steps.tolist()]
    except BaseException as error:
        outcome["error"] = f"{type(error).__name__}: {error}"
    outcome["seconds"] = 0.0
    outcome["given back"] = fingerprint(model, optimizer) == before
    return outcome


def sharded(model):
    """Each layer, and the rest, in parts of it on every process."""
    for layer in (model[0], model[2]):
        fully_shard(layer)
    return fully_shard(model)


def divide_by_zero():
    raise ZeroDivisionError("a bug in the loss")


def tune_scenario(**options):
    return lambda rank: tuned(rank, dist.get_world_size(), **options)


def guarding(rank, wrap):
    model, trained, optimizer, _ = setting(rank, wrap)
    return guarded(rank, dist.get_world_size(), model, trained, optimizer)


SCENARIOS = {
    "steered": lambda rank: steered(rank, DistributedDataParallel),
    "steered by a scheduler": lambda rank: steered(rank, DistributedDataParallel, way="Scheduler"),
    "steered parts": lambda rank: steered(rank, sharded),
    "probe": lambda rank: probed(rank, dist.get_world_size()),
    "probe of SGD": lambda rank: probed(rank, dist.get_world_size(), kind=torch.optim.SGD),
    "probe of parts": lambda rank: probed(rank, dist.get_world_size(), wrap=sharded),
    "probe with other arguments": lambda rank: probed(rank, dist.get_world_size(), other=True),
    "tune": tune_scenario(),
    "tune in seconds": tune_scenario(budget="6 seconds"),
    "tune interrupted": tune_scenario(fault=lambda: os.kill(os.getpid(), signal.SIGINT)),
    "tune with other arguments": lambda rank: tuned(rank, dist.get_world_size(), budget=1.0 if rank else 0.5),
    "tune of another family": lambda rank: tuned(rank, dist.get_world_size(), family="wsd" if rank else "one_cycle"),
    "tune beside range_test": lambda rank: tuned(
        rank, dist.get_world_size(), function=lr.torch.range_test if rank else lr.torch.tune
    ),
    "tune with a bad argument": lambda rank: tuned(rank, dist.get_world_size(), together=5 if rank == 1 else None),
    "tune fails": tune_scenario(fault=divide_by_zero),
    "ddp": lambda rank: sweep(rank, "ddp"),
    "ddp accumulated": lambda rank: sweep(rank, "ddp", accumulate=2),
    "fsdp": lambda rank: sweep(rank, "fsdp"),
    "evaluated": lambda rank: sweep(rank, "fsdp", evaluate=lambda model: float(rank), evaluate_every=10, forward_after=True),
    "other metrics": lambda rank: sweep(rank, "ddp", other_metrics),
    "abandoned": lambda rank: sweep(rank, "ddp", raising_while_the_other_is_slow, at=None),
    "slow": lambda rank: sweep(rank, "ddp", slow),
    "interrupted": lambda rank: sweep(rank, "ddp", interrupted),
    "scaler": lambda rank: sweep(rank, "ddp", large_loss, at=rank, scaler=torch.amp.GradScaler("cpu", init_scale=2.0**127)),
    "time limit": lambda rank: sweep(rank, "ddp", time_limit=1e-9 if rank == 1 else None),
    "nan": lambda rank: sweep(rank, "ddp", nan_loss),
    "other arguments": lambda rank: sweep(rank, "ddp", low=1e-6 if rank == 1 else None),
    "raising loss": lambda rank: sweep(rank, "ddp", raising_loss),
    "raising forward": lambda rank: sweep(rank, "fsdp", raising_forward),
    "raising forward on the first": lambda rank: sweep(rank, "ddp", raising_forward, at=0),
    "raising loader": lambda rank: sweep(rank, "fsdp", raising_loader),
    "exhausted": lambda rank: sweep(rank, "ddp", exhausted),
    "empty": lambda rank: sweep(rank, "ddp", empty),
    "bad argument": lambda rank: sweep(rank, "ddp", stop="never" if rank == 1 else None),
    "guard": lambda rank: guarding(rank, "ddp"),
    "guard of parts": lambda rank: guarding(rank, "fsdp"),
    "dies": lambda rank: sweep(rank, "ddp", dies, at=dist.get_world_size() - 1),
    "interrupted callback": lambda rank: sweep(rank, "ddp", progress=interrupt_at(BREAKS_AT) if rank == 1 else None),
    "interrupted stop rule": lambda rank: sweep(rank, "ddp", stop=interrupting_rule if rank == 1 else None),
    "interrupting loss": lambda rank: sweep(rank, "ddp", interrupting_loss, again=True),
    "loss without the model": lambda rank: sweep(rank, "ddp", loss_without_the_model),
    "evaluate on the first": lambda rank: sweep(rank, "ddp", evaluate=None if rank else lambda model: 1.0),
}


def main():
    torch.set_num_threads(1)
    folder, *names = sys.argv[1:]
    groups = [group.split("\n") for group in "\n".join(names).split("\n--\n")]
    for attempt, group in enumerate(groups):
        process = os.fork()
        if process == 0:
            run(folder, group, **new_group(attempt))
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            write(folder, group[-1], os.environ["RANK"], {"signal": os.WTERMSIG(status)})


def new_group(attempt):
    """Arguments of a process group that finds nothing of an earlier one in the store, as after a restart by torchrun."""
    os.environ["TORCHELASTIC_RESTART_COUNT"] = str(attempt)
    address, port, rank, size = (os.environ[name] for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"))
    store = dist.PrefixStore(f"attempt {attempt}", dist.TCPStore(address, int(port), is_master=False))
    return {"store": store, "rank": int(rank), "world_size": int(size)}


def write(folder, name, rank, outcome):
    (Path(folder) / f"{name}.{rank}.json").write_text(json.dumps(outcome))


def run(folder, names, **group):
    dist.init_process_group("gloo", **group)
    rank = dist.get_rank()
    try:
        for name in names:
            outcome = SCENARIOS[name](rank)
            write(folder, name, rank, outcome)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    # At once: one process in ten that has used gloo, with learnrate or without it, aborts in its destructors.
    os._exit(0)
