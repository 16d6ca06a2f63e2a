"""What a guard costs: a snapshot of a model of 10 million parameters with Adam, and what is done at each update.

python -m benchmarks.control

The record: benchmarks/results/control.json. The target is 1 % of an update of 5 ms, with a snapshot every 500 updates.
"""

import time
import timeit
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import learnrate as lr
from benchmarks.measure import in_rounds, keep, spread
from learnrate.control import guard
from learnrate.torch.control.snapshots import Snapshots

ROUNDS, EVERY, UPDATE = 9, 500, 5e-3
CALLS = 2000

Measure = Callable[[], float]


def large() -> tuple[nn.Module, torch.optim.Optimizer]:
    """Ten million parameters in ten layers, and Adam with its moments."""
    model = nn.Sequential(*(nn.Linear(1000, 1000) for _ in range(10)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return model, optimizer


def seconds(work: Callable[[], object], calls: int = 1) -> float:
    """Processor time of a call: other programs take turns on the machine."""
    return timeit.timeit(work, "import gc; gc.enable()", timer=time.process_time, number=calls) / calls


def snapshot(where: str) -> Measure:
    """One snapshot into memory that is used again, as all are but the first two."""
    model, optimizer = large()
    snapshots, updates = Snapshots(model, where), iter(range(10**9))  # type: ignore[arg-type]
    for _ in range(3):
        snapshots.take(optimizer, next(updates))
    return lambda: seconds(lambda: snapshots.take(optimizer, next(updates)))


def bare_copy() -> Measure:
    """The same bytes, copied by torch from one tensor to another: no snapshot can cost less."""
    model, _ = large()
    size = sum(parameter.numel() for parameter in model.parameters())
    source, target = torch.zeros(3 * size), torch.zeros(3 * size)
    return lambda: seconds(lambda: target.copy_(source))


def update(guarded: bool) -> Measure:
    """`observe` and `optimizer.step()` without gradients, where a guard sees a falling loss; or the step alone."""
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    model = nn.Module()
    model.register_parameter("weight", parameter)
    control = guard(every=10**9) if guarded else None
    attachment = lr.torch.attach(optimizer, lr.constant(0.1), control=control, model=model)

    def both() -> None:
        attachment.observe(0.5)
        optimizer.step()

    return lambda: seconds(both if guarded else optimizer.step, CALLS)


def main() -> Path:
    """Measure, and write the record."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    figures = in_rounds(
        ROUNDS,
        memory=snapshot("memory"),
        disk=snapshot("disk"),
        copy=bare_copy(),
        guarded=update(True),
        plain=update(False),
    )
    per_update = [guarded - plain for guarded, plain in zip(figures["guarded"], figures["plain"], strict=True)]
    shares = [(memory / EVERY + extra) / UPDATE for memory, extra in zip(figures["memory"], per_update, strict=True)]
    milliseconds = {name: spread([1e3 * value for value in figures[name]]) for name in ("memory", "disk", "copy")}
    return keep(
        "control",
        ("torch",),
        rounds=ROUNDS,
        every=EVERY,
        snapshot_ms=milliseconds,
        update_us=spread([1e6 * value for value in per_update]),
        share=spread(shares),
        target=0.01,
    )


if __name__ == "__main__":
    print(main().read_text())
