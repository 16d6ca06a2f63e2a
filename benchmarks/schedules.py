"""The cost of schedules: an update, a whole curve, a compiled training step, an import. Each is a ratio measured in one run.

    python benchmarks/schedules.py [--rounds 9]

Writes benchmarks/results/schedules.json; `python docs/make.py` writes its sections of docs/benchmarks.md from it.
"""

import argparse
import statistics
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from measure import Work, in_rounds, keep, ratios, seconds, spread

import learnrate as lr

CALLS = 20_000
CURVE = 10_000_000

# Long enough that no schedule ends while it is timed.
LONG = 1_000_000
SCHEDULES = {
    str(type(s).__name__) + suffix: s
    for suffix, s in [
        ("", lr.constant(0.1)),
        ("", lr.linear(0.1, 0, LONG)),
        ("", lr.cosine(0.1, 0, LONG)),
        ("", lr.polynomial(0.1, 0, LONG, power=0.9)),
        ("", lr.exponential(0.1, 0.001, LONG)),
        ("", lr.one_minus_sqrt(0.1, 0, LONG)),
        ("", lr.rex(0.1, 0, LONG)),
        ("", lr.tanh(0.1, 0, LONG)),
        ("", lr.sigmoid(0.1, 0, LONG)),
        ("", lr.warmup(0.1, LONG)),
        ("", lr.triangular(1e-3, 6e-3, 2000)),
        ("", lr.triangular2(1e-3, 6e-3, 2000)),
        ("", lr.exp_range(1e-3, 6e-3, 2000, 0.99994)),
        ("", lr.cyclical(1e-3, 6e-3, 2000, 1000, window="hann", envelope="gamma per cycle", gamma=0.9)),
        ("", lr.warm_restarts(0.1, 2000, growth=2)),
        ("", lr.one_cycle(0.1, LONG)),
        ("", lr.inverse_time(0.1, 0.001)),
        ("", lr.time_based(0.1, 1e-9)),
        ("", lr.exponential_decay(0.1, 0.99, every=100)),
        ("", lr.natural_exp_decay(0.1, 1e-4)),
        ("", lr.step_decay(0.1, 0.5, every=3000)),
        ("", lr.multistep(0.1, 0.1, (3000, 6000))),
        ("", lr.piecewise_constant((0.1, 0.05, 0.2), (3000, 6000))),
        ("", lr.inverse_sqrt(0.1, 1000)),
        ("", lr.noam(512)),
        ("", lr.sigmoid_decay(0.1, 1e-3, 5000)),
        (": warm-up >> cosine", lr.warmup(0.1, 500) >> lr.cosine(0.1, 0, LONG)),
        (": wsd", lr.wsd(0.1, LONG)),
        ("", lr.triangular(1e-3, 6e-3, 2000) * lr.exponential_decay(1, 0.9999)),
        ("", lr.cosine(0.1, 0, 3000).repeat(value_decay=0.9)),
        ("", lr.exponential_decay(0.1, 0.999).clip(low=0.01)),
        ("", lr.one_cycle(0.1, LONG).mirrored(0.85, 0.95)),
        ("", lr.cosine(0.1, 0, LONG).staircase(100)),
    ]
}


