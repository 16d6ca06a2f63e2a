"""JAX: trials of several LRs as one batch (`jax.vmap`) against one by one, and `lr.jax.range_test` against a bare scan.

    python benchmarks/jax_trials.py [--rounds 7]

Writes benchmarks/results/jax_trials.json. Compilation is measured apart: it is done once for each number of trials.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measure import Work, in_rounds, keep, ratios, seconds, spread

import learnrate as lr
from learnrate.jax.ensemble import worthwhile

UPDATES = 20
COUNTS = (3, 8)
CLASSES = 10
SWEEP = 100

Params = Any


@dataclass(frozen=True)
class Workload:
    """A network and what it trains on.

    Attributes:
        what: Its name in the table.
        params: Its weights.
        outputs: From weights and inputs to logits.
        shape: Shape of a batch of inputs.
    """

    what: str
    params: Params
    outputs: Callable[[Params, jax.Array], jax.Array]
    shape: tuple[int, ...]

    def loss(self, params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Cross-entropy."""
        return optax.softmax_cross_entropy_with_integer_labels(self.outputs(params, batch[0]), batch[1]).mean()

    def batches(self, number: int) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Batches of noise."""
        random = np.random.default_rng(0)
        return [
            (random.standard_normal(self.shape, np.float32), random.integers(0, CLASSES, self.shape[0]))
            for _ in range(number)
        ]


def weights(*shape: int) -> jax.Array:
    """Random weights at the scale of their inputs."""
    return jax.random.normal(jax.random.key(sum(shape)), shape) / math.sqrt(math.prod(shape[:-1]))


def mlp(*sizes: int, batch: int) -> Workload:
    """ReLUs between linear layers."""
    params = [(weights(inputs, outputs), jnp.zeros(outputs)) for inputs, outputs in pairwise(sizes)]

    def outputs(params: Params, inputs: jax.Array) -> jax.Array:
        for number, (weight, bias) in enumerate(params):
            inputs = (jax.nn.relu(inputs) if number else inputs) @ weight + bias
        return inputs

    return Workload(f"MLP {'-'.join(map(str, sizes))}, batches of {batch}", params, outputs, (batch, sizes[0]))


def workloads() -> tuple[Workload, ...]:
    """From small to large."""
    return (
        mlp(64, 32, 10, batch=32),
        mlp(784, 32, 10, batch=64),
        mlp(784, 128, 10, batch=128),
        mlp(784, 512, 512, 10, batch=128),
    )


def trials(workload: Workload, count: int, as_one_batch: bool) -> Work:
    """Work that runs `count` trials of `UPDATES` updates, at LRs at which none diverges."""
    arguments = (workload.params, optax.adam, workload.batches(UPDATES), workload.loss)
    training = lr.jax.Training(*arguments, together=True)
    start = training.save()
    lrs = [1e-4 * 1.1**number for number in range(count)]

    def together() -> Sequence[float]:
        training.restore(start)
        ensemble = training.ensemble(count)
        for _ in range(UPDATES):
            metrics = ensemble.update(lrs)
        return [member["loss"] for member in metrics]

    def one_by_one() -> Sequence[float]:
        losses = []
        for rate in lrs:
            training.restore(start)
            for _ in range(UPDATES):
                [metrics] = training.read([training.update(rate)])
            losses.append(metrics["loss"])
        return losses

    def work() -> None:
        losses = together() if as_one_batch else one_by_one()
        if len(losses) != count or not all(map(math.isfinite, losses)):
            raise RuntimeError(f"{count} trials of {workload.what} ended with the losses {losses}")

    return work


def measured(workload: Workload, count: int, rounds: int) -> dict[str, Any]:
    """Both ways and a single trial, in the same rounds."""
    works = {
        "as_one_batch": trials(workload, count, True),
        "one_by_one": trials(workload, count, False),
        "one_trial": trials(workload, 1, False),
    }
    first = {name: round(seconds(work), 4) for name, work in works.items()}  # compiles
    figures = in_rounds(rounds, **{name: partial(seconds, work) for name, work in works.items()})
    return {
        "trials": count,
        "chosen": worthwhile(workload.params, count),
        "over_one_by_one": spread(ratios(figures, "as_one_batch", "one_by_one")),
        "over_one_trial": spread(ratios(figures, "as_one_batch", "one_trial")),
        "first_seconds": first,
        "pays_from_updates": pays_from(first, figures),
        "seconds": {name: [round(value, 6) for value in values] for name, values in figures.items()},
    }


def pays_from(first: dict[str, float], figures: dict[str, list[float]]) -> int | None:
    """Length of a trial in updates from which one batch saves more than it takes to compile; None if it saves nothing."""
    batch, separate = (statistics.median(figures[name]) for name in ("as_one_batch", "one_by_one"))
    saved = (separate - batch) / UPDATES
    return math.ceil((first["as_one_batch"] - batch) / saved) if saved > 0 else None


def swept(workload: Workload, rounds: int) -> dict[str, Any]:
    """`lr.jax.range_test`, whose every call compiles, and the same sweep as a `lax.scan` written by hand, compiled too.

    The ratio is of whole calls; `compiled_seconds` is the scan alone.
    """
    batches = workload.batches(SWEEP)
    lrs = jnp.geomspace(1e-6, 1e-2, SWEEP)

    def update(state: Any, batch: Any, rate: Any) -> tuple[Any, jax.Array]:
        params, opt_state = state
        loss, gradients = jax.value_and_grad(workload.loss)(params, batch)
        steps, opt_state = optax.adam(rate).update(gradients, opt_state, params)
        return (optax.apply_updates(params, steps), opt_state), loss

    state = workload.params, optax.adam(1.0).init(workload.params)

    def ours() -> None:
        curve = lr.jax.range_test(update, state, batches, low=1e-6, high=1e-2, updates=SWEEP, stop=None)
        if len(curve) != SWEEP:
            raise RuntimeError(f"the sweep of {workload.what} ended after {len(curve)} updates")

    def scan(state: Any, xs: Any) -> Any:
        return jax.lax.scan(lambda state, x: update(state, x[1], x[0]), state, xs)[1]

    def by_hand() -> None:
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
        np.asarray(jax.jit(lambda state, xs: scan(state, xs))(state, (lrs, stacked)))

    figures = in_rounds(rounds, ours=partial(seconds, ours), by_hand=partial(seconds, by_hand))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
    compiled = jax.jit(scan).lower(state, (lrs, stacked)).compile()
    begun = time.perf_counter()
    np.asarray(compiled(state, (lrs, stacked)))
    return {
        "over_by_hand": spread(ratios(figures, "ours", "by_hand")),
        "compiled_seconds": round(time.perf_counter() - begun, 6),
        "seconds": {name: [round(value, 6) for value in values] for name, values in figures.items()},
    }


def table(what: str, rows: Sequence[dict[str, Any]]) -> str:
    """The rows of one workload, for the terminal."""
    lines = [what, f"  {'trials':>6}  {'over one by one':>15}  {'over one trial':>14}  {'pays from':>9}"]
    for row in rows:
        medians = row["over_one_by_one"]["median"], row["over_one_trial"]["median"]
        pays = "never" if row["pays_from_updates"] is None else f"{row['pays_from_updates']:,}"
        lines.append(f"  {row['trials']:>6}  {medians[0]:>15.2f}  {medians[1]:>14.2f}  {pays:>9}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds, at least 5")
    rounds = parser.parse_args().rounds
    if rounds < 5:
        parser.error(f"--rounds must be at least 5, received {rounds}")
    networks = []
    for workload in workloads():
        rows = [measured(workload, count, rounds) for count in COUNTS]
        sweep = swept(workload, rounds)
        networks.append({"what": workload.what, "rows": rows, "range_test": sweep})
        print(f"\n{table(workload.what, rows)}\n  range test over a scan by hand: {sweep['over_by_hand']['median']:.2f}")
        content: dict[str, Any] = {"rounds": rounds, "updates": UPDATES, "sweep": SWEEP, "networks": networks}
        print(f"written: {keep('jax_trials', ('learnrate', 'jax', 'optax'), **content)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
