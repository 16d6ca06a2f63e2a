"""How well the probe serves optimizers that no task of benchmarks/choice uses: its tasks, with another optimizer.

python -m benchmarks.probe_optimizers                                              # the table, from the records
python -m benchmarks.probe_optimizers --measure AdaGrad,Muon power_mlp,digits_mlp  # add training runs and probes to them

The factor of an optimizer is fitted on the tasks with an even number in the list of all tasks, and reported on the others.
"LR times" says by what all LRs could be multiplied at a mean regret of at most 0.05 points more than the lowest.
"""

import argparse
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from torch import nn
from torch.optim import Adafactor, Adagrad, AdamW, Optimizer, RAdam

import learnrate as lr
from benchmarks.choice.about import names
from benchmarks.choice.run import load
from benchmarks.choice.task import Task
from benchmarks.choice.training import endless, schedule, seeded
from learnrate.errors import NoAnswerError

RECORDS = Path(__file__).parent / "results" / "probe_optimizers.jsonl"
SEEDS = (0, 1)
DRIVEN, REST, REST_LR = "driven", "rest", 1e-3
SLACK = 0.05
"""Points of mean regret."""

BEYOND = 2
"""Grid steps of a factor of 2 that are trained on each side of the best."""


def trained(model: nn.Module, matrices: bool | None = None) -> list[nn.Parameter]:
    """The parameters; only the matrices, or only the others."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return parameters if matrices is None else [p for p in parameters if (p.ndim == 2) is matrices]


def muon(model: nn.Module) -> dict[str, Optimizer]:
    """Muon for the matrices; AdamW with a fixed LR for the others."""
    rest = trained(model, matrices=False)
    others = {REST: AdamW(rest, lr=REST_LR)} if rest else {}
    return {DRIVEN: torch.optim.Muon(trained(model, matrices=True)), **others}


def muon_and_adamw(model: nn.Module) -> dict[str, Optimizer]:
    """Both at one LR."""
    matrices, rest = (trained(model, matrices=matrices) for matrices in (True, False))
    others = {f"{DRIVEN} too": AdamW(rest, lr=REST_LR)} if rest else {}
    return {DRIVEN: torch.optim.Muon(matrices, lr=REST_LR, adjust_lr_fn="match_rms_adamw"), **others}


OPTIMIZERS: dict[str, Callable[[nn.Module], dict[str, Optimizer]]] = {
    "AdaGrad": lambda model: {DRIVEN: Adagrad(trained(model))},
    "RAdam": lambda model: {DRIVEN: RAdam(trained(model))},
    "Adafactor": lambda model: {DRIVEN: Adafactor(trained(model))},
    "Muon": muon,
    "Muon and AdamW": muon_and_adamw,
}


@dataclass(frozen=True)
class Row:
    """A training run (`points`) or a probe (`lr` and `interval`, or the reason in `no_answer`)."""

    task: str
    optimizer: str
    seed: int
    lr: float | None
    points: float | None = None
    interval: tuple[float, float] | None = None
    no_answer: str | None = None


def train(task: Task, optimizer: str, max_lr: float, seed: int) -> float:
    """Points on validation and test data, their mean, after a training run with this peak."""
    seeded(seed)
    model = task.model()
    optimizers = OPTIMIZERS[optimizer](model)
    shape = schedule(1.0, task.updates)(np.arange(task.updates)).tolist()
    for value, (x, y) in zip(shape, islice(endless(task.batches()), task.updates), strict=True):
        model.zero_grad()
        loss = task.criterion(model(x), y)
        loss.backward()
        if not math.isfinite(loss.item()):
            break
        if task.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)
        for name, torch_optimizer in optimizers.items():
            for group in torch_optimizer.param_groups:
                group["lr"] = value * (REST_LR if name == REST else max_lr)
            torch_optimizer.step()
    return (task.validate(model) + task.test(model)) / 2


def probe(name: str, task: Task, optimizer: str, seed: int) -> Row:
    """The answer of the probe."""
    seeded(seed)
    model = task.model()
    optimizers = OPTIMIZERS[optimizer](model)
    clip = {} if task.clip_norm is None else {"clip_norm": task.clip_norm}
    driven = [key for key in optimizers if key != REST]
    only = None if len(optimizers) == 1 else driven
    arguments = (model, optimizers, task.batches(), task.criterion)
    try:
        answer = lr.torch.probe(*arguments, updates=task.updates, seed=seed, only=only, **clip)
    except NoAnswerError as error:
        return Row(name, optimizer, seed, None, no_answer=str(error))
    return Row(name, optimizer, seed, answer.lr, interval=answer.interval)


def measure(optimizers: Sequence[str], tasks: Sequence[str]) -> None:
    """Add what is missing to the records."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in tasks:
        task = load(name)
        for optimizer in optimizers:
            rows = [row for row in read() if (row.task, row.optimizer) == (name, optimizer)]
            if not any(row.points is None for row in rows):
                probes = [probe(name, task, optimizer, seed) for seed in SEEDS]
                add(probes)
                rows += probes
            grid = by_exponent(rows)
            answers = [row.lr for row in rows if row.points is None and row.lr]
            start = round(math.log2(median(answers or [REST_LR])))
            while missing := next_exponents(grid, start):
                runs = [
                    Row(name, optimizer, s, 2.0**k, train(task, optimizer, 2.0**k, s)) for k in missing[:1] for s in SEEDS
                ]
                add(runs)
                rows += runs
                grid = by_exponent(rows)


