"""The time to read, draw and save a curve of a million updates, and the size of its page.

    python benchmarks/long_curves.py [--rounds 5]

Writes benchmarks/results/long_curves.json; `python docs/make.py` writes its section of docs/benchmarks.md.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from measure import keep, seconds, spread

import learnrate as lr
from learnrate import figures

POINTS = 1_000_000
TIME, SIZE = 10.0, 8.0
"""The targets: seconds for all three, and millions of bytes of the page."""


def long_curve() -> lr.Curve:
    """A loss that begins to fall at 0.006 and to rise at 0.14, with batch noise."""
    lrs = np.geomspace(1e-7, 10.0, POINTS)
    fall = 1 / (1 + (0.02 / lrs) ** 1.5)
    losses = 2.3 - 2 * fall + 0.2 * (lrs / 0.3) ** 3
    return lr.Curve(lrs, losses + 0.05 * np.random.default_rng(0).standard_normal(POINTS))


def plotted(curve: lr.Curve) -> None:
    """A drawn picture, as an SVG text."""
    figure, (ax,) = figures.new_figure(7, 4)
    curve.plot(ax)
    figures.svg(figure)


def one_round(page: Path) -> dict[str, float]:
    """The seconds of each part, and of all, for a new curve: a curve keeps what it has computed."""
    curve = long_curve()
    times = {
        "bounds": seconds(curve.bounds),
        "plot": seconds(partial(plotted, curve)),
        "to_html": seconds(partial(curve.to_html, page)),
    }
    return {**times, "together": sum(times.values())}


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds, at least 5")
    rounds = max(5, parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "curve.html"
        turns = [one_round(page) for _ in range(rounds + 1)][1:]
        megabytes = page.stat().st_size / 1e6
    parts = {name: spread([turn[name] for turn in turns]) for name in turns[0]}
    for name, part in parts.items():
        print(f"{name:10} {part['median']:6.2f} s ({part['min']:.2f} to {part['max']:.2f})")
    print(f"page       {megabytes:6.2f} MB")
    keep(
        "long_curves",
        ("learnrate", "numpy", "matplotlib", "plotly"),
        rounds=rounds,
        points=POINTS,
        seconds=parts,
        megabytes=round(megabytes, 2),
        targets={"seconds": TIME, "megabytes": SIZE},
        reached=parts["together"]["median"] <= TIME and megabytes <= SIZE,
    )


if __name__ == "__main__":
    main()
