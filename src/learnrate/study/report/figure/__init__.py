"""The figures of a comparison, drawn with matplotlib. Each takes a comparison that may be incomplete."""

from learnrate.study.report.figure.curves import draw_curves
from learnrate.study.report.figure.differences import draw_differences
from learnrate.study.report.figure.progress import draw_losses, draw_scores
from learnrate.study.report.figure.schedules import draw_schedules
from learnrate.study.report.figure.seeds import draw_seeds
from learnrate.study.report.figure.times import draw_times
from learnrate.study.report.figure.together import draw_comparison

__all__ = [
    "draw_comparison",
    "draw_curves",
    "draw_differences",
    "draw_losses",
    "draw_schedules",
    "draw_scores",
    "draw_seeds",
    "draw_times",
]