def next_exponents(grid: dict[int, float], start: int) -> list[int]:
    """The exponents of 2 that are still to be trained, the nearest first."""
    if not grid:
        return [start]
    best = max(grid, key=grid.__getitem__)
    around = [best + sign * step for step in range(1, BEYOND + 1) for sign in (-1, 1)]
    return [exponent for exponent in around if exponent not in grid]


def by_exponent(rows: Sequence[Row]) -> dict[int, float]:
    """The mean points of each LR of the grid."""
    runs = [row for row in rows if row.points is not None]
    exponents = sorted({round(math.log2(row.lr or 1)) for row in runs})
    return {k: mean(row.points or 0.0 for row in runs if round(math.log2(row.lr or 1)) == k) for k in exponents}


def regret(grid: dict[int, float], max_lr: float) -> float:
    """Points that are lost against the best of the grid; beyond the grid the last slope goes on, of a point at least."""
    ends, best, position = (min(grid), max(grid)), max(grid.values()), math.log2(max_lr)
    lost = best - float(np.interp(position, list(grid), list(grid.values())))
    beyond = max(ends[0] - position, position - ends[1], 0.0)
    end, inner = (ends[0], ends[0] + 1) if position < ends[0] else (ends[1], ends[1] - 1)
    return lost + beyond * max(1.0, grid[inner] - grid[end])


def table() -> str:
    """The table of all records."""
    rows, lines = (
        read(),
        [
            "| optimizer | tasks | probes | no answer | regret: mean, median, worst | best LR in interval | LR times |",
            "|---|---|---|---|---|---|---|",
        ],
    )
    for optimizer in OPTIMIZERS:
        for half, title in enumerate(("fitted on", "reported on")):
            tasks = [
                n
                for i, n in enumerate(names())
                if i % 2 == half and any((r.task, r.optimizer) == (n, optimizer) for r in rows)
            ]
            lines += (
                [line(optimizer, title, [[r for r in rows if (r.task, r.optimizer) == (n, optimizer)] for n in tasks])]
                if tasks
                else []
            )
    return "\n".join(lines)


def line(optimizer: str, title: str, tasks: Sequence[Sequence[Row]]) -> str:
    """One row of the table."""
    lost, inside, without, answers = [], [], 0, []
    for rows in tasks:
        grid = by_exponent(rows)
        best = 2.0 ** max(grid, key=grid.__getitem__)
        for row in (row for row in rows if row.points is None):
            if row.lr is None or row.interval is None:
                without += 1
                continue
            answers.append((grid, row.lr))
            lost.append(regret(grid, row.lr))
            inside.append(row.interval[0] <= best <= row.interval[1])
    points = f"{mean(lost):.2f}, {median(lost):.2f}, {max(lost):.1f}" if lost else "-"
    cells = [optimizer, f"{title} {len(tasks)}", len(lost) + without, without, points]
    cells += [f"{sum(inside)} of {len(inside)}", _multiples(answers)]
    return f"| {' | '.join(map(str, cells))} |"


def _multiples(answers: Sequence[tuple[dict[int, float], float]]) -> str:
    """The multiples of all LRs at which the mean regret is at most `SLACK` above its lowest."""
    multiples = np.geomspace(0.1, 10, 201)
    means = [mean(min(20.0, regret(grid, multiple * max_lr)) for grid, max_lr in answers) for multiple in multiples]
    near = [multiple for multiple, lost in zip(multiples, means, strict=True) if lost <= min(means) + SLACK]
    return f"{min(near):.2g} to {max(near):.2g}"


def read() -> list[Row]:
    """The records."""
    return [Row(**json.loads(text)) for text in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def add(rows: Sequence[Row]) -> None:
    """Add rows to the records."""
    with RECORDS.open("a") as file:
        file.writelines(
            json.dumps({key: value for key, value in asdict(row).items() if value is not None or key == "lr"}) + "\n"
            for row in rows
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs=2, metavar=("OPTIMIZERS", "TASKS"), help="names with commas between them")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*(names.split(",") for names in arguments.measure))
    print(table())