def optimizer_with(groups: int) -> torch.optim.Optimizer:
    """Plain SGD with this number of parameter groups."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(groups)]
    return torch.optim.SGD([{"params": [parameter]} for parameter in parameters], lr=1e-3)


def bare(groups: int) -> Work:
    """The minimum work of a scheduler: a loop that assigns a float to every group."""
    optimizer = optimizer_with(groups)

    def step() -> None:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3

    return step


def scheduled(schedule: lr.Schedule, groups: int) -> Callable[[], float]:
    """Measures the mean time of `Scheduler.step()`; every round starts at update 0."""
    scheduler = lr.torch.Scheduler(optimizer_with(groups), schedule)

    def measure() -> float:
        scheduler.last_epoch = 0
        return seconds(scheduler.step, CALLS)

    return measure


def micro(values: list[float]) -> str:
    """The median time, in microseconds."""
    return f"{spread(values)['median'] * 1e6:.3g} µs"


def row(
    name: str, figures: dict[str, list[float]], target: str, reached: bool, ratio: list[float], unit: Any = micro
) -> dict:
    """A row of a table: the figures `ours` and `theirs`, and their ratio."""
    ours, theirs = unit(figures["ours"]), unit(figures["theirs"])
    return {"name": name, "ours": ours, "theirs": theirs, "ratio": spread(ratio), "target": target, "reached": reached}


def compared_with_a_bare_loop(rounds: int) -> dict[str, Any]:
    """`Scheduler.step()`, for schedules of every kind."""

    def measured(name: str, groups: int) -> tuple[dict[str, list[float]], list[float]]:
        ours, theirs = scheduled(SCHEDULES[name], groups), partial(seconds, bare(groups), CALLS)
        figures = in_rounds(rounds, ours=ours, theirs=theirs)
        return figures, ratios(figures, "ours", "theirs")

    rows, by_groups = [], {}
    for groups in (1, 10, 100):
        medians = {name: spread(measured(name, groups)[1])["median"] for name in SCHEDULES}
        slowest = max(medians, key=medians.__getitem__)
        # Measured again, because the largest of many figures is also the one with the most noise.
        figures, ratio = measured(slowest, groups)
        plural = "group" if groups == 1 else "groups"
        reached = spread(ratio)["median"] <= 2
        rows.append(row(f"{groups} {plural}, the slowest: {slowest}", figures, "at most 2", reached, ratio))
        by_groups[str(groups)] = {name: round(median, 3) for name, median in medians.items()}
    what = f"`torch.Scheduler.step()` over a bare loop that assigns a float to every group; {len(SCHEDULES)} schedules."
    return {"title": "An update, against a bare loop", "what": what, "rows": rows, "each": by_groups}


def compared_with_torch(rounds: int) -> dict[str, Any]:
    """`step()` of torch's own schedulers as a multiple of ours, on the same schedule."""
    steps = LONG * 10
    rates = torch.optim.lr_scheduler

    def sequential(optimizer: torch.optim.Optimizer) -> Any:
        parts = [rates.LinearLR(optimizer, 0.1, 1.0, 500), rates.CosineAnnealingLR(optimizer, steps)]
        return rates.SequentialLR(optimizer, parts, milestones=[500])

    cyclic = {"mode": "triangular2", "cycle_momentum": False}
    pairs: dict[str, tuple[Callable[[Any], Any], lr.Schedule]] = {
        "CyclicLR": (lambda o: rates.CyclicLR(o, 1e-3, 6e-3, 2000, **cyclic), lr.triangular2(1e-3, 6e-3, 2000)),
        "OneCycleLR": (lambda o: rates.OneCycleLR(o, 0.1, steps, cycle_momentum=False), lr.one_cycle.torch(0.1, steps)),
        "SequentialLR": (sequential, lr.warmup(1e-3, 500, start=1e-4) >> lr.cosine(1e-3, 0, steps)),
        "CosineAnnealingWarmRestarts": (
            lambda o: rates.CosineAnnealingWarmRestarts(o, 2000, 2),
            lr.warm_restarts(1e-3, 2000, growth=2),
        ),
    }
    rows = []
    for name, (make, schedule) in pairs.items():
        for groups in (1, 10, 100):
            optimizer = optimizer_with(groups)
            theirs = make(optimizer)
            optimizer.step()
            calls = max(500, CALLS // groups)
            figures = in_rounds(rounds, ours=scheduled(schedule, groups), theirs=partial(seconds, theirs.step, calls))
            ratio = ratios(figures, "theirs", "ours")
            target, reached = ("at least 20", spread(ratio)["median"] >= 20) if groups == 1 else ("", True)
            rows.append(row(f"{name}, {groups} group{'s' if groups > 1 else ''}", figures, target, reached, ratio))
    what = (
        "Their `step()` as a multiple of ours. Ours also looks at each group, to warn if something else wrote an LR there. "
        "That look costs about as much as the assignment itself."
    )
    return {"title": "An update, against torch's schedulers", "what": what, "rows": rows}


def attached(rounds: int) -> dict[str, Any]:
    """The time that `attach` adds to `optimizer.step()`."""
    plain, driven = optimizer_with(1), optimizer_with(1)
    attachment = lr.torch.attach(driven, lr.triangular2(1e-3, 6e-3, 2000))
    figures = in_turns(rounds, ours=partial(repeat, driven.step, 500), theirs=partial(repeat, plain.step, 500), updates=500)
    added = [(ours - theirs) * 1e6 for ours, theirs in zip(figures["ours"], figures["theirs"], strict=True)]
    attachment.detach()
    name = "SGD, 1 group; instead of a ratio the added time in µs"
    line = row(name, figures, "at most 1", spread(added)["median"] <= 1, added)
    return {"title": "attach", "what": "`optimizer.step()` with and without `torch.attach`.", "rows": [line]}


def repeat(work: Work, times: int) -> None:
    """Call it this number of times."""
    for _ in range(times):
        work()


def in_turns(rounds: int, ours: Work, theirs: Work, updates: int) -> dict[str, list[float]]:
    """Rounds of many short turns of each, for a small difference of large times; a round's figure is the median turn."""

    def one_round() -> tuple[float, float]:
        turns = [(seconds(ours) / updates, seconds(theirs) / updates) for _ in range(60)]
        return statistics.median(own for own, _ in turns), statistics.median(other for _, other in turns)

    medians = [one_round() for _ in range(rounds + 1)][1:]
    return {"ours": [own for own, _ in medians], "theirs": [other for _, other in medians]}


def curves(rounds: int) -> dict[str, Any]:
    """A curve of ten million updates in NumPy, compared with the line that one would write by hand."""
    n = np.arange(CURVE)
    low, high, step, warm, period = 1e-3, 6e-3, 2000, 100_000, 50_000

    def triangular2() -> np.ndarray:
        cycle = np.floor(1 + n / (2 * step))
        return low + (high - low) * np.maximum(0, 1 - np.abs(n / step - 2 * cycle + 1)) / np.float64(2) ** np.minimum(
            cycle - 1, 1000
        )

    def warmup_cosine() -> np.ndarray:
        return np.where(n < warm, high * n / warm, high / 2 * (1 + np.cos(np.pi * (n - warm) / (CURVE - warm))))

    def restarts() -> np.ndarray:
        return low + (high - low) / 2 * (1 + np.cos(np.pi * (n % period) / period))

    cases = {
        "triangular2": (triangular2, lr.triangular2(low, high, step)),
        "warm-up + cosine": (warmup_cosine, lr.warmup(high, warm, start=0) >> lr.cosine(high, 0, CURVE - warm)),
        "warm restarts": (restarts, lr.warm_restarts(high, period, low)),
    }
    rows = []
    for name, (by_hand, schedule) in cases.items():
        np.testing.assert_allclose(schedule(n), by_hand(), rtol=1e-6, atol=1e-12)
        figures = in_rounds(rounds, ours=partial(seconds, partial(schedule, n)), theirs=partial(seconds, by_hand))
        ratio = ratios(figures, "ours", "theirs")
        unit = lambda values: f"{spread(values)['median'] * 1e3:.0f} ms"  # noqa: E731
        rows.append(row(name, figures, "at most 1.3", spread(ratio)["median"] <= 1.3, ratio, unit))
        memory = {"ours": [peak(partial(schedule, n)) + n.nbytes], "theirs": [peak(by_hand) + n.nbytes]}
        arrays = [memory["ours"][0] / n.nbytes]
        unit = lambda values: f"{values[0] / 2**20:.0f} MiB"  # noqa: E731
        rows.append(row(f"{name}: memory, as a multiple of the counts", memory, "at most 3", arrays[0] <= 3, arrays, unit))
    what = "`schedule(np.arange(10_000_000))` over the one line of NumPy that computes the same; memory includes the counts."
    return {"title": "A curve of ten million updates", "what": what, "rows": rows}


def peak(work: Work) -> int:
    """Maximum number of bytes in use during the work."""
    tracemalloc.start()
    work()
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def jitted_training(schedule: Any) -> tuple[Callable[[], None], Any]:
    """A hundred jitted updates with a schedule, and the compiled update itself."""
    inputs, targets = jnp.ones((256, 64)), jnp.ones((256, 1))
    optimizer = optax.adam(schedule)
    weights = {"w": jnp.zeros((64, 1))}
    state = optimizer.init(weights)

    @jax.jit
    def update(weights: Any, state: Any) -> Any:
        gradients = jax.grad(lambda w: jnp.mean((inputs @ w["w"] - targets) ** 2))(weights)
        changes, state = optimizer.update(gradients, state)
        return optax.apply_updates(weights, changes), state

    def run(updates: int = 100) -> None:
        new_weights, new_state = weights, state
        for _ in range(updates):
            new_weights, new_state = update(new_weights, new_state)
        jax.block_until_ready(new_weights)

    return run, update


def compiled_by_jax(rounds: int) -> dict[str, Any]:
    """A jitted training step of optax with our schedule, and with its own."""
    pairs = {
        "warm-up + cosine": (
            lr.warmup(0.1, 100, start=0) >> lr.cosine(0.1, 0, 9900),
            optax.warmup_cosine_decay_schedule(0, 0.1, 100, 10_000),
        ),
        "exponential decay": (lr.exponential_decay(0.1, 0.9, every=100), optax.exponential_decay(0.1, 100, 0.9)),
        "piecewise constant": (
            lr.piecewise_constant((0.1, 0.01), (500,)),
            optax.piecewise_constant_schedule(0.1, {500: 0.1}),
        ),
    }
    rows = []
    for name, (own, theirs) in pairs.items():
        (run, step), (other, _) = jitted_training(own), jitted_training(theirs)
        figures = in_turns(rounds, ours=run, theirs=other, updates=100)
        same = in_turns(rounds, ours=jitted_training(theirs)[0], theirs=other, updates=100)
        noise = max(1.0, *ratios(same, "ours", "theirs"))
        ratio = ratios(figures, "ours", "theirs")
        assert step._cache_size() == 1, "compiled more than once"
        target = f"at most {noise:.3f}, the ratio of two runs of theirs"
        rows.append(row(f"{name}; compiled once", figures, target, spread(ratio)["median"] <= round(noise, 3), ratio))
    return {
        "title": "A training step under jax.jit",
        "what": "One Adam update of optax: with our schedule, as a multiple of the same with optax' own schedule.",
        "rows": rows,
    }


def compiled_by_torch() -> dict[str, Any]:
    """How often a compiled optimizer step with a tensor LR is recompiled while schedules drive it."""
    from torch._dynamo.utils import counters

    recompiled = 0
    for schedule in SCHEDULES.values():
        torch._dynamo.reset()
        parameter = torch.nn.Parameter(torch.ones(4))
        optimizer = torch.optim.AdamW([parameter], lr=torch.tensor(0.1))
        scheduler = lr.torch.Scheduler(optimizer, schedule)
        step = torch.compile(optimizer.step, backend="eager")
        for update in range(50):
            parameter.grad = torch.ones(4)
            step()
            scheduler.step()
            if update == 1:  # the optimizer state is created in the first update
                counters.clear()
        recompiled += counters["stats"].get("unique_graphs", 0)
    figures = {"ours": [recompiled], "theirs": [0]}
    line = row(
        "compilations after the first two updates", figures, "0", recompiled == 0, [float(recompiled)], lambda v: str(v[0])
    )
    what = f"`torch.compile(AdamW.step)` with a tensor LR, 50 updates under each of {len(SCHEDULES)} schedules."
    return {"title": "A compiled optimizer with a tensor LR", "what": what, "rows": [line]}


def started(rounds: int) -> dict[str, Any]:
    """Whole processes: `import learnrate` beyond `import numpy`, and `learnrate --help`."""

    def process(*command: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL))

    figures = in_rounds(
        rounds,
        ours=partial(process, "-c", "import learnrate"),
        theirs=partial(process, "-c", "import numpy"),
        help=partial(process, "-m", "learnrate", "--help"),
    )
    beyond = [ours - theirs for ours, theirs in zip(figures["ours"], figures["theirs"], strict=True)]
    unit = lambda values: f"{spread(values)['median'] * 1e3:.0f} ms"  # noqa: E731
    help_figures = {"ours": figures["help"], "theirs": figures["theirs"]}
    rows = [
        row(
            "import learnrate; instead of a ratio the time beyond numpy in s",
            figures,
            "at most 0.1",
            spread(beyond)["median"] <= 0.1,
            beyond,
            unit,
        ),
        row(
            "learnrate --help; instead of a ratio its time in s",
            help_figures,
            "at most 0.5",
            spread(figures["help"])["median"] <= 0.5,
            figures["help"],
            unit,
        ),
    ]
    return {"title": "Start-up", "what": "Whole processes, compared with one that imports NumPy.", "rows": rows}


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds, at least 5")
    rounds = max(5, parser.parse_args().rounds)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)  # torch's notes on its own parts
    tables = [
        compared_with_a_bare_loop(rounds),
        compared_with_torch(rounds),
        attached(rounds),
        curves(rounds),
        compiled_by_jax(rounds),
        compiled_by_torch(),
        started(rounds),
    ]
    for table in tables:
        print(f"\n{table['title']}")
        for line in table["rows"]:
            ratio = line["ratio"]
            reached = "" if line["reached"] else "   NOT REACHED"
            print(
                f"  {line['name']:60} {line['ours']:>10} {line['theirs']:>10}  {ratio['median']:6.2f} "
                f"({ratio['min']:.2f} to {ratio['max']:.2f})  {line['target']}{reached}"
            )
    path = keep("schedules", ("learnrate", "numpy", "torch", "jax", "optax"), rounds=rounds, tables=tables)
    print(f"\nwritten: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
