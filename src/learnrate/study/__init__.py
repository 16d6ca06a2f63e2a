"""Comparison of schedules over seeds, with the record of every training. Knows no framework."""

from learnrate.study.arms import Arm
from learnrate.study.comparing import compare
from learnrate.study.comparison import Comparison, Outcome
from learnrate.study.training import Training, train

__all__ = ["Arm", "Comparison", "Outcome", "Training", "compare", "train"]
