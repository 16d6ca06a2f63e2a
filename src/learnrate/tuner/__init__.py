"""Range tests and races that end in a plan. Knows no framework: it drives a `Trainee`."""

from learnrate.tuner.families import Families, Family
from learnrate.tuner.plan import Plan
from learnrate.tuner.trials import Race
from learnrate.tuner.tune import tune

__all__ = ["Families", "Family", "Plan", "Race", "tune"]
