"""Shared by the range test examples: print the bounds of curves, and draw them with `--plot FILE`."""

import argparse

import learnrate as lr


def report(**curves: lr.Curve) -> None:
    """Print the notes of each curve and its bounds with their reasons; draw the curves if `--plot` is given."""
    for name, curve in curves.items():
        bounds = curve.bounds()
        print(f"{name}: {len(curve)} updates" + (f", the mean of {len(curve.sweeps)} sweeps" if curve.sweeps else ""))
        for note in curve.notes:
            print(f"  {note}")
        # The result is false if the curve has no bounds; then it says why, and what would help.
        for sentence in vars(bounds.reasons).values() if bounds else (bounds.reason, bounds.remedy):
            print(f"  {sentence}")
    parser = argparse.ArgumentParser()
    parser.add_argument("--plot", metavar="FILE", help="where to save the figure")
    if file := parser.parse_args().plot:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, len(curves), figsize=(8 * len(curves), 5), squeeze=False)
        for (name, curve), ax in zip(curves.items(), axes.flat, strict=True):
            curve.plot(ax).set_title(name)
        figure.savefig(file)
