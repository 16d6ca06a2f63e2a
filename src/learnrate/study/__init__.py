"""Comparison of schedules over seeds, with the record of every training. Knows no framework."""

from learnrate.study.arms import Arm
from learnrate.study.comparing import compare
from learnrate.study.comparison import Comparison
from learnrate.study.outcome import Outcome
from learnrate.study.running.training import Training, train
from learnrate.study.statistics.difference import Difference
from learnrate.study.statistics.differences import differences, holm, surely_best
from learnrate.study.statistics.paired import difference
from learnrate.study.statistics.sequential import anytime_interval, fewest_pairs
from learnrate.study.statistics.speedup import Speedup, speedup
from learnrate.study.statistics.survival import MedianTime, median_time
from learnrate.study.statistics.times import TimeToTarget, target_score, time_to_target

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
