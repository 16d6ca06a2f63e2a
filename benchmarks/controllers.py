"""How often controllers act where they should not, and how soon where they should: simulations, with torch's rule beside.

    python benchmarks/controllers.py [--curves 1000]

Writes benchmarks/results/controllers.json; `python docs/make.py` writes its section of docs/benchmarks.md from it.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.controller_curves import (
    NOISES,
    SEEN,
    fall_then_plateau,
    falls,
    first_actions,
    noise_only,
    torch_first_actions,
)
from benchmarks.measure import keep
from benchmarks.noisy_quadratic import actions, train
from learnrate.control import Controller, cooldown_now, gradient_size, oscillation, plateau, slow

PATIENCE = 320
UPDATES = 9600
"""Length of a fall."""

EVALUATIONS, PATIENCE_OF_EVALUATIONS = 300, 10

BANDS = ((SEEN, 50.0), (3.0, SEEN), (1.0, 3.0), (0.1, 1.0))
"""By how many standard errors a fall is seen, at least, during the run."""


def during_falls(rng: np.random.Generator, curves: int) -> list[dict[str, Any]]:
    """How many of the falls each rule interrupts, by how well they can be seen."""
    rows = []
    for band in BANDS:
        count = curves if band[0] == SEEN else curves // 4
        losses, names, noise = falls(rng, count, UPDATES, PATIENCE, band)
        ours = first_actions(plateau(patience=PATIENCE), losses) >= 0
        theirs = torch_first_actions(losses, PATIENCE) >= 0
        rows.append(
            {
                "seen": band,
                "falls": count,
                "noise": {"median": float(np.median(noise)), "max": float(noise.max())},
                "plateau": int(ours.sum()),
                "torch": int(theirs.sum()),
                "torch, patience 10": int((torch_first_actions(losses, 10) >= 0).sum()),
                "acted on": sorted({" / ".join(names[index]) for index in np.flatnonzero(ours)}) if band[0] == SEEN else [],
            }
        )
    return rows


def during_evaluations(rng: np.random.Generator, curves: int) -> dict[str, Any]:
    """The same for a metric of evaluations, with torch's default patience for both."""
    losses, _, noise = falls(rng, curves, EVALUATIONS, PATIENCE_OF_EVALUATIONS, (SEEN, 50.0))
    still, _ = noise_only(rng, curves, EVALUATIONS)
    return {
        "falls": curves,
        "noise": {"median": float(np.median(noise)), "max": float(noise.max())},
        "plateau": int((first_actions(plateau(patience=PATIENCE_OF_EVALUATIONS), losses) >= 0).sum()),
        "torch": int((torch_first_actions(losses, PATIENCE_OF_EVALUATIONS) >= 0).sum()),
        "delay": quantiles(first_actions(plateau(patience=PATIENCE_OF_EVALUATIONS), still), PATIENCE_OF_EVALUATIONS),
        "delay of torch": quantiles(torch_first_actions(2 + 0.1 * still, PATIENCE_OF_EVALUATIONS), PATIENCE_OF_EVALUATIONS),
    }


def quantiles(acted: np.ndarray, patience: int, start: int = 0) -> dict[str, Any]:
    """The delay in patiences; None where it is longer than the series. Actions before the start count as early."""
    early = (acted >= 0) & (acted < start)
    delay = np.sort(np.where(acted < 0, np.inf, (acted + 1 - start) / patience)[~early])

    def at(share: float) -> float | None:
        value = delay[min(len(delay) - 1, int(share * len(delay)))] if len(delay) else np.inf
        return round(float(value), 2) if np.isfinite(value) else None

    return {"series": len(acted), "early": int(early.sum()), "median": at(0.5), "of 10, 9": at(0.9), "of 100, 99": at(0.99)}


def on_plateaus(rng: np.random.Generator, curves: int) -> dict[str, Any]:
    """How soon each rule acts on a plateau: from the start, and after falls of some lengths and heights."""
    still, kinds = noise_only(rng, curves, 10 * PATIENCE)
    acted, theirs = first_actions(plateau(patience=PATIENCE), still), torch_first_actions(2 + 0.1 * still, PATIENCE)
    from_start = {
        kind: {
            "plateau": quantiles(acted[[noise == kind for noise in kinds]], PATIENCE),
            "torch": quantiles(theirs[[noise == kind for noise in kinds]], PATIENCE),
        }
        for kind in NOISES
    }
    rows = []
    for length in (4, 12):
        start, heights, per_height = length * PATIENCE, (5, 20, 100, 1000), curves // 10
        losses = [fall_then_plateau(rng, per_height, start, 2 * start, height, "normal") / height for height in heights]
        together = 2 + np.concatenate(losses, axis=1)
        acted, theirs = first_actions(plateau(patience=PATIENCE), together), torch_first_actions(together, PATIENCE)
        for index, height in enumerate(heights):
            own = slice(index * per_height, (index + 1) * per_height)
            delay, other = (quantiles(firsts[own], PATIENCE, start) for firsts in (acted, theirs))
            rows.append({"fall": length, "height": height, "plateau": delay, "torch": other})
    return {"from the start": from_start, "after a fall": rows}


