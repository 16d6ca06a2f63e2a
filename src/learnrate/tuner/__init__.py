"""A probe or a range test, and trials, that end in a plan. Knows no framework: it drives a `learnrate.Trainable`."""

from learnrate.tuner.carry import Carried
from learnrate.tuner.families import Families, Family
from learnrate.tuner.plan import Plan
from learnrate.tuner.probe import Probe, probe
from learnrate.tuner.reasons import Reasons
from learnrate.tuner.request import HIGH, LOW, Request
from learnrate.tuner.survey import OnCurve, Progress
from learnrate.tuner.trials import Trial
from learnrate.tuner.tune import tune

__all__ = [
    "HIGH",
    "LOW",
    "Carried",
    "Families",
    "Family",
    "OnCurve",
    "Plan",
    "Probe",
    "Progress",
    "Reasons",
    "Request",
    "Trial",
    "probe",
    "tune",
]
