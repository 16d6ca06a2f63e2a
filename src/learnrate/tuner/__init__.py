"""Range tests and races that end in a plan. Knows no framework: it drives a `Trainee`."""

from learnrate.tuner.plan import Plan
from learnrate.tuner.races import Family, Race
from learnrate.tuner.trainee import Trainee
from learnrate.tuner.tune import tune

__all__ = ["Family", "Plan", "Race", "Trainee", "tune"]