def others(rng: np.random.Generator, curves: int) -> dict[str, Any]:
    """How often the other controllers act on noise and during falls, where nothing but `slow` has a reason to."""
    count = curves // 4
    still, _ = noise_only(rng, count, UPDATES)
    falling, _, _ = falls(rng, count, UPDATES, PATIENCE, (SEEN, 50.0))
    tested: dict[str, Controller[Any]] = {
        "oscillation": oscillation(),
        "slow": slow(patience=PATIENCE),
        "cooldown_now": cooldown_now(length=100, patience=PATIENCE),
    }
    return {
        name: {
            "series": count,
            "noise": int((first_actions(controller, still) >= 0).sum()),
            "falls": int((first_actions(controller, falling) >= 0).sum()),
        }
        for name, controller in tested.items()
    }


def sawtooths(rng: np.random.Generator, curves: int) -> list[dict[str, Any]]:
    """How often, and how soon, `oscillation` acts on oscillations of several periods and sizes."""
    n, per_case = np.arange(UPDATES)[:, None], curves // 40
    cases = [(form, period, size) for form in ("sine", "sawtooth") for period in (2, 4, 10, 30, 60) for size in (1.0, 3.0)]
    waves = [
        size * (np.cos(2 * np.pi * n / period) if form == "sine" else 2 * (n % period) / (period - 1) - 1)
        for form, period, size in cases
    ]
    losses = np.repeat(np.concatenate(waves, axis=1), per_case, axis=1) + rng.standard_normal(
        (UPDATES, per_case * len(cases))
    )
    acted = first_actions(oscillation(), losses)
    return [
        {"form": form, "period": period, "size": size, **quantiles(acted[index * per_case : (index + 1) * per_case], 1)}
        for index, (form, period, size) in enumerate(cases)
    ]


LRS = (0.01, 0.1, 1.5)


def trainings() -> list[dict[str, Any]]:
    """SGD on noisy quadratics, with controllers alone and together."""
    patience = 640
    alone: dict[str, Controller[Any]] = {
        "plateau": plateau(patience=patience),
        "slow": slow(patience=patience),
        "oscillation": oscillation(),
        "gradient_size": gradient_size(max_factor=2.0),
    }
    sets: dict[str, dict[str, Controller[Any]]] = {
        "none": {},
        **{name: {name: controller} for name, controller in alone.items()},
    }
    sets["slow and plateau"] = {name: alone[name] for name in ("slow", "plateau")}
    sets["all four"] = alone
    per_lr, rows = 20, []
    for name, controllers in sets.items():
        run = train(controllers, np.repeat(LRS, per_lr), UPDATES)
        number, late = actions(run["factor"]), actions(run["factor"][UPDATES // 2 :])
        for index, lr in enumerate(LRS):
            own = slice(index * per_lr, (index + 1) * per_lr)
            rows.append(
                {
                    "lr": lr,
                    "controllers": name,
                    "excess": float(np.median(run["excess"][own])),
                    "worst": float(run["excess"][own].max()),
                    "actions": float(np.median(number[own])),
                    "most actions": int(number[own].max()),
                    "most in the second half": int(late[own].max()),
                    "factor": float(np.median(run["factor"][-1][own])),
                }
            )
    return rows


def armijo() -> list[dict[str, Any]]:
    """The measured fall of the loss as a share of LR * |gradient| ** 2, which Armijo's rule wants above a constant."""
    rows, width = [], 50
    for noise in (0.0, 1.0):
        for lr in (0.01, 0.1, 1.0):
            run = train({}, np.full(200, lr), 2000 + 2 * width, noise=noise)
            for start in (0, 200, 2000):
                first, second = (run["losses"][start + k * width : start + (k + 1) * width].mean(0) for k in (0, 1))
                predicted = run["predicted"][start + width // 2 : start + width + width // 2].sum(0)
                share = np.median((first - second) / predicted)
                rows.append({"noise": noise, "lr": lr, "after": start, "share": round(float(share), 3)})
    return rows


def main() -> int:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=1000, help="number of falls of the first table")
    curves = parser.parse_args().curves
    rng, start = np.random.default_rng(0), time.perf_counter()
    content: dict[str, Any] = {"curves": curves, "updates": UPDATES, "patience": PATIENCE}
    for name, part in {
        "falls": lambda: during_falls(rng, curves),
        "evaluations": lambda: during_evaluations(rng, curves),
        "plateaus": lambda: on_plateaus(rng, curves),
        "others": lambda: others(rng, curves),
        "oscillations": lambda: sawtooths(rng, curves),
        "trainings": trainings,
        "armijo": armijo,
    }.items():
        content[name] = part()
        print(f"{time.perf_counter() - start:6.0f} s: {name}", flush=True)
    print(f"written: {keep('controllers', ('learnrate', 'numpy'), **content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
