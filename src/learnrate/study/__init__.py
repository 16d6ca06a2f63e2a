"""Comparison of schedules over seeds, with the record of every training. Knows no framework."""

from learnrate.study.comparison import Arm, Comparison, compare
from learnrate.study.training import Training, train

__all__ = ["Arm", "Comparison", "Training", "compare", "train"]
