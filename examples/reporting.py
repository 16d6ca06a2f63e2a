"""What the range test examples share: they print what was found, and draw it if asked with `--plot FILE`."""

import argparse

import learnrate as lr


def report(**curves: lr.Curve) -> None:
    """Print each curve's notes and bounds with their reasons; a picture goes where `--plot` says."""
    for name, curve in curves.items():
        bounds = curve.bounds()
        print(f"{name}: {len(curve)} updates" + (f", the mean of {len(curve.sweeps)} sweeps" if curve.sweeps else ""))
        for note in curve.notes:
            print(f"  {note}")
        # False where the curve carries no bounds; then it says why, and what would give some.
        for sentence in vars(bounds.reasons).values() if bounds else (bounds.reason, bounds.remedy):
            print(f"  {sentence}")
    parser = argparse.ArgumentParser()
    parser.add_argument("--plot", metavar="FILE", help="where to save the picture")
    if file := parser.parse_args().plot:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, len(curves), figsize=(8 * len(curves), 5), squeeze=False)
        for (name, curve), ax in zip(curves.items(), axes.flat, strict=True):
            curve.plot(ax).set_title(name)
        figure.savefig(file)
