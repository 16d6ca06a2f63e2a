"""Comparison of schedules over seeds, with the record of every training. Knows no framework."""

from learnrate.study.arms import Arm
from learnrate.study.comparing import compare
from learnrate.study.comparison import Comparison
from learnrate.study.difference import Difference
from learnrate.study.outcome import Outcome
from learnrate.study.paired import difference
from learnrate.study.sequential import anytime_interval, fewest_pairs
from learnrate.study.speedup import Speedup, speedup
from learnrate.study.statistics import differences, holm, surely_best
from learnrate.study.survival import MedianTime, median_time
from learnrate.study.times import TimeToTarget, target_score, time_to_target
from learnrate.study.training import Training, train

__all__ = [
    "Arm",
    "Comparison",
    "Difference",
    "MedianTime",
    "Outcome",
    "Speedup",
    "TimeToTarget",
    "Training",
    "anytime_interval",
    "compare",
    "difference",
    "differences",
    "fewest_pairs",
    "holm",
    "median_time",
    "speedup",
    "surely_best",
    "target_score",
    "time_to_target",
    "train",
]
