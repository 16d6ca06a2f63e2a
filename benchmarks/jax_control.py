"""JAX: an update whose LR controllers change, inside of `jax.jit` and around it, against the same update with a schedule.

    python benchmarks/jax_control.py [--rounds 30]

Writes benchmarks/results/jax_control.json. Compilation is measured apart. `fastest` compares the fastest stretches of both,
which other programs on the machine disturb least.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measure import in_rounds, keep, ratios, spread

import learnrate as lr
from learnrate.control import Action, Controller

SCHEDULE = lr.warmup(1e-3, 100) >> lr.cosine(1e-3, 0.0, 1_000_000)
NETWORKS = {"small": ((64, 128, 10), 32, 50), "large": ((512, 1024, 512, 10), 64, 4)}
"""Sizes of the layers, of a batch, and updates of a measurement."""


class Lowest(NamedTuple):
    """State of the controllers."""

    loss: float = float("inf")
    factor: float = 1.0


@dataclass(frozen=True)
class Halve(Controller[Lowest]):
    """Halve the LR whenever the loss is a multiple of its lowest value; leave updates out that are not finite."""

    ratio: float = 1e3

    def init(self) -> Lowest:
        """See `Controller`."""
        return Lowest()

    def update(self, state: Lowest, observation: Any) -> tuple[Lowest, Action]:
        """See `Controller`."""
        where, loss = observation.xp.where, observation.loss
        factor = where(loss > self.ratio * state.loss, 0.5 * state.factor, state.factor)
        state = Lowest(where(loss < state.loss, loss, state.loss), factor)
        return state, Action(factor, skip=where(observation.finite, False, True))


@dataclass(frozen=True)
class RollBack(Halve):
    """Roll back as well."""

    needs_snapshots = True

    def update(self, state: Lowest, observation: Any) -> tuple[Lowest, Action]:
        """See `Controller`."""
        state, action = super().update(state, observation)
        return state, action._replace(rollback=observation.xp.where(observation.loss > 1e6, True, False))


def network(sizes: tuple[int, ...], batch: int) -> tuple[Any, Callable[[Any, Any], jax.Array], Any]:
    """Weights, loss and a batch of noise."""
    random = np.random.default_rng(0)
    params = [jnp.asarray(random.standard_normal(pair, np.float32) / pair[0] ** 0.5) for pair in pairwise(sizes)]
    inputs = random.standard_normal((batch, sizes[0]), np.float32), random.integers(0, sizes[-1], batch)

    def loss(params: Any, batch: Any) -> jax.Array:
        outputs, targets = batch
        for number, weight in enumerate(params):
            outputs = (jax.nn.relu(outputs) if number else outputs) @ weight
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()

    return params, loss, inputs


def inside(optimizer: Any, built: Any, updates: int, monitor: Any = None) -> Callable[[], float]:
    """Seconds of an update, over a stretch of them whose arrays are donated."""
    params, loss, batch = built
    optimizer = optax.with_extra_args_support(optimizer)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params: Any, state: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(params, batch)
        steps, state = optimizer.update(gradients, state, params, value=value)
        return optax.apply_updates(params, steps), state

    run = jax.tree.map(jnp.copy, (params, optimizer.init(params)))

    def work() -> float:
        nonlocal run
        begun = time.perf_counter()
        for _ in range(updates):
            run = update(*run)
            if monitor is not None:
                run = run[0], monitor.follow(run[1])
        jax.block_until_ready(run)
        return (time.perf_counter() - begun) / updates

    return work


def around(built: Any, updates: int, follow: Any) -> Callable[[], float]:
    """Seconds of an update whose LR is a number that is written; by `lr.jax.Follow`, or by nobody."""
    params, loss, batch = built
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    @jax.jit
    def update(run: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(run[0], batch)
        steps, state = optimizer.update(gradients, run[1], run[0])
        return (optax.apply_updates(run[0], steps), state), value

    run = params, optimizer.init(params)
    run = run if follow is None else follow.start(run)

    def work() -> float:
        nonlocal run
        begun = time.perf_counter()
        for _ in range(updates):
            after, value = update(run)
            if follow is None:
                float(value)  # loops that log the loss wait for it
            run = after if follow is None else follow.step(run, after, loss=value)
        jax.block_until_ready(run)
        return (time.perf_counter() - begun) / updates

    return work


def measured(name: str, rounds: int) -> dict[str, Any]:
    """All ways with one network."""
    sizes, batch, updates = NETWORKS[name]
    built = network(sizes, batch)
    followed = lr.jax.controlled(optax.adam, SCHEDULE, Halve())
    works = {
        "schedule": inside(optax.adam(SCHEDULE), built, updates),
        "apply_if_finite": inside(optax.apply_if_finite(optax.adam(SCHEDULE), 5), built, updates),
        "controlled": inside(lr.jax.controlled(optax.adam, SCHEDULE, Halve(), history=0), built, updates),
        "with_history": inside(lr.jax.controlled(optax.adam, SCHEDULE, Halve()), built, updates),
        "with_monitor": inside(followed, built, updates, lr.jax.Monitor(followed)),
        "with_snapshots": inside(lr.jax.controlled(optax.adam, SCHEDULE, RollBack()), built, updates),
        "number": around(built, updates, None),
        "with_follow": around(built, updates, lr.jax.Follow(SCHEDULE, Halve())),
    }
    compiled = {}
    for way, work in works.items():
        begun = time.perf_counter()
        work()
        compiled[way] = round(time.perf_counter() - begun, 3)
    figures = in_rounds(rounds, **works)
    bases = {way: "number" if way == "with_follow" else "schedule" for way in works if way not in ("schedule", "number")}
    return {
        "what": f"MLP {'-'.join(map(str, sizes))}, {sum(a * b for a, b in pairwise(sizes)):,} weights, batches of {batch}",
        "updates": updates,
        "over": {way: spread(ratios(figures, way, base)) for way, base in bases.items()},
        "more_microseconds": {
            way: spread([1e6 * (a - b) for a, b in zip(figures[way], figures[base], strict=True)])
            for way, base in bases.items()
        },
        "fastest": {way: min(figures[way]) / min(figures[base]) for way, base in bases.items()},
        "fastest_more_microseconds": {way: 1e6 * (min(figures[way]) - min(figures[base])) for way, base in bases.items()},
        "first_seconds": compiled,
        "seconds": {way: [round(value, 8) for value in values] for way, values in figures.items()},
    }


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="counted rounds, at least 5")
    rounds = parser.parse_args().rounds
    if rounds < 5:
        parser.error(f"--rounds must be at least 5, received {rounds}")
    networks = []
    for name in NETWORKS:
        row = measured(name, rounds)
        networks.append(row)
        base = statistics.median(row["seconds"]["schedule"])
        print(f"{row['what']}: {1e3 * base:.3f} ms an update")
        for way, figures in row["over"].items():
            fastest, more = row["fastest"][way], row["fastest_more_microseconds"][way]
            print(f"  {way:>16}  x {figures['median']:.2f} (median)  x {fastest:.2f}, {more:+.0f} us (fastest)")
    print(f"written: {keep('jax_control', ('learnrate', 'jax', 'optax'), rounds=rounds, networks=networks)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
